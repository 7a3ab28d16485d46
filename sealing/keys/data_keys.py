"""The data keys of a process: made once, read from the store, cached for a bounded time."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from secaplane.model.bounded_cache import BoundedCache
from secaplane.sealing.keys.data_key import KEY_BYTES, DataKey, KeyName, Random
from secaplane.sealing.keys.key_store import (
    DestroyedKey,
    KeyStore,
    KeysUnavailable,
    StoredKey,
)
from secaplane.sealing.keys.wrapping import CannotUnwrap, KeyWrapper

KEPT_S = 30.0
"""Seconds after which a cached key is read again: so long after its destruction, no process has it.
"""
KEPT_S_MAX = 600.0
"""Seconds for which a cached key is used while the store does not answer."""
HELD_BYTES, HELD_MAX = 1024, 16_384
"""An estimate of one cached key, and the number of cached keys."""
ID_BYTES = 6


class _Held(NamedTuple):
    key: DataKey | DestroyedKey
    read_at: float


class DataKeys:
    def __init__(
        self,
        store: KeyStore,
        wrapper: KeyWrapper,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        random: Random = os.urandom,
    ) -> None:
        """`now`: the time of day, which a new key bears; `clock`: monotonic seconds."""
        self._now = now
        self._store, self._wrapper = store, wrapper
        self._clock, self._random = clock, random
        self._held = BoundedCache[KeyName, _Held](
            lambda _: HELD_BYTES, entries_max=HELD_MAX, bytes_max=HELD_MAX * HELD_BYTES
        )
        self._reads = dict[KeyName, asyncio.Future[DataKey | DestroyedKey | None]]()

    def cached(self, name: KeyName) -> DataKey | DestroyedKey | None:
        """None where it has to be read. What is destroyed stays destroyed."""
        held = self._held.get(name)
        if held is None:
            return None
        valid = isinstance(held.key, DestroyedKey) or self._clock() - held.read_at < KEPT_S
        return held.key if valid else None

    async def load(self, name: KeyName) -> DataKey | DestroyedKey:
        """The key that something was sealed with.

        Raises:
            KeysUnavailable: the store does not answer, or has no such key: then it is not the store
                that belongs to this log.
        """
        key = self.cached(name) or await self._read(name)
        if key is None:
            raise KeysUnavailable(
                f"the key {name} is missing in the store of keys: restore the store from a backup,"
                " or record the key as destroyed (`secaplane keys destroy`)"
            )
        return key

    async def known(self, name: KeyName) -> DataKey | DestroyedKey | None:
        """As `load`; None where the store has no such key."""
        return self.cached(name) or await self._read(name)

    async def made(self, name: KeyName) -> DataKey | DestroyedKey:
        """The key of a name, made if there is none: on disk before anything is sealed with it. All
        processes that make it at once use the same one.

        Raises:
            KeysUnavailable.
        """
        return self.cached(name) or await self._read(name) or await self._make(name)

    async def destroy(self, name: KeyName, by: str, why: str) -> DestroyedKey:
        """Done again, it completes what was interrupted.

        Raises:
            KeysUnavailable.
        """
        entry = await self._store.read(name)
        id = entry.id if entry is not None else ""
        record = await self._store.destroy(name, DestroyedKey(id, self._now(), by, why))
        self._held.put(name, _Held(record, self._clock()))
        return record

    async def _make(self, name: KeyName) -> DataKey | DestroyedKey:
        id, key = self._random(ID_BYTES).hex(), self._random(KEY_BYTES)
        try:
            wrapped = await self._wrapper.wrap(key, _context(name, id))
        except (OSError, TimeoutError) as error:
            raise KeysUnavailable(f"the key {name} could not be wrapped: {error}") from error
        entry = await self._store.create(name, StoredKey(id, self._now(), wrapped))
        return await self._kept(name, entry)

    async def _read(self, name: KeyName) -> DataKey | DestroyedKey | None:
        """Those who ask for a key at the same time share one read."""
        if (reading := self._reads.get(name)) is not None:
            return await asyncio.shield(reading)
        reading = self._reads[name] = asyncio.get_running_loop().create_future()
        try:
            key = await self._read_now(name)
            reading.set_result(key)
            return key
        except BaseException as error:
            cancelled = KeysUnavailable("the read of a key was cancelled")
            reading.set_exception(error if isinstance(error, Exception) else cancelled)
            reading.exception()  # retrieved here, because no other may be waiting for it
            raise
        finally:
            del self._reads[name]

    async def _read_now(self, name: KeyName) -> DataKey | DestroyedKey | None:
        held = self._held.get(name)
        try:
            entry = await self._store.read(name)
            if isinstance(entry, StoredKey) and held and held.key.id == entry.id:
                self._held.put(name, _Held(held.key, self._clock()))
                return held.key
            return None if entry is None else await self._kept(name, entry)
        except KeysUnavailable:
            if held is not None and self._clock() - held.read_at < KEPT_S_MAX:
                return held.key
            raise

    async def _kept(self, name: KeyName, entry: StoredKey | DestroyedKey) -> DataKey | DestroyedKey:
        key = entry if isinstance(entry, DestroyedKey) else await self._unwrapped(name, entry)
        self._held.put(name, _Held(key, self._clock()))
        return key

    async def _unwrapped(self, name: KeyName, entry: StoredKey) -> DataKey:
        try:
            key = await self._wrapper.unwrap(entry.wrapped, _context(name, entry.id))
        except (CannotUnwrap, OSError, TimeoutError) as error:
            raise KeysUnavailable(f"the key {name} could not be unwrapped: {error}") from error
        return DataKey(entry.id, key, self._random)


def _context(name: KeyName, id: str) -> str:
    return f"secaplane {name} {id}"
