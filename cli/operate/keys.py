"""`secaplane keys`: lists the keys, and those that were destroyed; destroys again what a backup has
brought back."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from nats.aio.client import Client

from secaplane.audit.entries import decode as decode_entry
from secaplane.audit.stream import AuditStream
from secaplane.cli.config import Config
from secaplane.cli.operate.destruction import destroy
from secaplane.cli.operate.legal_holds import held_lives, is_held
from secaplane.cli.processes.connections import connected_log, with_deadline
from secaplane.cli.processes.keys import key_store
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.codec import NOT_JSON, Undecodable
from secaplane.eventlog.log import LogUnavailable
from secaplane.sealing.keys.data_key import KeyName, key_name
from secaplane.sealing.keys.key_store import DestroyedKey, KeyStore, KeysUnavailable

PATH = "keys"
_encode = msgspec.json.Encoder().encode


class ListedKey(msgspec.Struct, frozen=True):
    """One line of `secaplane keys destroyed`."""

    name: str
    id: str
    at: datetime
    by: str
    why: str = ""


_decode = msgspec.json.Decoder(ListedKey).decode


async def show(config: Config, *, destroyed_only: bool) -> int:
    """Prints the names of all keys, or as JSON, one a line, the destroyed ones.

    Raises:
        LogUnavailable: NATS is unavailable.
    """
    async with with_deadline(connected_log(config)) as (client, log, _):
        store, held = key_store(config, client), await held_lives(config, log)
        try:
            names, gone = await store.names(), await store.destroyed()
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error
    if destroyed_only:
        for name, key in gone:
            print(_encode(ListedKey(str(name), key.id, key.at, key.by, key.why)).decode())
        return 0
    over = {each.name for each in gone}
    left = (each for each in names if each not in over)
    lines = [f"{each} under legal hold" if is_held(each, held) else f"{each}" for each in left]
    lines += [f"{name} destroyed {key.at:%Y-%m-%dT%H:%M:%SZ} {key.by}" for name, key in gone]
    print("\n".join(sorted(lines)))
    return 0


async def destroy_one(config: Config, text: str, why: str) -> int:
    """Records a key as destroyed, also one that the store has lost: what it sealed is erased. Exit
    status 1 if its tenant is under legal hold.

    Raises:
        BadConfig: the text names no key.
        LogUnavailable: NATS is unavailable.
    """
    try:
        name = key_name(text)
    except ValueError as error:
        raise BadConfig(str(error)) from error
    async with with_deadline(connected_log(config)) as (client, log, _):
        if is_held(name, await held_lives(config, log)):
            print(f"secaplane: {name} is under legal hold (keys.holds)", file=sys.stderr)
            return 1
        await destroy(config, client, [name], command="keys destroy", why=why, path=PATH)
    print(f"{name} is destroyed")
    return 0


async def check(config: Config, lists: Sequence[Path]) -> int:
    """Destroys each key again that is there and was destroyed: according to its own record (the
    destruction was interrupted), to the audit stream, or to lists of backups. Exit status 0 if
    there was none, 1 if there was one.

    Raises:
        BadConfig: a list cannot be read.
        LogUnavailable: NATS is unavailable.
    """
    listed = [each for path in lists for each in _read(path)]
    async with with_deadline(connected_log(config)) as (client, _, _):
        store = key_store(config, client)
        try:
            recorded = {f"{name}:{key.id}" for name, key in await store.destroyed()}
            recorded |= {f"{each.name}:{each.id}" for each in listed}
            recorded |= await _audited(client, config)
            back = await _back(store, recorded)
            missing = [each for each in listed if not await _is_destroyed(store, each)]
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error
        again = dict.fromkeys([*back, *(key_name(each.name) for each in missing)])
        if again:
            why = "destroyed before, and restored or left over"
            await destroy(config, client, [*again], command="keys check", why=why, path=PATH)
    for each in again:
        print(f"{each} was destroyed before: it is destroyed again")
    print(f"{len(again)} keys destroyed again", file=sys.stderr)
    return 1 if again else 0


async def _back(store: KeyStore, recorded: Iterable[str]) -> list[KeyName]:
    """Keys whose bytes are there, with the id of a destroyed one."""
    over, back = {each.rpartition(":")[0]: each for each in recorded}, list[KeyName]()
    for name in await store.names():
        if str(name) in over:
            entry = await store.read(name)
            if isinstance(entry, DestroyedKey) or f"{name}:{entry.id if entry else ''}" in recorded:
                back.append(name)
    return back


async def _is_destroyed(store: KeyStore, listed: ListedKey) -> bool:
    """False also where the store has neither the key nor its record: none may be made again."""
    entry = await store.read(key_name(listed.name))
    return entry is not None and (isinstance(entry, DestroyedKey) or entry.id != listed.id)


async def _audited(client: Client, config: Config) -> set[str]:
    found = set[str]()
    try:
        async for data in AuditStream(client, stream=config.nats.stream).read():
            try:
                entry = decode_entry(data)
            except Undecodable:
                continue
            found |= set(entry.keys or ())
    except LogUnavailable as error:
        if "no such stream" not in str(error):
            raise
    return found


def _read(path: Path) -> list[ListedKey]:
    try:
        return [_decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, *NOT_JSON) as error:
        raise BadConfig(f"{path}: {error}") from error
