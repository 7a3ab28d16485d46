"""The caller's rights that a decision needs, read from the policy before the rule runs."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, Protocol

from secaplane.command.rules.checks import BLOCKERS_MAX
from secaplane.command.rules.references import always_exists, in_same_workspace, open_to_all
from secaplane.kinds.references import references_in
from secaplane.model.shape import Json, Ref


class CallerPolicy(Protocol):
    """The authorization policy, as it applies to the caller of one command."""

    def may_get(self, ref: Ref) -> bool:
        """Raises:
        Unavailable: the policy is stale.
        """
        ...

    async def excess(self, ref: Ref, old: Json | None, new: Json) -> str:
        """A permission that a PUT of a role or role assignment grants and the caller does not hold;
        empty where there is none.

        Raises:
            Unavailable: the policy is stale.
        """
        ...


class ReferencedRefs(NamedTuple):
    """The addresses that the references of a spec may mean."""

    loaded: list[Ref]
    """Those that a rule needs to see. A target that the caller may not get is left out, so that it
    counts as absent."""
    readable: frozenset[Ref] | None
    """As in `CallerRights`."""


def referenced_refs(
    ref: Ref, spec: Json, *, region: str, policy: CallerPolicy | None
) -> ReferencedRefs:
    """The addresses that the rules about references need, in one pass over the spec.

    Raises:
        Unavailable: the policy is stale.
    """
    loaded, readable = list[Ref](), set[Ref]()
    for reference in references_in(ref, spec, region=region):
        for link, target in reference.targets:
            required = link.strict and not always_exists(ref, target)
            open_ = policy is None or open_to_all(ref, target)
            if not open_ and (required or not in_same_workspace(ref, target)):
                assert policy is not None
                if target in readable or policy.may_get(target):
                    readable.add(target)
            if required and (open_ or target in readable):
                loaded.append(target)
    return ReferencedRefs(loaded, None if policy is None else frozenset(readable))


def readable_blockers(
    blockers: Iterable[Ref], policy: CallerPolicy | None
) -> frozenset[Ref] | None:
    """The first blockers that the caller may get, as many as a refusal names.

    Raises:
        Unavailable: the policy is stale.
    """
    if policy is None:
        return None
    return frozenset(islice(filter(policy.may_get, blockers), BLOCKERS_MAX))
