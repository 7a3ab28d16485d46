"""Snapshots of folded resources and of their pasts, so that the first read of a long history stays
short. Disposable.

A snapshot only saves reading: its reader reads the events after it from the log. It is sealed as
the bodies of the events are that it was made from.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.event_seals import ClearEvents, EventSeals
from secaplane.eventlog.jetstream.api import request
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.subjects import subject
from secaplane.model.past import Past
from secaplane.model.shape import Ref, Resource

SNAPSHOT_INTERVAL, LARGE_INTERVAL = 100, 10
"""Events between two snapshots of a resource, and of a large one: what is read after a snapshot
stays small in bytes, too."""
LARGE_BYTES = 64 * 1024
PAST_BYTES_MAX = 1024 * 1024
"""Of a past that is saved."""
FORMAT = 4
"""Counts up when `Resource`, `Past` or a fold changes: snapshots of another format are not
found."""
DIGEST = "f979364566119686"
"""The digest of `Resource`, `Past` and their folds in this format. A test compares it
(tests/rules/test_layouts.py) and prints the new one."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Resource).decode
_decode_past = msgspec.json.Decoder(Past).decode


def snapshot_due(resource: Resource, before: Resource | None) -> bool:
    """A snapshot is saved where the number of events passes a multiple of the interval."""
    events = before.events if before else 0
    if resource.events // LARGE_INTERVAL == events // LARGE_INTERVAL:
        return False
    if resource.events // SNAPSHOT_INTERVAL > events // SNAPSHOT_INTERVAL:
        return True
    return len(_encode(resource.spec)) > LARGE_BYTES


T = TypeVar("T")
PASTS = "past."
"""The beginning of the keys of pasts in the bucket."""


class Snapshots(Protocol):
    async def load(self, ref: Ref) -> Resource | None: ...

    async def save(self, resource: Resource) -> None: ...

    async def load_past(self, ref: Ref) -> Past | None: ...

    async def save_past(self, past: Past) -> None:
        """One that is larger than PAST_BYTES_MAX is not saved."""
        ...


class MemorySnapshots:
    """For tests; stores bytes, as the key-value bucket does."""

    def __init__(self) -> None:
        self._stored: dict[Ref, bytes] = {}
        self._pasts: dict[Ref, bytes] = {}

    async def load(self, ref: Ref) -> Resource | None:
        return _decode(self._stored[ref]) if ref in self._stored else None

    async def save(self, resource: Resource) -> None:
        self._stored[resource.ref] = _encode(resource)

    async def load_past(self, ref: Ref) -> Past | None:
        return _decode_past(self._pasts[ref]) if ref in self._pasts else None

    async def save_past(self, past: Past) -> None:
        data = _encode(past)
        if len(data) <= PAST_BYTES_MAX:
            self._pasts[past.now.ref] = data


def _bucket(stream: str) -> str:
    return f"{stream}-snapshots-{FORMAT}"


def probe_subject(stream: str) -> str:
    """A key of the bucket that holds no snapshot: who may append to the log may write it, and its
    message replaces the one before."""
    return f"$KV.{_bucket(stream)}.append-probe"


class KeyValueSnapshots:
    """Snapshots in a NATS key-value bucket."""

    def __init__(
        self,
        nats: Client,
        *,
        stream: str,
        region: str,
        writes: bool = True,
        seals: EventSeals | None = None,
    ) -> None:
        self._nats, self._region, self._writes = nats, region, writes
        self._seals = seals or ClearEvents()
        self._bucket = _bucket(stream)

    async def prepare(self, *, replicas: int = 1) -> None:
        await self._nats.jetstream().create_key_value(
            bucket=self._bucket, history=1, replicas=replicas, direct=True
        )

    async def load(self, ref: Ref) -> Resource | None:
        """Raises LogUnavailable if the bucket does not answer. Undecodable snapshots are
        none, and those whose key was destroyed."""
        snapshot = await self._loaded(self._key(ref), _decode)
        return snapshot if snapshot is not None and snapshot.ref == ref else None

    async def load_past(self, ref: Ref) -> Past | None:
        """As `load`."""
        past = await self._loaded(self._key(ref, PASTS), _decode_past)
        return past if past is not None and past.now.ref == ref else None

    async def _loaded(self, key: str, decode: Callable[[bytes], T]) -> T | None:
        try:
            address = f"$JS.API.DIRECT.GET.KV_{self._bucket}.{key}"
            data = await request(self._nats, bytes, address, b"")
        except LogUnavailable as error:
            raise LogUnavailable("the bucket of snapshots did not answer") from error
        opened = await self._seals.opened_state(data) if data else None
        try:
            return decode(opened) if opened is not None else None
        except NOT_JSON:
            return None

    async def save(self, resource: Resource) -> None:
        """Publish without waiting for the acknowledgement: a lost snapshot does no harm. Processes
        that only read save none."""
        await self._saved(self._key(resource.ref), resource.tenant, _encode(resource))

    async def save_past(self, past: Past) -> None:
        """As `save`."""
        data = _encode(past)
        if len(data) <= PAST_BYTES_MAX:
            await self._saved(self._key(past.now.ref, PASTS), past.now.tenant, data)

    async def _saved(self, key: str, tenant: str, data: bytes) -> None:
        if self._writes:
            with suppress(LogUnavailable, *CONNECTION_ERRORS):
                await self._nats.publish(key, await self._seals.sealed_state(tenant, data))

    def _key(self, ref: Ref, prefix: str = "") -> str:
        return f"$KV.{self._bucket}.{prefix}{subject(ref, self._region)}"
