"""The guard of every route: it authenticates the caller, then authorizes the request.

    Authorization header -> TokenVerifier -> Caller -> rate limit of the caller
    Caller, verb, kind, ids, name -> Policy -> Actor -> rate limit of the tenant

Each step that fails raises a refusal, so a route that gets an answer from the guard may go on.
Logins and allowed reads of privileged kinds are recorded here; refusals are recorded where they
become answers (`edge.serving.app`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.failures import FailedAuthentications
from secaplane.edge.requests.origin import client_address
from secaplane.edge.requests.rates import RateLimits
from secaplane.edge.requests.tenant_shares import TenantShares
from secaplane.model.actor import Actor
from secaplane.model.errors import Unauthenticated
from secaplane.model.kind import Kind
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller, TokenVerifier


@dataclass(frozen=True)
class Guard:
    tokens: TokenVerifier
    policy: Policy
    recorder: AuditRecorder
    rates: RateLimits | None = None
    """None sets no limit."""
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """Proxies that are trusted to name the client's address."""
    failures: FailedAuthentications = field(default_factory=FailedAuthentications)
    """Delays the refusals of addresses that fail often."""
    shares: TenantShares = field(default_factory=TenantShares)
    """Of tenants that send requests at the same time."""

    async def admit(
        self, context: RequestContext, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, Actor]:
        """Authenticate and authorize a request: `authenticate`, then `authorize`.

        Raises:
            Unauthenticated, Forbidden, RateLimited, Unavailable.
        """
        context.verb = verb
        caller = await self.authenticate(context)
        actor = self.authorize(context, caller, verb, kind, ids, name)
        await self._turn(context, ids)
        return caller, actor

    async def admit_list(
        self, context: RequestContext, kind: Kind, ids: Mapping[str, str]
    ) -> Sequence[str] | None:
        """Authenticate and authorize a list: the names that the caller may see, or None for all.

        Raises:
            Unauthenticated, Forbidden, RateLimited, Unavailable.
        """
        context.verb = "list"
        caller = await self.authenticate(context)
        rights = self.policy.authorize_list(caller, kind, ids)
        self._admitted(context, "list", kind, ids, rights.actor)
        await self._turn(context, ids)
        return rights.names

    async def admit_view(
        self,
        context: RequestContext,
        verb: str,
        view: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str,
    ) -> tuple[Caller, Actor]:
        """Authenticate and authorize a request for a view of a resource (`kinds.views`).

        Raises:
            Unauthenticated, Forbidden, RateLimited, Unavailable.
        """
        context.verb = verb
        caller = await self.authenticate(context)
        actor = self.authorize_view(context, caller, verb, view, kind, ids, name)
        await self._turn(context, ids)
        return caller, actor

    def authorize_view(
        self,
        context: RequestContext,
        caller: Caller,
        verb: str,
        view: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str,
    ) -> Actor:
        """As `authorize`, for a view of a resource."""
        actor = self.policy.authorize_view(caller, verb, view, kind, ids, name)
        self._admitted(context, verb, kind, ids, actor)
        return actor

    async def authenticate(self, context: RequestContext) -> Caller:
        """The caller of a request. Waits only for a signing key that is not cached, and bounded.

        Raises:
            Unauthenticated: no valid token of a trusted issuer was sent.
            RateLimited: the caller sends too many requests.
            Unavailable: the keys of the token's issuer are not known, or stale.
        """
        try:
            caller = context.caller = await self._verified(context)
        except Unauthenticated:
            delay_s = self.failures.delay_s(client_address(context, self.proxies))
            if delay_s:
                await asyncio.sleep(delay_s)
            raise
        self.recorder.authenticated(context, caller)
        if self.rates is not None:
            self.rates.limit_caller(caller.issuer, caller.sub)
        return caller

    async def _verified(self, context: RequestContext) -> Caller:
        sent = context.headers(b"authorization")
        if len(sent) > 1:  # a proxy may have verified another one than we would
            raise Unauthenticated("send one token: Authorization: Bearer <JWT>")
        return await self.tokens.caller(sent[0] if sent else None)

    def authorize(
        self,
        context: RequestContext,
        caller: Caller,
        verb: str,
        kind: Kind,
        ids: Mapping[str, str],
        name: str = "",
    ) -> Actor:
        """The actor that events will name: the caller, and the role assignment that allows the
        request. Only authorized requests count for the tenant's rate limit, so that callers without
        rights in a tenant cannot use it up.

        Raises:
            Forbidden: no grant allows it.
            RateLimited: the tenant receives too many requests.
            Unavailable: the authorization policy is stale.
        """
        actor = self.policy.authorize(caller, verb, kind, ids, name)
        self._admitted(context, verb, kind, ids, actor)
        return actor

    async def _turn(self, context: RequestContext, ids: Mapping[str, str]) -> None:
        tenant = ids.get("tenant")
        if tenant:
            await context.take_share(self.shares, tenant)

    def _admitted(
        self, context: RequestContext, verb: str, kind: Kind, ids: Mapping[str, str], actor: Actor
    ) -> None:
        self.recorder.allowed(context, verb, kind.name, actor)
        if self.rates is not None:
            self.rates.limit_tenant(ids.get("tenant", ""))
