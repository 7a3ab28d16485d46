"""Sealing of events for the log, and opening for those who read it.

The body of an event of a tenant is sealed under the body key of the tenant's life, the actor under
the person key of that life and the month, so that either can be erased by destroying its key; no
stored byte changes. Events outside of tenants are in clear, and so are actors that are no persons:
the control plane itself and its operators' commands. What a role assignment grants depends on its
author, so that the actor of its writes is sealed under the body key.

A sealed body is `body:<key id>:<base64>`; an actor, too, or
`person:<month>:<pseudonym>:<key id>:<base64>`. The pseudonym is an HMAC under the tenant life's
body key: it tells persons apart when their names are erased.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from secaplane.eventlog.codec import (
    BODY_SEAL,
    ERASED,
    NAMES,
    NOT_JSON,
    NewEvent,
    Undecodable,
    body_of,
    context,
)
from secaplane.eventlog.decoding import decode_followed
from secaplane.eventlog.log import Followed, LogUnavailable, RawEvent, UndecodableEvent
from secaplane.model.actor import Actor, SealedActor, ShownActor
from secaplane.model.authors import AUTHORED_KINDS
from secaplane.model.bounded_cache import BoundedCache
from secaplane.model.desired import ERASED_TEXT
from secaplane.model.events import DesiredState
from secaplane.model.shape import Ref
from secaplane.sealing.keys.data_key import CannotOpen, DataKey, KeyName, body_key, person_key
from secaplane.sealing.keys.data_keys import DataKeys
from secaplane.sealing.keys.key_store import DestroyedKey, KeysUnavailable

PERSON_SEAL = "person:"
RETRY_S = 0.5
"""Before a follower asks for a key again."""
log = logging.getLogger("secaplane.keys")
PSEUDONYM_DIGITS = 16
PSEUDONYM_BYTES = 512
"""An estimate of one cached pseudonym."""
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode
_decode_shown = msgspec.json.Decoder(ShownActor).decode


class EventSeals(Protocol):
    """Every method raises LogUnavailable where the keys do not answer, or one is missing."""

    async def sealed(self, new_event: NewEvent) -> NewEvent:
        """With the parts that are stored sealed. The keys are on disk when this returns."""
        ...

    async def followed(self, raws: Sequence[RawEvent], *, patient: bool = False) -> list[Followed]:
        """`patient`: for a follower, who waits for keys as it waits for a server."""
        ...

    async def shown(self, raws: Sequence[RawEvent]) -> list[Followed]:
        """As `followed`, with the callers opened, for readers of history. One whose key was
        destroyed has the sub `<erased>`, and its pseudonym."""
        ...

    async def actor(
        self, sealed: SealedActor, ref: Ref, uid: str, tenant: str, request: str
    ) -> ShownActor:
        """The caller of an event. One whose key was destroyed has the sub `<erased>`.

        Raises:
            Undecodable: it was sealed for another event, or with another key.
        """
        ...

    async def erased(self, tenant: str) -> bool:
        """True if the contents of a tenant life's events are gone."""
        ...

    async def sealed_state(self, tenant: str, data: bytes) -> bytes:
        """A state that was folded from events of a tenant's life, as a snapshot stores it. `data`
        is a JSON object."""
        ...

    async def opened_state(self, data: bytes) -> bytes | None:
        """None where its key was destroyed."""
        ...


class ClearEvents:
    """For a site without `keys.keyring`: events are stored in clear, and sealed ones cannot be
    read."""

    async def sealed(self, new_event: NewEvent) -> NewEvent:
        return new_event

    async def followed(self, raws: Sequence[RawEvent], *, patient: bool = False) -> list[Followed]:
        return [decode_followed(each, _refuse) for each in raws]

    async def shown(self, raws: Sequence[RawEvent]) -> list[Followed]:
        return await self.followed(raws)

    async def actor(
        self, sealed: SealedActor, ref: Ref, uid: str, tenant: str, request: str
    ) -> ShownActor:
        raise LogUnavailable(NO_KEYRING)

    async def erased(self, tenant: str) -> bool:
        return False

    async def sealed_state(self, tenant: str, data: bytes) -> bytes:
        return data

    async def opened_state(self, data: bytes) -> bytes | None:
        return None if data.startswith(_SEALED_STATE) else data


class EnvelopesAlone(ClearEvents):
    """For a process that has no keys and needs no contents, such as an export of stored bytes: a
    sealed event is read as an erased one."""

    async def followed(self, raws: Sequence[RawEvent], *, patient: bool = False) -> list[Followed]:
        return [decode_followed(each, lambda tenant, sealed, place: None) for each in raws]


class _NotCached(Exception):
    def __init__(self, name: KeyName) -> None:
        self.name = name


class KeyedEvents:
    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys
        self._pseudonyms = BoundedCache[tuple[str, str, str], str](lambda _: PSEUDONYM_BYTES)

    async def sealed(self, new_event: NewEvent) -> NewEvent:
        if not new_event.tenant:
            return new_event
        event, actor = new_event.event, new_event.actor
        has_contents = NAMES[type(event)] in ERASED
        is_person = isinstance(actor, Actor) and bool(actor.issuer)
        if not has_contents and not is_person:
            return new_event
        sealed_body = sealed_actor = ""
        body = await self._made(body_key(new_event.tenant))
        if has_contents:
            sealed_body = BODY_SEAL + body.seal(body_of(event), _place("body", new_event))
        if isinstance(actor, Actor) and is_person:
            sealed_actor = await self._sealed_actor(new_event, actor, body)
        return msgspec.structs.replace(
            new_event, sealed_body=sealed_body, sealed_actor=sealed_actor
        )

    async def _sealed_actor(self, new_event: NewEvent, actor: Actor, body: DataKey) -> SealedActor:
        text, place = _encode(actor), _place("actor", new_event)
        authored = new_event.ref.kind in AUTHORED_KINDS
        if authored and isinstance(new_event.event, DesiredState):
            return BODY_SEAL + body.seal(text, place)
        month = f"{new_event.time.year}-{new_event.time.month:02}"  # strftime takes long
        person = await self._made(person_key(new_event.tenant, month))
        named = (body.id, actor.issuer, actor.sub)
        pseudonym = self._pseudonyms.get(named)
        if pseudonym is None:
            pseudonym = body.digest("\n".join(named).encode())[:PSEUDONYM_DIGITS]
            self._pseudonyms.put(named, pseudonym)
        return f"{PERSON_SEAL}{month}:{pseudonym}:{person.seal(text, place)}"

    async def followed(self, raws: Sequence[RawEvent], *, patient: bool = False) -> list[Followed]:
        return [await self._followed(each, patient) for each in raws]

    async def _followed(self, raw: RawEvent, patient: bool) -> Followed:
        reported = False
        while True:
            try:
                return decode_followed(raw, self._opened)
            except _NotCached as missing:
                try:
                    await self._load(missing.name)
                except LogUnavailable as error:
                    if not patient:
                        raise
                    if not reported:
                        log.warning("events cannot be opened", extra={"reason": str(error)})
                    reported = True
                    await asyncio.sleep(RETRY_S)

    async def shown(self, raws: Sequence[RawEvent]) -> list[Followed]:
        return [await self._shown(each) for each in await self.followed(raws)]

    async def _shown(self, event: Followed) -> Followed:
        if isinstance(event, UndecodableEvent) or isinstance(event.actor, Actor):
            return event
        try:
            actor = await self.actor(event.actor, event.ref, event.uid, event.tenant, event.request)
        except Undecodable:
            return event
        return msgspec.structs.replace(event, actor=actor)

    def _opened(self, tenant: str, sealed: str, place: bytes) -> bytes | None:
        name = body_key(tenant)
        key = self._keys.cached(name)
        if key is None:
            raise _NotCached(name)
        return _open(key, sealed.removeprefix(BODY_SEAL), place)

    async def actor(
        self, sealed: SealedActor, ref: Ref, uid: str, tenant: str, request: str
    ) -> ShownActor:
        name, pseudonym = body_key(tenant), ""
        text = sealed.removeprefix(BODY_SEAL)
        if sealed.startswith(PERSON_SEAL):
            month, pseudonym, text = sealed.removeprefix(PERSON_SEAL).split(":", 2)
            name = person_key(tenant, month)
        opened = _open(await self._load(name), text, context("actor", ref, uid, request))
        shown = ShownActor(sub=ERASED_TEXT) if opened is None else _decode_shown(opened)
        return msgspec.structs.replace(shown, pseudonym=pseudonym)

    async def erased(self, tenant: str) -> bool:
        if not tenant:
            return False
        try:
            return isinstance(await self._keys.known(body_key(tenant)), DestroyedKey)
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error

    async def sealed_state(self, tenant: str, data: bytes) -> bytes:
        if not tenant:
            return data
        key = await self._made(body_key(tenant))
        return _encode(f"{tenant}:{key.seal(data, _SNAPSHOT)}")

    async def opened_state(self, data: bytes) -> bytes | None:
        if not data.startswith(_SEALED_STATE):
            return data
        try:
            tenant, _, sealed = _decode_text(data).partition(":")
            return _open(await self._load(body_key(tenant)), sealed, _SNAPSHOT)
        except (Undecodable, *NOT_JSON):
            return None

    async def _made(self, name: KeyName) -> DataKey:
        key = self._keys.cached(name)
        try:
            key = key or await self._keys.made(name)
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error
        if isinstance(key, DestroyedKey):
            raise LogUnavailable(f"the key {name} was destroyed: nothing can be written with it")
        return key

    async def _load(self, name: KeyName) -> DataKey | DestroyedKey:
        try:
            return await self._keys.load(name)
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error


_SNAPSHOT = b"snapshot"
_SEALED_STATE = b'"'
"""The first byte of a sealed state, which is stored as a JSON string."""
NO_KEYRING = "events are sealed, and this process has no `keys.keyring`"


def _place(part: str, event: NewEvent) -> bytes:
    return context(part, event.ref, event.uid, event.request)


def _open(key: DataKey | DestroyedKey, sealed: str, place: bytes) -> bytes | None:
    if isinstance(key, DestroyedKey):
        return None
    try:
        return key.open(sealed, place)
    except CannotOpen as error:
        raise Undecodable(f"the event cannot be opened: {error}") from error


def _refuse(tenant: str, sealed: str, place: bytes) -> bytes | None:
    raise LogUnavailable(NO_KEYRING)
