"""The grants of one caller in one place, with the decisions that were made over them."""

from collections.abc import Iterable

from secaplane.model.actor import Actor
from secaplane.model.position import Position
from secaplane.policy.grants.enforcer import GrantEnforcer
from secaplane.policy.grants.filters import ListRights
from secaplane.policy.grants.rules import AccessRequest, Grant


class CallerGrants:
    """The grants of one caller in one workspace of one tenant, as of an edition of the tenant's
    policy, with the decisions made over them."""

    __slots__ = ("decisions", "edition", "enforcer", "filters", "groups", "revision")

    def __init__(
        self,
        grants: Iterable[Grant],
        revision: Position,
        edition: int,
        groups: tuple[str, ...] = (),
    ) -> None:
        self.enforcer = GrantEnforcer(grants)
        self.revision, self.edition, self.groups = revision, edition, groups
        self.decisions: dict[tuple[str, ...], Actor | None] = {}
        self.filters: dict[AccessRequest, ListRights | None] = {}
