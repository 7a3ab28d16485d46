"""The events of an export that are sealed under a destroyed key, by what the export itself says:
the audit stream records each destruction. Pure but for the files of the export."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from secaplane.audit.entries import ROOT, decode
from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.tiles import TilesDiffer
from secaplane.eventlog.codec import BODY_SEAL, NOT_JSON, Undecodable
from secaplane.sealing.keys.data_key import BODY

DESTROYED = f"{ROOT}.key-destroyed."
_BODY = f"{BODY}."
_SEALED = f'"body":"{BODY_SEAL}'.encode()


class _Sealed(msgspec.Struct, frozen=True):
    """The fields of an envelope with a sealed body; any other is not decoded as this."""

    tenant: str
    body: str


_decode = msgspec.json.Decoder(_Sealed).decode


def erased_lives(events: Iterable[StoredEvent]) -> set[str]:
    """The tenant lives whose body key was destroyed, according to entries of the audit stream."""
    lives = set[str]()
    for each in events:
        if each.subject.startswith(DESTROYED):
            try:
                keys = decode(each.data).keys or ()
            except Undecodable:
                continue
            names = (key.rpartition(":")[0] for key in keys)
            lives |= {name.removeprefix(_BODY) for name in names if name.startswith(_BODY)}
    return lives


def sealed_events(events: Iterable[StoredEvent], lives: set[str]) -> int:
    """The number of events with contents that are sealed under a key of these lives."""
    return sum(_life(each) in lives for each in events if _SEALED in each.data)


def count_erased(folder: Path, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """By stream; `sizes`: of each stream of an export that was verified. It is read a second time
    where a key was destroyed."""
    audits = [name for name in sizes if name.endswith("-audit")]
    lives = set[str]()
    for name in audits:
        lives |= erased_lives(_events(folder / name, sizes[name]))
    if not lives:
        return {}
    others = [name for name in sizes if name not in audits]
    return {name: sealed_events(_events(folder / name, sizes[name]), lives) for name in others}


def _events(folder: Path, size: int) -> Iterator[StoredEvent]:
    export = ExportFolder(folder)
    for number in range(bundles(size)):
        try:
            some = export.events(number)
        except TilesDiffer:
            return  # the verification names it
        yield from (each for each in some if each is not None)


def _life(event: StoredEvent) -> str:
    try:
        return _decode(event.data).tenant
    except NOT_JSON:
        return ""
