"""The origin of a request: client address, user agent and traceparent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.origin import USER_AGENT_LENGTH_MAX, Origin, origin, printable

PEER, CLIENT = "10.0.0.1", "203.0.113.9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def of(*headers: tuple[bytes, bytes], trusted: tuple[str, ...] = ()) -> Origin:
    scope = {"method": "PUT", "path": "/", "client": (PEER, 7), "headers": headers}
    return origin(RequestContext(scope), TrustedProxies(trusted))


def test_a_request_without_headers_has_the_address_of_its_peer() -> None:
    assert of() == Origin(client_address=PEER, user_agent="", traceparent="")


def test_a_trusted_proxy_names_the_client() -> None:
    forwarded = (b"x-forwarded-for", CLIENT.encode())
    assert of(forwarded).client_address == PEER
    assert of(forwarded, trusted=(PEER,)).client_address == CLIENT


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        (b"terraform/1.9", "terraform/1.9"),
        (b"a" * 1000, "a" * USER_AGENT_LENGTH_MAX),
        (b"curl\t\x1b[2J\x00\x7f\x85/8", "curl[2J/8"),
        ("Zo\xeb/1".encode("latin-1"), "Zo\xeb/1"),
        (b"\x01" * 300 + b"late", "late"),
        (b"", ""),
    ],
)
def test_a_user_agent_is_printable_and_bounded(sent: bytes, recorded: str) -> None:
    assert of((b"user-agent", sent)).user_agent == recorded


@given(st.text(max_size=1000))
def test_every_text_becomes_printable_and_bounded(text: str) -> None:
    """Also line breaks, surrogates and characters that change the direction of text."""
    cleaned = printable(text)
    assert len(cleaned) <= USER_AGENT_LENGTH_MAX
    assert all(map(str.isprintable, cleaned))
    assert printable(cleaned) == cleaned


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        (f"00-{TRACE}", f"00-{TRACE}"),
        (f" 00-{TRACE} ", f"00-{TRACE}"),
        (f"01-{TRACE}", f"01-{TRACE}"),
        (f"01-{TRACE}-later-fields", f"01-{TRACE}"),
        (f"00-{TRACE}-x", ""),
        (f"01-{TRACE}x", ""),
        (f"ff-{TRACE}", ""),
        (f"00-{TRACE}".upper(), ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", ""),
        (f"00-{TRACE[:-1]}", ""),
        (f"00-{TRACE}"[1:], ""),
        ("00-" + "\u0661" * 32 + "-00f067aa0ba902b7-01", ""),
        ("x" * 10_000, ""),
        ("", ""),
    ],
)
def test_only_a_valid_traceparent_is_recorded(sent: str, recorded: str) -> None:
    """W3C Trace Context, section 3.2."""
    assert of((b"traceparent", sent.encode())).traceparent == recorded


def test_two_traceparents_are_none() -> None:
    sent = (b"traceparent", f"00-{TRACE}".encode())
    assert of(sent, sent).traceparent == ""
