"""A tenure: the time during which this process holds one partition."""

import asyncio

from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.leases.lease import LeaseLost, OwnLease


class Tenure:
    """Begins with an acknowledged write of the assignment, whose revision is the epoch of its
    fences, and ends for ever: a partition that is taken again has another tenure."""

    def __init__(
        self, partition: str, epoch: int, lease: OwnLease, *, first_call_delay_s: float = 0.0
    ) -> None:
        self.partition, self._lease = partition, lease
        first_call_at = asyncio.get_running_loop().time() + first_call_delay_s
        self.fences = FenceSource(
            epoch, self.require, first_call_at=first_call_at if first_call_delay_s else 0.0
        )
        self.working = 0
        """Reconciliations in progress."""
        self.leaving = asyncio.Event()
        """Set when the partition is handed over or lost: no new work begins."""
        self.ended = False

    def require(self) -> None:
        """Raises LeaseLost if this process may not act for the partition now."""
        if self.ended or self._lease.over:
            raise LeaseLost(f"the lease of partition {self.partition} is over")

    def end(self) -> None:
        self.ended = True
        self.leaving.set()
