"""CPU seconds of processes, from `/proc`."""

import os
from collections.abc import Mapping
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its children, those that ended included: PostgreSQL has a
    process for each connection."""
    return sum(_own_seconds(each) for each in (pid, *_descendants(pid)))


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds of each part between two readings."""
    return {name: after[name] - before[name] for name in before}


def _own_seconds(pid: int) -> float:
    try:
        fields = _fields(pid)
    except OSError:  # it ended since it was listed
        return 0.0
    return sum(int(each) for each in fields[11:15]) / TICKS_PER_S


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                parent = int(_fields(int(place.name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(place.name))
    found, unseen = list[int](), [pid]
    while unseen:
        unseen += (more := children.get(unseen.pop(), []))
        found += more
    return found


def _fields(pid: int) -> list[str]:
    """The fields after the name, which may contain spaces: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
