"""Revoked tokens: valid ones that are no longer accepted, as resources of the log say."""

from collections.abc import Iterable

from secaplane.model.instant import instant_of
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.assignments import PolicyResource

KINDS_OF_REVOCATION = ("revocation",)


class Revocations:
    """Notified by the watch (`policy.watch.PolicySubscriber`)."""

    def __init__(self) -> None:
        self._revision = BEGINNING
        self._by_ref: dict[Ref, Json] = {}
        self._changed = False
        self._tokens: frozenset[str] = frozenset()
        self._issued_before: dict[str, float] = {}
        """Sub -> its tokens issued before that time are revoked; in seconds since 1970."""

    def reset(self, revision: Position) -> None:
        self._revision = revision
        self._by_ref.clear()
        self._changed = True

    def update(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        """Take the current state of revocations; one that cannot be decoded stays in force as it
        was. An update of an older revision arrived late, and is ignored."""
        if revision < self._revision:
            return
        for resource in resources:
            self._by_ref.pop(resource.ref, None)
            if not resource.terminating:
                self._by_ref[resource.ref] = resource.spec
        self._revision, self._changed = revision, True

    def include(self, sub: str, token: str, issued_at: float) -> bool:
        """True if a token is revoked: by its id, or because it was issued to its sub too early. One
        without a time of issue (0) was issued before every other."""
        if self._changed:
            self._rebuild()
        issued_before = self._issued_before.get(sub)
        return token in self._tokens or (issued_before is not None and issued_at < issued_before)

    def _rebuild(self) -> None:
        specs = self._by_ref.values()
        self._tokens = frozenset(spec["jti"] for spec in specs if "jti" in spec)
        self._issued_before = {}
        for spec in specs:
            if "sub" in spec:
                moment = instant_of(spec["issuedBefore"]).timestamp()
                known = self._issued_before.get(spec["sub"], moment)
                self._issued_before[spec["sub"]] = max(moment, known)
        self._changed = False
