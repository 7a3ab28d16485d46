"""The message of a child process to its parent: it is ready, and on which ports it listens."""

import os
from collections.abc import Callable, MutableMapping

import msgspec

FD = "SECAPLANE_READY_FD"


class Announcement(msgspec.Struct, frozen=True):
    """Ports the process listens on; 0: none."""

    port: int = 0
    monitor: int = 0


Announce = Callable[[Announcement], None]


def to_parent(environment: MutableMapping[str, str]) -> Announce:
    """A function that writes one line of JSON to the file descriptor in SECAPLANE_READY_FD; it does
    nothing where the variable is not set. The variable is removed from `environment`."""
    fd = environment.pop(FD, None)

    def announce(ready: Announcement) -> None:
        if fd is not None:
            os.write(int(fd), msgspec.json.encode(ready) + b"\n")

    return announce
