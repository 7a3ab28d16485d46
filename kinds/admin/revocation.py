"""A revocation: a token, or all that somebody was given before a moment, is not believed any more.
Only operators make one; deleting it lets the tokens in again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.admin import PROVIDER
from secaplane.kinds.authorization.role_assignment import Sub
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Backing, Kind, ParentsByKind, SpecRules
from secaplane.model.shape import Json, Wire

TokenId = Annotated[str, Meta(min_length=1, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]


class RevocationSpec(Wire, frozen=True):
    """Either the id of one token, or somebody and a moment."""

    jti: TokenId | UnsetType = UNSET
    sub: Sub | UnsetType = UNSET
    """With the issuer's prefix, as role assignments name it."""
    issued_before: Moment | UnsetType = UNSET


def one_or_the_other(old: Json | None, new: Json, around: ParentsByKind) -> Iterable[BrokenRule]:
    if "jti" in new:
        for other in ("sub", "issuedBefore"):
            if other in new:
                yield BrokenRule("does not stand beside jti", f"/spec/{other}")
    elif "sub" not in new and "issuedBefore" not in new:
        yield BrokenRule("says nothing: jti, or sub and issuedBefore", "/spec")
    else:
        for needed in ("sub", "issuedBefore"):
            if needed not in new:
                yield BrokenRule("is required where there is no jti", f"/spec/{needed}")


KIND = Kind(
    provider=PROVIDER,
    name="revocation",
    title="Revocation",
    collection="revocations",
    spec=RevocationSpec,
    rules=SpecRules(check=one_or_the_other),
    backing=Backing.RECORD,
)
