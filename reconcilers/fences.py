"""Fences of this process's calls to the cloud (`plugins.plugin.Fence`)."""

from itertools import count

from nats.aio.client import Client

from secaplane.plugins.plugin import Fence

KEY = "reconcilers"


class FenceSource:
    """Issues the fences of one epoch, each greater than the one before."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._numbers = count(1)

    def next(self) -> Fence:
        return Fence(self.epoch, next(self._numbers))


async def next_epoch(client: Client, *, stream: str, replicas: int = 1) -> int:
    """An epoch greater than that of every process that started before.

    It is the revision of a write to the bucket of leases: NATS numbers the writes of a bucket
    without a gap, so no two processes get the same one. Leases, once there are any, are keys of the
    same bucket, so that their revisions continue these. If the bucket is deleted, epochs begin anew
    and a cloud that remembers greater ones refuses every call.

    Raises:
        nats.errors.Error, OSError: NATS did not answer.
    """
    bucket = await client.jetstream().create_key_value(
        bucket=f"{stream}-leases", history=1, replicas=replicas
    )
    return await bucket.put(KEY, b"")
