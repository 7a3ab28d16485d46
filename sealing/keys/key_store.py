"""The store of data keys: wrapped keys by name, and which of them were destroyed. Pure, with a
store in memory for tests."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from secaplane.sealing.keys.data_key import KeyName


class StoredKey(msgspec.Struct, frozen=True):
    id: str
    created: datetime
    wrapped: str


class DestroyedKey(msgspec.Struct, frozen=True):
    """The record that remains of a key. It is never deleted; no key of that name is made again."""

    id: str
    """Empty where the key was destroyed before the store had it."""
    at: datetime
    by: str
    why: str = ""


class KeyDestruction(NamedTuple):
    name: KeyName
    key: DestroyedKey


class KeysUnavailable(Exception):
    """The store, or the service that unwraps, does not answer; or a key that something is sealed
    with is missing. The text says which."""


class KeyStore(Protocol):
    """Every method raises KeysUnavailable where the store does not answer."""

    async def read(self, name: KeyName) -> StoredKey | DestroyedKey | None: ...

    async def create(self, name: KeyName, key: StoredKey) -> StoredKey | DestroyedKey:
        """The entry of that name that counts: this key if it is the first one, else the other. It
        is on disk."""
        ...

    async def destroy(self, name: KeyName, record: DestroyedKey) -> DestroyedKey:
        """First the record, which counts from then on, then the end of the wrapped bytes: they are
        overwritten. Done again, it completes what was interrupted. The record that counts is
        answered."""
        ...

    async def names(self) -> Sequence[KeyName]:
        """Of every key that is stored, also of one whose destruction was interrupted."""
        ...

    async def destroyed(self) -> Sequence[KeyDestruction]: ...


class MemoryKeyStore:
    """For tests."""

    def __init__(self) -> None:
        self.keys = dict[KeyName, StoredKey]()
        self.records = dict[KeyName, DestroyedKey]()
        self.reads = 0

    async def read(self, name: KeyName) -> StoredKey | DestroyedKey | None:
        self.reads += 1
        return self.records.get(name) or self.keys.get(name)

    async def create(self, name: KeyName, key: StoredKey) -> StoredKey | DestroyedKey:
        return self.records.get(name) or self.keys.setdefault(name, key)

    async def destroy(self, name: KeyName, record: DestroyedKey) -> DestroyedKey:
        record = self.records.setdefault(name, record)
        self.keys.pop(name, None)
        return record

    async def names(self) -> Sequence[KeyName]:
        return list(self.keys)

    async def destroyed(self) -> Sequence[KeyDestruction]:
        return [KeyDestruction(name, each) for name, each in self.records.items()]
