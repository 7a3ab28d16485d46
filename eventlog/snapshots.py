"""Folds kept beside the log, so that a cold read of a long history stays short. Disposable.

A snapshot is only ever a head start: whoever loads one reads the events after it from the log.
"""

from contextlib import suppress
from typing import Protocol

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream_api import asked
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.subjects import subject
from secaplane.model.shape import Ref, Resource

EVERY_EVENTS = 100
FORMAT = 2
"""Counts up when `Resource` or `evolve` changes: snapshots of another format are not found."""
DIGEST = "8e5a6976a950005c"
"""The digest of `Resource` and `evolve` in this format. A test compares it
(tests/rules/test_layouts.py) and prints the new one."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Resource).decode


class Snapshots(Protocol):
    async def load(self, ref: Ref) -> Resource | None: ...

    async def save(self, resource: Resource) -> None: ...


class MemorySnapshots:
    """For tests: writes and reads bytes as the real ones do."""

    def __init__(self) -> None:
        self._kept: dict[Ref, bytes] = {}

    async def load(self, ref: Ref) -> Resource | None:
        return _decode(self._kept[ref]) if ref in self._kept else None

    async def save(self, resource: Resource) -> None:
        self._kept[resource.ref] = _encode(resource)


class KeyValueSnapshots:
    """In a NATS key-value bucket of their own."""

    def __init__(self, nats: Client, *, stream: str, region: str, writes: bool = True) -> None:
        self._nats, self._region, self._writes = nats, region, writes
        self._bucket = f"{stream}-snapshots-{FORMAT}"

    async def prepare(self, *, replicas: int = 1) -> None:
        await self._nats.jetstream().create_key_value(
            bucket=self._bucket, history=1, replicas=replicas, direct=True
        )

    async def load(self, ref: Ref) -> Resource | None:
        """Raises Unanswered where the bucket does not answer; a spoilt snapshot is none."""
        key = self._key(ref)
        try:
            address = f"$JS.API.DIRECT.GET.KV_{self._bucket}.{key}"
            said = await asked(self._nats, bytes, address, b"")
        except LogUnavailable as error:
            raise LogUnavailable("the snapshots did not answer") from error
        if not said:
            return None
        try:
            found = _decode(said)
        except msgspec.DecodeError:
            return None
        return found if found.ref == ref else None

    async def save(self, resource: Resource) -> None:
        """A snapshot that cannot be kept is no loss, so nobody waits for it to be stored; and who
        may only read takes none."""
        if self._writes:
            with suppress(*CONNECTION_ERRORS):
                await self._nats.publish(self._key(resource.ref), _encode(resource))

    def _key(self, ref: Ref) -> str:
        return f"$KV.{self._bucket}.{subject(ref, self._region)}"
