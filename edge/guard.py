"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.visit import Visit
from model.events import By
from model.kind import Kind
from policy.caller import Caller, Tokens
from policy.may import Policy


@dataclass(frozen=True)
class Guard:
    tokens: Tokens
    policy: Policy

    def admit(
        self, visit: Visit, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, By]:
        """Who is asking, and what allows it.

        Raises:
            Unauthenticated, Forbidden, Unavailable.
        """
        caller = self.tokens.caller(visit.header(b"authorization"))
        return caller, self.policy.may(caller, verb, kind, ids, name)
