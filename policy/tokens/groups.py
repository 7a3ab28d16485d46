"""The groups that a token names, as role assignments name them: `group:<issuer prefix><name>`."""

from collections.abc import Callable, Mapping
from typing import Any

from secaplane.model.actor import GROUP
from secaplane.model.errors import Unauthenticated
from secaplane.model.pointer import at
from secaplane.policy.tokens.issuer import Issuer

GROUPS_MAX = 512
GROUP_LENGTH_MAX = 128
"""No longer subject can be named in a role assignment."""


def groups_of(
    claims: Mapping[str, Any], issuer: Issuer, prefix_of: Callable[[str], str]
) -> tuple[str, ...]:
    """The groups in the issuer's claim, sorted. Left out are names that no assignment can name, and
    those with the prefix of another issuer (`prefix_of` answers whose prefix a name has).

    Raises:
        Unauthenticated: the claim is no list of names, or names too many.
    """
    claim = issuer.groups_claim
    named = at(claims, claim) if claim.startswith("/") else claims.get(claim) if claim else None
    if named is None:
        return ()
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise Unauthenticated(f"the token's claim {claim} is no list of group names")
    if len(named) > GROUPS_MAX:
        raise Unauthenticated(
            f"the token names {len(named)} groups, over the limit of {GROUPS_MAX}: configure the"
            " issuer to name fewer"
        )
    names = {each: issuer.prefix + each for each in named if each}
    return tuple(
        sorted(
            GROUP + name
            for name in names.values()
            if prefix_of(name) == issuer.prefix and _can_be_named(name)
        )
    )


def _can_be_named(name: str) -> bool:
    """No NUL and no half of a surrogate pair: an event could not hold it."""
    if "\0" in name or any("\ud800" <= each <= "\udfff" for each in name):
        return False
    return len(GROUP + name) <= GROUP_LENGTH_MAX
