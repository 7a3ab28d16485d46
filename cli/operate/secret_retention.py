"""The keys of secret fields whose resource is gone for longer than `keys.secret_days`, found in the
log: the envelope of an event says in clear which life it is of, and whether it ends that."""

from collections.abc import AsyncIterable, Collection, Sequence
from datetime import datetime

import msgspec

from secaplane.cli.operate.whole_log import whole_log
from secaplane.eventlog.codec import NAMES, NOT_JSON
from secaplane.eventlog.log import Log, RawEvent
from secaplane.model.events import Closed, Deleted
from secaplane.sealing.keys.data_key import SECRET, KeyName
from secaplane.sealing.keys.key_store import KeyStore, StoredKey
from secaplane.sealing.keys.retention import SeenLives, UnusedKey, ended, never_used

ENDS = (NAMES[Deleted], NAMES[Closed])


class _Stored(msgspec.Struct, frozen=True):
    type: str
    uid: str
    time: datetime


_decode = msgspec.json.Decoder(_Stored).decode


async def over(
    log: Log, store: KeyStore, held: Collection[str], now: datetime, days: int
) -> Sequence[KeyName]:
    """The keys to destroy. The names are read before the log, and a key that was made for an event
    which was then not appended counts as unused after the same time.

    Raises:
        KeysUnavailable, LogUnavailable.
    """
    names = [each for each in await store.names() if each.purpose == SECRET]
    if not names:
        return ()
    seen = await seen_lives(whole_log(log), {each.owner.rpartition(".")[2] for each in names})
    unused = list[UnusedKey]()
    for name in never_used(names, seen):
        entry = await store.read(name)
        if isinstance(entry, StoredKey):
            unused.append(UnusedKey(name, entry.created))
    return ended(names, unused, seen, now=now, days=days, held=held)


async def seen_lives(events: AsyncIterable[RawEvent], uids: Collection[str]) -> SeenLives:
    """The ends of some lives, according to all events of the log."""
    ends, going_on, complete, read = dict[str, datetime](), set[str](), True, dict[str, int]()
    async for raw in events:
        stream = raw.position.stream
        read[stream] = read.get(stream, 0) + 1
        complete = complete and raw.position.sequence == read[stream]
        try:
            stored = _decode(raw.data)
        except NOT_JSON:
            complete = False
            continue
        if stored.uid in uids:
            going_on.add(stored.uid)
            if stored.type in ENDS:
                ends[stored.uid] = stored.time
    return SeenLives(ends, going_on.difference(ends), complete)
