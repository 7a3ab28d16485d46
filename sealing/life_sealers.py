"""Sealers of resource lives, with the random keys that they need: made before something is sealed,
loaded before something is opened. A kind, or a resource, without secrets has no key and asks for
none."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from secaplane.model.errors import Conflict, ProblemSource, Unavailable
from secaplane.model.kind import Kind
from secaplane.model.pointer import at
from secaplane.model.shape import Json, LifeIds
from secaplane.sealing.keys.data_key import DataKey, secret_key
from secaplane.sealing.keys.data_keys import DataKeys
from secaplane.sealing.keys.key_store import DestroyedKey, KeysUnavailable
from secaplane.sealing.sealer import Sealer, SecretErased, has_random

AT_ONCE = 64
"""Keys that one list reads from the store at the same time."""
NOT_READ = "the keys of secrets cannot be read now; try again"
DESTROYED = (
    "the key of these secrets was destroyed, and a resource has one key for its life: leave them"
    " out, or delete the resource and create it again"
)
log = logging.getLogger("secaplane.keys")


class Sealed(NamedTuple):
    """A resource with sealed strings: the life that they are of, and the parts that hold them."""

    life: LifeIds
    spec: Json
    status: Json


class LifeSealers:
    def __init__(self, sealer: Sealer, keys: DataKeys | None) -> None:
        """`keys`: None on a site without random keys: derived ones seal."""
        self._sealer, self._keys = sealer, keys

    async def seal(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """The spec of a PUT with its secrets sealed, under a key that is on disk.

        Raises:
            Conflict: the key of this life was destroyed.
            Unavailable: the store of keys does not answer.
        """
        present = [each for each in kind.secrets.spec if isinstance(at(spec, each), str)]
        if not present:
            return spec
        try:
            return (await self._making(life)).seal(kind, life, spec)
        except SecretErased as error:
            raise Conflict(DESTROYED, sources=sources(present)) from error

    async def for_status(self, kind: Kind, held: Sealed, status: Json | None) -> Sealer:
        """To seal a status that is reported. `held`: what the resource holds.

        Raises:
            Unavailable: the store of keys does not answer.
        """
        if status and any(isinstance(at(status, each), str) for each in kind.secrets.status):
            return await self._making(held.life)
        return await self.opening(kind, [held])

    async def opening(self, kind: Kind, held: Iterable[Sealed]) -> Sealer:
        """To open what some resources of a kind hold.

        Raises:
            Unavailable: the store of keys does not answer, or one of the keys is missing.
        """
        if self._keys is None or not kind.has_secrets:
            return self._sealer
        lives = [each.life for each in held if has_random(kind, each.spec, each.status)]
        if not lives:
            return self._sealer
        keys = dict[LifeIds, DataKey | DestroyedKey]()
        try:
            for begin in range(0, len(lives), AT_ONCE):
                some = lives[begin : begin + AT_ONCE]
                loading = (self._keys.load(secret_key(each.tenant, each.uid)) for each in some)
                keys.update(zip(some, await asyncio.gather(*loading), strict=True))
        except KeysUnavailable as error:
            raise _unavailable(error) from error
        return self._sealer.having(keys)

    async def _making(self, life: LifeIds) -> Sealer:
        if self._keys is None:
            return self._sealer
        try:
            key = await self._keys.made(secret_key(life.tenant, life.uid))
        except KeysUnavailable as error:
            raise _unavailable(error) from error
        return self._sealer.having({life: key})


def sources(pointers: Sequence[str]) -> list[ProblemSource]:
    """The secret fields of a spec, as a problem names them."""
    return [ProblemSource(f"/spec{each}") for each in pointers]


def _unavailable(error: KeysUnavailable) -> Unavailable:
    log.warning("secrets cannot be sealed or opened", extra={"reason": str(error)})
    return Unavailable(NOT_READ)
