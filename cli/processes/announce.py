"""How a child tells the process that started it that it is ready."""

import os
from collections.abc import Callable, MutableMapping

import msgspec

FD = "SECAPLANE_READY_FD"


class Announcement(msgspec.Struct, frozen=True):
    """The ports it listens on; 0 where it has none."""

    port: int = 0
    monitor: int = 0


Announce = Callable[[Announcement], None]


def to_parent(environment: MutableMapping[str, str]) -> Announce:
    """Writes one line of JSON to the descriptor that the parent named, if it named one."""
    fd = environment.pop(FD, None)

    def announce(ready: Announcement) -> None:
        if fd is not None:
            os.write(int(fd), msgspec.json.encode(ready) + b"\n")

    return announce
