"""The person keys and the secret keys whose time is over. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from secaplane.sealing.keys.data_key import PERSON, SECRET, KeyName

MONTHS_PER_YEAR = 12
IN_FLIGHT = timedelta(hours=1)
"""A key that is younger may be of an event that is not appended yet."""


class SeenLives(NamedTuple):
    """The lives that the log has events of."""

    ends: Mapping[str, datetime]
    """By uid: when the life ended."""
    going_on: Collection[str]
    complete: bool
    """False where an event is missing or cannot be read: a life may have more events than these."""


class UnusedKey(NamedTuple):
    name: KeyName
    created: datetime


def expired(
    names: Iterable[KeyName], today: date, months: int, held: Collection[str] = ()
) -> list[KeyName]:
    """Person keys of months before the present one and the `months` before it; none of the tenant
    lives that are `held`."""
    number = today.year * MONTHS_PER_YEAR + today.month - 1 - months
    first_kept = f"{number // MONTHS_PER_YEAR:04}-{number % MONTHS_PER_YEAR + 1:02}"
    over = list[KeyName]()
    for each in names:
        life, _, month = each.owner.partition(".")
        if each.purpose == PERSON and month < first_kept and life not in held:
            over.append(each)
    return over


def never_used(names: Iterable[KeyName], seen: SeenLives) -> list[KeyName]:
    """Secret keys of lives that never began: the append failed, or another one was first. None
    where the log is not complete."""
    if not seen.complete:
        return []
    return [
        each
        for each in names
        if each.purpose == SECRET
        and _uid(each) not in seen.ends
        and _uid(each) not in seen.going_on
    ]


def ended(
    names: Iterable[KeyName],
    unused: Iterable[UnusedKey],
    seen: SeenLives,
    *,
    now: datetime,
    days: int,
    held: Collection[str] = (),
) -> Sequence[KeyName]:
    """Secret keys of resources that are gone for at least `days`, and keys that were `unused` for
    so long; none of the tenant lives that are `held`."""
    latest = now - timedelta(days=days)
    over = [
        each
        for each in names
        if each.purpose == SECRET
        and (end := seen.ends.get(_uid(each))) is not None
        and end <= latest
    ]
    over += [each.name for each in unused if each.created <= min(latest, now - IN_FLIGHT)]
    return [each for each in over if each.owner.partition(".")[0] not in held]


def _uid(name: KeyName) -> str:
    """Of the resource's life."""
    return name.owner.rpartition(".")[2]
