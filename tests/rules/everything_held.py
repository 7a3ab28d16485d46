"""The leases of a process that holds every partition for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from secaplane.model.shape import Ref
from secaplane.reconcilers.leases.lease import OwnLease
from secaplane.reconcilers.leases.tenure import Tenure


class EverythingHeld:
    def __init__(self) -> None:
        ids = count()
        self._lease = OwnLease(lambda: 0.0, lambda: str(next(ids)))
        self._lease.acknowledged(self._lease.renewal(), 1)

    def holds(self, _: Ref) -> bool:
        return True

    @contextmanager
    def working(self, ref: Ref) -> Iterator[Tenure]:
        yield Tenure("0", 1, self._lease)

    async def usable(self) -> None:
        return
