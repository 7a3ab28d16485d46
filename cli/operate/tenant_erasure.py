"""`secaplane tenant erase`: the keys of a tenant life that is gone are destroyed, the read models
are made again without it, and the old tables are dropped."""

import sys
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.operate.destruction import destroy
from secaplane.cli.operate.read_models import rebuild_now, retire_now
from secaplane.cli.operate.whole_log import whole_log
from secaplane.cli.processes.connections import connected_log, with_deadline
from secaplane.cli.processes.keys import key_store
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.codec import BODY_SEAL, ERASED, NOT_JSON
from secaplane.eventlog.log import Followed, Log, LogUnavailable
from secaplane.kinds import KINDS
from secaplane.model.events import Closed, Created, Deleted, RecordedEvent
from secaplane.readmodel.schema.scrub import scrub
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.sealing.keys.data_key import KeyName, body_key
from secaplane.sealing.keys.key_store import KeysUnavailable

KIND = KINDS["tenant"]


class _Stored(msgspec.Struct, frozen=True):
    """The fields of an envelope that say whether its contents can be erased."""

    type: str = ""
    tenant: str = ""
    body: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Stored).decode


class StoredEvents(msgspec.Struct, frozen=True):
    """The events of some tenant lives in the log."""

    sealed: int
    clear: int
    """With contents that are stored in clear: before `keys.keyring` was set."""


def ended_lives(history: Sequence[Followed]) -> tuple[Sequence[str], bool]:
    """The uids of the lives of a tenant that are over; and whether one is not."""
    begun, ended = dict[str, None](), set[str]()
    for each in history:
        if isinstance(each, RecordedEvent) and isinstance(each.event, Created):
            begun[each.uid] = None
        elif isinstance(each, RecordedEvent) and isinstance(each.event, Deleted | Closed):
            ended.add(each.uid)
    over = [uid for uid in begun if uid in ended]
    return over, len(over) < len(begun)


async def erase(config: Config, name: str, *, confirmed: bool) -> int:
    """Exit status 1 if the tenant is not gone, is under legal hold, or was not erased as a whole:
    the same command then goes on.

    Raises:
        BadConfig: there is no `keys.keyring`, or there is no terminal to confirm at.
        LogUnavailable: NATS is unavailable.
    """
    if name in config.keys.holds:
        return _failed(f"tenant {name} is under legal hold (keys.holds)")
    async with with_deadline(connected_log(config)) as (client, log, _):
        over, lives_on = ended_lives(await log.history(KIND.ref({}, name)))
        if not over:
            state = "is not gone: delete it first" if lives_on else "has never been there"
            return _failed(f"tenant {name} {state}")
        names = await _keys_of(config, client, over)
        print(f"tenant {name}: {len(over)} lives that are gone, {len(names)} keys")
        if not confirmed and not _confirmed(name):
            return _failed("not confirmed: nothing was erased")
        why, path = f"erasure of the tenant {name}", KIND.ref({}, name).path
        await destroy(config, client, names, command="tenant erase", why=why, path=path)
        print("the keys are destroyed; processes forget them within 30 s", flush=True)
        stored = await stored_events(log, over)
    return await _rest(config, name, stored)


async def _rest(config: Config, name: str, stored: StoredEvents) -> int:
    if await rebuild_now(config) or await retire_now(config):
        return _failed("the read models were not made again: run this command again")
    try:
        left = await scrub(config.postgres.url)
    except DATABASE_UNAVAILABLE as error:
        return _failed(f"the database did not answer ({error}): run this command again")
    for each in left:
        print(f"secaplane: bytes may stay in the database: {each}", file=sys.stderr)
    print(f"tenant {name} is erased: {stored.sealed} events are sealed under destroyed keys")
    if stored.clear:
        return _failed(
            f"{stored.clear} events of the tenant are stored in clear, from before keys.keyring was"
            " set: they stay"
        )
    return 1 if left else 0


async def _keys_of(config: Config, client: Client, lives: Sequence[str]) -> Sequence[KeyName]:
    """Body keys first, also of a life that has none: none is made for it any more."""
    bodies = [body_key(each) for each in lives]
    try:
        stored = await key_store(config, client).names()
    except KeysUnavailable as error:
        raise LogUnavailable(str(error)) from error
    others = (each for each in stored if each.owner.partition(".")[0] in lives)
    return list(dict.fromkeys([*bodies, *others]))


def _confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise BadConfig("this cannot be undone: confirm it at a terminal, or with --yes")
    return input("This cannot be undone. Type the name of the tenant to go on: ") == name


async def stored_events(log: Log, lives: Sequence[str]) -> StoredEvents:
    sealed = clear = 0
    async for raw in whole_log(log):
        try:
            stored = _decode(raw.data)
        except NOT_JSON:
            continue
        if stored.tenant in lives and stored.type in ERASED:
            is_sealed = bytes(stored.body).startswith(f'"{BODY_SEAL}'.encode())
            sealed, clear = sealed + is_sealed, clear + (not is_sealed)
    return StoredEvents(sealed, clear)


def _failed(line: str) -> int:
    print(f"secaplane: {line}", file=sys.stderr)
    return 1
