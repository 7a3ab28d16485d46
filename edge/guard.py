"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.rates import Rates
from edge.visit import Visit
from model.errors import Unauthenticated
from model.events import By
from model.kind import Kind
from policy.caller import Caller, Tokens
from policy.may import Policy


@dataclass(frozen=True)
class Guard:
    tokens: Tokens
    policy: Policy
    rates: Rates | None = None
    """None sets no limit."""

    async def admit(
        self, visit: Visit, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, By]:
        """Who is asking, and what allows it. Waits only for a key that a token names and we do not
        know. What a stranger asks of a tenant does not count against those who may.

        Raises:
            Unauthenticated, Forbidden, TooMany, Unavailable.
        """
        sent = visit.headers(b"authorization")
        if len(sent) > 1:  # somebody before us may have read the other one
            raise Unauthenticated("send one token: Authorization: Bearer <JWT>")
        caller = await self.tokens.caller(sent[0] if sent else None)
        if self.rates is None:
            return caller, self.policy.may(caller, verb, kind, ids, name)
        self.rates.refuse_hasty(caller.issuer, caller.sub)
        allowed = self.policy.may(caller, verb, kind, ids, name)
        self.rates.refuse_crowded(ids.get("tenant", ""))
        return caller, allowed
