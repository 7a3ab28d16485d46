"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.rates import RateLimits
from secaplane.model.errors import Unauthenticated
from secaplane.model.events import Actor
from secaplane.model.kind import Kind
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller, TokenVerifier


@dataclass(frozen=True)
class Guard:
    tokens: TokenVerifier
    policy: Policy
    witness: AuditRecorder
    rates: RateLimits | None = None
    """None sets no limit."""

    async def admit(
        self, context: RequestContext, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, Actor]:
        """Who is asking, and what allows it. Waits only for a key that a token names and we do not
        know.

        Raises:
            Unauthenticated, Forbidden, TooMany, Unavailable.
        """
        context.verb = verb
        caller = await self.caller(context)
        return caller, self.allow(context, caller, verb, kind, ids, name)

    async def caller(self, context: RequestContext) -> Caller:
        """Who is asking. Waits only for a key that a token names and we do not know.

        Raises:
            Unauthenticated: nobody whom we know.
            TooMany: the caller asks too often.
            Unavailable: the keys of the token's issuer have never been had, or not for long.
        """
        sent = context.headers(b"authorization")
        if len(sent) > 1:  # somebody before us may have read the other one
            raise Unauthenticated("send one token: Authorization: Bearer <JWT>")
        caller = context.caller = await self.tokens.caller(sent[0] if sent else None)
        self.witness.came(context, caller)
        if self.rates is not None:
            self.rates.refuse_hasty(caller.issuer, caller.sub)
        return caller

    def allow(
        self,
        context: RequestContext,
        caller: Caller,
        verb: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str = "",
    ) -> Actor:
        """What allows it. What a stranger asks of a tenant does not count against those who may.

        Raises:
            Forbidden, TooMany, Unavailable.
        """
        allowed = self.policy.may(caller, verb, kind, ids, name)
        self.witness.allowed(context, verb, kind.name, allowed)
        if self.rates is not None:
            self.rates.refuse_crowded(ids.get("tenant", ""))
        return allowed
