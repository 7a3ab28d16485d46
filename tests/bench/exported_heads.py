"""The audit stream of an export, with entries about the heads of its streams."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from secaplane.audit.entries import HeadsFacts, encode, entry, heads_entry, subject
from secaplane.audit.heads.tree import heads_tree
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.verification import StoredEvent
from tests.bench.exported import STREAM, write_stream
from tests.rules.tenant_scene import AUDIT, AUDIT_SIGNER, NOON

REFUSED_BEFORE = 2
"""Entries of another type before each one about heads."""
Told = Callable[[int, HeadsFacts], HeadsFacts]
"""The contents of the entry of a number, made from the right ones."""


def audit_events(
    events: Sequence[StoredEvent],
    sizes: Iterable[int],
    told: Told = lambda number, facts: facts,
    *,
    prefix: str = "",
) -> list[StoredEvent]:
    """An audit stream with an entry about heads after each of so many events of the stream."""
    chains = {STREAM: CommitmentChain(STREAM), AUDIT: CommitmentChain(AUDIT)}
    taken, made = {STREAM: 0, AUDIT: 0}, list[StoredEvent]()

    def take(stream: str, some: Iterable[StoredEvent]) -> None:
        for each in some:
            taken[stream] += 1
            chains[stream].commit(taken[stream], *each)

    for number, size in enumerate(sizes):
        take(STREAM, events[taken[STREAM] : size])
        made += [_refused(f"{prefix}{number}.{at}") for at in range(REFUSED_BEFORE)]
        take(AUDIT, made[taken[AUDIT] :])
        facts = facts_of_heads(chains, taken)
        about = heads_entry(told(number, facts), time=NOON)
        made.append(StoredEvent(subject(about), encode(about, b"salt")))
    return [*made, _refused("last")]


def facts_of_heads(chains: Mapping[str, CommitmentChain], sizes: Mapping[str, int]) -> HeadsFacts:
    tree = heads_tree({stream: each.heads for stream, each in chains.items()})
    return HeadsFacts(root=tree.root, size=tree.size, streams=dict(sizes))


def write_audit(folder: Path, some: Sequence[StoredEvent]) -> None:
    write_stream(folder, AUDIT_SIGNER, some, len(some))


def wrong_root(facts: HeadsFacts) -> HeadsFacts:
    return replace(facts, root=bytes([facts.root[0] ^ 1]) + facts.root[1:])


def _refused(request: str) -> StoredEvent:
    made = entry("login", time=NOON, request=request, client_address="", verb="", path="")
    return StoredEvent(subject(made), encode(made, b"salt"))
