"""The person keys whose time is over. Pure."""

from collections.abc import Collection, Iterable
from datetime import date

from secaplane.sealing.keys.data_key import PERSON, KeyName

MONTHS_PER_YEAR = 12


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
