"""Revocation: refuses one token, or all tokens of a subject that were issued before a time.

Not part of SECA: operators create it; deleting it makes the tokens valid again."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.admin import PROVIDER
from secaplane.kinds.authorization.role_assignment import Sub
from secaplane.model.errors import BrokenRule
from secaplane.model.instant import Instant
from secaplane.model.kind import Backing, Kind, SpecRules
from secaplane.model.shape import Json, Wire
from secaplane.model.subject import broken_sub

TokenId = Annotated[str, Meta(min_length=1, max_length=128)]


class RevocationSpec(Wire, frozen=True):
    """Either the id of one token, or a subject and a time."""

    jti: TokenId | UnsetType = UNSET
    sub: Sub | UnsetType = UNSET
    """With the issuer's prefix, as role assignments name it."""
    issued_before: Instant | UnsetType = UNSET


def token_or_subject(spec: Json) -> Iterable[BrokenRule]:
    if "jti" in spec:
        for other in ("sub", "issuedBefore"):
            if other in spec:
                yield BrokenRule("excludes jti; leave one of them out", f"/spec/{other}")
    elif "sub" not in spec and "issuedBefore" not in spec:
        yield BrokenRule("names no token: set jti, or sub and issuedBefore", "/spec")
    else:
        for needed in ("sub", "issuedBefore"):
            if needed not in spec:
                yield BrokenRule("is required unless jti is set", f"/spec/{needed}")
    yield from broken_sub(spec.get("sub", ""), "/spec/sub")


KIND = Kind(
    provider=PROVIDER,
    name="revocation",
    title="Revocation",
    collection="revocations",
    spec=RevocationSpec,
    rules=SpecRules(check=token_or_subject),
    backing=Backing.RECORD,
)
