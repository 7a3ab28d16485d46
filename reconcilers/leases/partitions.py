"""The partitions of the work. Pure.

An address belongs to the partition of its own hash. So do a companion, an owned resource and a
child: they may be reconciled by another process than their owner or parent, which asks for them by
commands alone. All lives of an address are in one partition: calls of the cloud for one uid are
made by the process that holds it, one at a time.
"""

from zlib import crc32

from secaplane.model.shape import Ref

PARTITIONS = 64
"""Part of the layout of the bucket: processes with another number cannot share it."""
CATALOGUE, DEFERRED_ROLES, DRIFT = "catalogue", "deferred-roles", "drift"
NAMED = (CATALOGUE, DEFERRED_ROLES, DRIFT)
"""Work that one process does for all: publication of the catalogue, reports about deferred roles,
and what is compared slowly between cloud and log."""
NUMBERED = tuple(str(number) for number in range(PARTITIONS))
ALL = (*NAMED, *NUMBERED)


def partition_of(ref: Ref) -> str:
    """The same in every process and release."""
    return NUMBERED[crc32(f"{ref.kind} {ref.path}".encode()) % PARTITIONS]
