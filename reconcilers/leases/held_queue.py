"""The queue of a process that holds some of the partitions."""

from secaplane.model.shape import Ref
from secaplane.reconcilers.leases.leases import Leases
from secaplane.reconcilers.queue import Queue


class HeldQueue(Queue):
    """Takes only addresses of partitions that the process holds: another one queues the others, or
    queues them when it takes their partition."""

    def __init__(self, leases: Leases) -> None:
        super().__init__()
        self._leases = leases

    def add(self, ref: Ref, *, seconds: float = 0.0, background: bool | None = None) -> None:
        if self._leases.holds(ref):
            super().add(ref, seconds=seconds, background=background)

    def drop_lost(self) -> None:
        self.keep(self._leases.holds)
