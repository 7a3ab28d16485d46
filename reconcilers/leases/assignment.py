"""The assignment: which member (process) holds which partition, and how it changes. Pure.

It is one value under one key, so that every change is one compare-and-set: a process that joins
takes everything free in one write, and one that takes over a dead member removes it and takes its
share in one write.
"""

from collections.abc import Collection, Mapping
from itertools import count

import msgspec

from secaplane.reconcilers.leases.partitions import ALL, PARTITIONS

RELEASED = ""
"""Holder of a partition that had one before."""


class Assignment(msgspec.Struct, frozen=True):
    members: Mapping[str, int] = {}
    """Member -> the number of the key under which it renews its lease (its slot)."""
    holders: Mapping[str, str] = {}
    """Partition -> the member that holds it; a partition that never had a holder is absent."""
    partitions: int = PARTITIONS

    def of(self, member: str) -> frozenset[str]:
        return frozenset(each for each, holder in self.holders.items() if holder == member)

    @property
    def without_holder(self) -> list[str]:
        return [each for each in ALL if self.holders.get(each, RELEASED) not in self.members]


def without(assignment: Assignment, gone: Collection[str]) -> Assignment:
    """The assignment without members that are dead or leave; their partitions are released."""
    members = {each: slot for each, slot in assignment.members.items() if each not in gone}
    holders = {
        each: holder if holder in members else RELEASED
        for each, holder in assignment.holders.items()
    }
    return msgspec.structs.replace(assignment, members=members, holders=holders)


def joined(assignment: Assignment, member: str) -> Assignment:
    """The assignment with a member, in the lowest free slot."""
    if member in assignment.members:
        return assignment
    used = set(assignment.members.values())
    slot = next(number for number in count() if number not in used)
    return msgspec.structs.replace(assignment, members={**assignment.members, member: slot})


def released(assignment: Assignment, member: str, partitions: Collection[str]) -> Assignment:
    """The assignment after a member has handed over some of its partitions."""
    holders = {
        each: RELEASED if holder == member and each in partitions else holder
        for each, holder in assignment.holders.items()
    }
    return msgspec.structs.replace(assignment, holders=holders)


def taken(assignment: Assignment, member: str, *, leaving: Collection[str] = ()) -> Assignment:
    """The assignment after a member has taken as many of the free partitions as its share allows;
    not those that it hands over now."""
    free = [each for each in assignment.without_holder if each not in leaving]
    room = max(0, shares(assignment)[member] - len(assignment.of(member)))
    holders = {**assignment.holders, **dict.fromkeys(free[:room], member)}
    return msgspec.structs.replace(assignment, holders=holders)


def surplus(assignment: Assignment, member: str) -> list[str]:
    """The partitions that a member has to hand over, because others have less than their share."""
    held = sorted(assignment.of(member), key=ALL.index)
    return held[shares(assignment)[member] :]


def shares(assignment: Assignment) -> dict[str, int]:
    """The number of partitions that each member should hold. Numbers differ by one at most; the
    greater ones go to those that hold most, so that few partitions move."""
    each, extra = divmod(len(ALL), max(1, len(assignment.members)))
    order = sorted(assignment.members, key=lambda member: (-len(assignment.of(member)), member))
    return {member: each + (place < extra) for place, member in enumerate(order)}
