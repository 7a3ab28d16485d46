"""The export of one tenant, made without a server: a log of several tenants, an audit stream with
an entry about heads, and signed checkpoints of both."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from secaplane.audit.entries import HeadsFacts, encode, entry, heads_entry, subject
from secaplane.audit.heads.kept import RecordedHeads
from secaplane.audit.heads.offer import OfferedHead, OfferedHeads
from secaplane.audit.heads.tree import heads_of_life, heads_tree
from secaplane.audit.notary.leaves import CommitmentChain, CommittedEvent, LifeHead
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tenant_export.writing import exported_files
from secaplane.audit.tlog.signed_notes import NoteSigner
from secaplane.audit.tlog.tiles import TileName
from secaplane.eventlog.log import RawEvent
from secaplane.model.position import Position
from tests.rules.test_leaves import SUBJECT, stored
from tests.rules.tlog_scene import ORIGIN, SIGNER, WITNESSES, bytes_of, checkpoint_of

STREAM, AUDIT = "SECA", "SECA-audit"
LIFE = "life-1"
AUDIT_SIGNER = NoteSigner(f"{ORIGIN}-audit", sha256(b"key of the audit log").digest())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = "\n".join(
    [
        f"log {SIGNER.public.text}",
        f"log {AUDIT_SIGNER.public.text}",
        *(f"witness w{n} {each.public.text}" for n, each in enumerate(WITNESSES)),
        "group two 2 w0 w1 w2",
        "quorum two",
    ]
)


def events(size: int, *, lives: int = 3, begin: int = 0) -> list[StoredEvent]:
    return [
        StoredEvent(SUBJECT, stored(f"life-{n % lives}", n)) for n in range(begin, begin + size)
    ]


class TenantScene:
    """Both logs, and what the notary offers. `covered`: the events that the heads are about."""

    def __init__(self, log: Sequence[StoredEvent], *, covered: int = 0, more: int = 2) -> None:
        self.events = {STREAM: [*log]}
        covered = covered or len(log)
        chains, leaves = dict[str, dict[str, LifeHead]](), dict[str, list[bytes]]()
        committed = _committed(STREAM, log[:covered])
        chains[STREAM] = dict(committed[0].heads)
        refused = [
            _audited(
                entry("login", time=NOON, request=f"r{n}", client_address="", verb="", path="")
            )
            for n in range(3)
        ]
        chains[AUDIT] = dict(_committed(AUDIT, refused)[0].heads)
        tree = heads_tree(chains)
        streams = {STREAM: covered, AUDIT: len(refused)}
        facts = HeadsFacts(root=tree.root, size=tree.size, streams=streams)
        heads = _audited(heads_entry(facts, time=NOON))
        self.events[AUDIT] = [*refused, heads, *refused[:more]]
        for stream, some in self.events.items():
            leaves[stream] = [each.leaf.written for each in _committed(stream, some)[1]]
        placed = _committed(AUDIT, self.events[AUDIT])[1][len(refused)]
        proofs = {stream: tree.prove(text) for stream, _, text in heads_of_life(LIFE, chains)}
        numbers = {stream: number for stream, number, _ in heads_of_life(LIFE, chains)}
        self.leaves = leaves
        self.offer = OfferedHeads(
            RecordedHeads(placed.leaf.sequence, placed.number, placed.previous, heads.data),
            tuple(
                OfferedHead(stream, numbers[stream], each.place, each.hashes)
                for stream, each in proofs.items()
            ),
            {stream: self._checkpoint(stream) for stream in leaves},
        )

    def _checkpoint(self, stream: str, size: int | None = None) -> bytes:
        audit = stream == AUDIT
        made = checkpoint_of(
            self.leaves[stream][:size],
            signers=[AUDIT_SIGNER if audit else SIGNER],
            witnesses=WITNESSES,
            origin=f"{ORIGIN}-audit" if audit else ORIGIN,
        )
        return made.note.written.encode()

    def checkpoint(self, stream: str, size: int) -> bytes:
        """An earlier one."""
        return self._checkpoint(stream, size)

    async def tile(self, stream: str, name: TileName) -> bytes:
        return bytes_of(name, self.leaves[stream])

    async def _read(self, stream: str) -> AsyncGenerator[Sequence[RawEvent], None]:
        numbered = enumerate(self.events[stream], 1)
        raw = [RawEvent(Position(stream, n), each.subject, {}, each.data) for n, each in numbered]
        for at in range(0, len(raw), 100):
            yield raw[at : at + 100]

    def stream_events(self, stream: str) -> AsyncGenerator[Sequence[RawEvent], None]:
        return self._read(stream)

    def files(self, *seen: int) -> dict[str, bytes]:
        """The export; made in a thread, because the caller may run an event loop."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._files(*seen)).result()

    async def _files(self, *seen: int) -> dict[str, bytes]:
        written = exported_files(LIFE, self.offer, AUDIT, _Source(self), {STREAM: seen})
        return {path: data async for path, data in written}


class _Source:
    def __init__(self, scene: TenantScene) -> None:
        self.tile, self.events = scene.tile, scene.stream_events


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def _audited(made: object) -> StoredEvent:
    return StoredEvent(subject(made), encode(made, b"salt of an entry"))  # type: ignore[arg-type]


def _committed(
    stream: str, some: Sequence[StoredEvent]
) -> tuple[CommitmentChain, list[CommittedEvent]]:
    chain = CommitmentChain(stream)
    return chain, [chain.commit(n, *each) for n, each in enumerate(some, 1)]
