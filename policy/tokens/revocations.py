"""Tokens that are not believed any more, though nothing is wrong with them: as the log has it."""

from collections.abc import Iterable
from datetime import datetime

from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.assignments import PolicyResource

KINDS_OF_REVOCATION = ("revocation",)


class Revocations:
    def __init__(self) -> None:
        self._by_ref: dict[Ref, Json] = {}
        self._changed = False
        self._tokens: frozenset[str] = frozenset()
        self._before: dict[str, float] = {}
        """Sub -> what was issued before that moment is revoked, in seconds since 1970."""

    def begin(self, revision: Position) -> None:
        self._by_ref.clear()
        self.learn((), revision)

    def learn(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        unreadable: Iterable[Ref] = (),
    ) -> None:
        """Take revocations as they now are; one that cannot be read stays as it was known."""
        for resource in resources:
            self._by_ref.pop(resource.ref, None)
            if not resource.terminating:
                self._by_ref[resource.ref] = resource.spec
        self._changed = True

    def _understand(self) -> None:
        specs = self._by_ref.values()
        self._tokens = frozenset(spec["jti"] for spec in specs if "jti" in spec)
        self._before = {}
        for spec in specs:
            if "sub" in spec:
                moment = datetime.fromisoformat(spec["issuedBefore"]).timestamp()
                self._before[spec["sub"]] = max(moment, self._before.get(spec["sub"], moment))
        self._changed = False

    def include(self, sub: str, token: str, issued_at: float) -> bool:
        """Whether a token is revoked: by its id, or because it was issued to somebody too early.
        One that does not say when it was issued (0) was issued before everything."""
        if self._changed:
            self._understand()
        before = self._before.get(sub)
        return token in self._tokens or (before is not None and issued_at < before)
