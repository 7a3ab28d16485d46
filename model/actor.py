"""The actor of an event: the caller, the origin of the request, and why it was allowed. Pure.

For readers of history (C5:2026 PSS-04.03B), never for `evolve`.
"""

import msgspec

from secaplane.model.position import BEGINNING, Position


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The caller that caused an event, and its origin (C5:2026 PSS-04.03B). `evolve` ignores it."""

    issuer: str = ""
    sub: str
    token: str = ""  # its id (`jti`), never the token itself
    groups: tuple[str, ...] = ()
    assignment: str = ""  # the role assignment that allowed the command, and the role in it
    policy: Position = BEGINNING  # revision of the authorization policy that was applied
    client_address: str = ""  # through trusted proxies (OCSF `src_endpoint`)
    user_agent: str = ""  # at most 256 printable characters
    traceparent: str = ""  # W3C Trace Context, if the client sent one


SealedActor = str  # encrypted; without the key, readers learn only that there was an actor


class ShownActor(Actor, frozen=True, kw_only=True):
    """An actor as readers of history see it; never stored."""

    pseudonym: str = ""
    """The same for the same person in one tenant life, of actors that are stored sealed: it tells
    persons apart whose names were erased."""


SYSTEM, RECONCILER = Actor(sub="system"), Actor(sub="reconciler")
RESERVED_SUBS = (SYSTEM.sub, RECONCILER.sub)  # no token may claim to be the control plane

GROUP = "group:"
"""The beginning of a group's name wherever a subject is named: `group:<issuer prefix><name>`. No
sub may begin with it."""
