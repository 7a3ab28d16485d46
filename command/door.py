"""What the door to the log needs: the log, and the world's time, chance and read model, given to
it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from command.lookout import Inside, Reached
from command.situation import Site
from command.turns import Turns
from eventlog.folds import Folds
from eventlog.log import Log
from model.shape import Ref

Users = Callable[[Sequence[Ref], bool], Awaitable[Sequence[Ref]]]
"""(addresses, also what is going) -> what the read model knows to hold one of them."""

NamedBy = Callable[[Ref, Sequence[str]], Awaitable[Sequence[Ref]]]
"""(address, kinds) -> what the read model knows to live of those kinds and to refer to it."""


@dataclass(frozen=True)
class Door:
    log: Log
    folds: Folds
    clock: Callable[[], datetime]
    new_uid: Callable[[], str]
    inside: Inside
    users: Users
    named_by: NamedBy
    reached: Reached
    site: Site = field(default_factory=Site)
    turns: Turns = field(default_factory=Turns)
