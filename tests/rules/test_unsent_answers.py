"""Answers whose readers do not take them have a bounded number of bytes."""

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.serving.connections import ConnectionLimits, Connections

LIMITS = ConnectionLimits(unsent_bytes_max=100, proxies=TrustedProxies(["10.0.0.1"]))


class Peer:
    """A connection whose peer takes nothing."""

    waiting_since = None

    def __init__(self, address: str, unsent_bytes: int = 0) -> None:
        self.address, self.unsent_bytes, self.is_open = address, unsent_bytes, True

    def overdue(self, now: float) -> bool:
        return False

    def close(self) -> None:
        self.is_open, self.unsent_bytes = False, 0


def stuck(connections: Connections, address: str, unsent: int) -> Peer:
    peer = Peer(address, unsent)
    assert connections.admit(peer)
    connections.unread(peer)
    return peer


def test_up_to_the_bound_all_answers_wait_for_their_readers() -> None:
    connections = Connections(LIMITS)
    peers = [stuck(connections, "a", 50) for _ in range(2)]
    assert all(each.is_open for each in peers)


def test_beyond_it_the_answer_is_dropped_that_waits_for_longest_at_the_address_with_most() -> None:
    connections = Connections(LIMITS)
    other = stuck(connections, "192.0.2.2", 30)
    first, second, third = (stuck(connections, "192.0.2.1", 30) for _ in range(3))
    assert [each.is_open for each in (other, first, second, third)] == [True, False, True, True]


def test_an_answer_that_was_read_counts_no_more() -> None:
    connections = Connections(LIMITS)
    first = stuck(connections, "a", 90)
    connections.read(first)
    second = stuck(connections, "b", 90)
    connections.remove(second)
    third = stuck(connections, "c", 90)
    assert all(each.is_open for each in (first, second, third))


def test_one_answer_beyond_the_bound_is_dropped_alone() -> None:
    connections = Connections(LIMITS)
    small, large = stuck(connections, "10.0.0.1", 1), stuck(connections, "192.0.2.1", 101)
    assert (small.is_open, large.is_open) == (True, False)
