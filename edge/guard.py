"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.visit import Visit
from edge.witness import Witness
from model.events import By
from model.kind import Kind
from policy.caller import Caller, Tokens
from policy.may import Policy


@dataclass(frozen=True)
class Guard:
    tokens: Tokens
    policy: Policy
    witness: Witness

    def admit(
        self, visit: Visit, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, By]:
        """Who is asking, and what allows it.

        Raises:
            Unauthenticated, Forbidden, Unavailable.
        """
        visit.verb = verb
        caller = self.caller(visit)
        return caller, self.allow(visit, caller, verb, kind, ids, name)

    def caller(self, visit: Visit) -> Caller:
        """Who is asking.

        Raises:
            Unauthenticated: nobody whom we know.
        """
        caller = visit.caller = self.tokens.caller(visit.header(b"authorization"))
        self.witness.came(visit, caller)
        return caller

    def allow(
        self,
        visit: Visit,
        caller: Caller,
        verb: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str = "",
    ) -> By:
        """What allows it.

        Raises:
            Forbidden, Unavailable.
        """
        allowed = self.policy.may(caller, verb, kind, ids, name)
        self.witness.allowed(visit, verb, kind.name, allowed)
        return allowed
