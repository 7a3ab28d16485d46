"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

from secaplane.edge.audit_recorder import Witness
from secaplane.edge.requests.context import Visit
from secaplane.edge.requests.rates import Rates
from secaplane.model.errors import Unauthenticated
from secaplane.model.events import By
from secaplane.model.kind import Kind
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller, Tokens


@dataclass(frozen=True)
class Guard:
    tokens: Tokens
    policy: Policy
    witness: Witness
    rates: Rates | None = None
    """None sets no limit."""

    async def admit(
        self, visit: Visit, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, By]:
        """Who is asking, and what allows it. Waits only for a key that a token names and we do not
        know.

        Raises:
            Unauthenticated, Forbidden, TooMany, Unavailable.
        """
        visit.verb = verb
        caller = await self.caller(visit)
        return caller, self.allow(visit, caller, verb, kind, ids, name)

    async def caller(self, visit: Visit) -> Caller:
        """Who is asking. Waits only for a key that a token names and we do not know.

        Raises:
            Unauthenticated: nobody whom we know.
            TooMany: the caller asks too often.
            Unavailable: the keys of the token's issuer have never been had, or not for long.
        """
        sent = visit.headers(b"authorization")
        if len(sent) > 1:  # somebody before us may have read the other one
            raise Unauthenticated("send one token: Authorization: Bearer <JWT>")
        caller = visit.caller = await self.tokens.caller(sent[0] if sent else None)
        self.witness.came(visit, caller)
        if self.rates is not None:
            self.rates.refuse_hasty(caller.issuer, caller.sub)
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
        """What allows it. What a stranger asks of a tenant does not count against those who may.

        Raises:
            Forbidden, TooMany, Unavailable.
        """
        allowed = self.policy.may(caller, verb, kind, ids, name)
        self.witness.allowed(visit, verb, kind.name, allowed)
        if self.rates is not None:
            self.rates.refuse_crowded(ids.get("tenant", ""))
        return allowed
