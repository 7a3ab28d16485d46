"""Decides which requests become entries of the security audit stream: refused ones (401, 403),
writes of a known caller that are refused with any other status, the first use of each token (a
login), allowed reads of privileged kinds, and reads by the right of an operator."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime
from hashlib import blake2b

from msgspec import UNSET, UnsetType

from secaplane.audit.entries import (
    ALL_TENANTS,
    ALLOWS_IT,
    UNKNOWN_CALLER,
    Entry,
    EntryCaller,
    EntryTenant,
    EntryType,
    entry,
    tenant_in,
)
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.origin import client_address, printable
from secaplane.kinds.field_names import known_part
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden, Refusal, Unauthenticated
from secaplane.model.position import BEGINNING
from secaplane.policy.grants.decision import Membership
from secaplane.policy.grants.rules import CONFIGURATION
from secaplane.policy.tokens.caller import Caller

TOKENS_MAX = 10_000
"""Recently used tokens; one that was evicted counts as a login again."""
READS = ("get", "list")
WRITES = ("PUT", "POST", "DELETE")
TENANT = "tenant"
NO_TENANT = Membership("", known=False, revision=BEGINNING)
PLACES_MAX = 8
WORDS_MAX, HEADERS_MAX = 8, 4
"""A valid request has one Authorization header of two words; more than this is not examined."""
RECORDED: dict[type[Refusal], EntryType] = {
    Unauthenticated: "unauthenticated",
    Forbidden: "forbidden",
}
Memberships = Callable[[Caller | None, str], Membership]
"""(caller, name of a tenant) -> both, as the authorization policy knows them."""


class AuditRecorder:
    def __init__(
        self,
        record: Callable[[Entry], None],
        *,
        clock: Callable[[], datetime],
        membership: Memberships,
        privileged: Collection[str] = (),
        proxies: TrustedProxies | None = None,
    ) -> None:
        """`record` neither waits nor fails; `privileged` are names of kinds."""
        self._record, self._clock, self._membership = record, clock, membership
        self._privileged = frozenset(privileged)
        self._proxies = proxies or TrustedProxies()
        self._tokens = OrderedDict[tuple[str, str, str], None]()
        self._salt = secrets.token_bytes(16)

    def refused(self, context: RequestContext, refusal: Refusal, status: int) -> None:
        """Record a 401 or 403, and the write of a known caller that is refused with another status.

        Of the latter the places of broken rules are recorded and no text: it may quote what was
        sent, and entries are stored in clear."""
        entry_type = RECORDED.get(type(refusal))
        if entry_type is not None:
            self._record_request(entry_type, context, refusal.detail, self._tenant(context))
        elif context.caller is not None and context.method in WRITES:
            tenant, places = self._tenant(context), _places(refusal)
            self._record_request("refused", context, places, tenant, status)

    def authenticated(self, context: RequestContext, caller: Caller) -> None:
        """Record a login, if this process has not seen the caller's token before."""
        token = caller.token or self._digest(" ".join(_words_of_authorization(context)))
        key = (caller.issuer, caller.sub, token)
        if key in self._tokens:
            self._tokens.move_to_end(key)
            return
        self._tokens[key] = None
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        self._record_request("login", context)

    def allowed(self, context: RequestContext, verb: str, kind: str, actor: Actor) -> None:
        """Record an allowed read of a privileged kind, or by the right of an operator, with the
        assignment that allows it. An operator who lists tenants reads something of each."""
        by_operator = actor.assignment == CONFIGURATION
        if (by_operator or kind in self._privileged) and verb in READS:
            tenant = self._tenant(context)
            if by_operator and kind == TENANT and verb == "list":
                tenant = EntryTenant(ALL_TENANTS, True, str(actor.policy))
            self._record_request("read", context, f"{actor.assignment}{ALLOWS_IT}", tenant)

    def _tenant(self, context: RequestContext) -> EntryTenant | UnsetType:
        """Unset where the path names no tenant, or one without roles and assignments."""
        name = tenant_in(context.path)
        uid, known, revision = self._membership(context.caller, name) if name else NO_TENANT
        return EntryTenant(uid, known, str(revision)) if uid else UNSET

    def _record_request(
        self,
        entry_type: EntryType,
        context: RequestContext,
        reason: str = "",
        tenant: EntryTenant | UnsetType = UNSET,
        status: int | UnsetType = UNSET,
    ) -> None:
        caller = context.caller
        self._record(
            entry(
                entry_type,
                time=self._clock(),
                request=context.request_id,
                client_address=client_address(context, self._proxies),
                caller=EntryCaller(caller.issuer, caller.sub, caller.token, caller.groups)
                if caller
                else UNKNOWN_CALLER,
                verb=context.verb or context.method.lower(),
                path=context.path,
                reason=reason,
                user_agent=printable(context.header(b"user-agent") or ""),
                concerns=tenant,
                status=status,
                secrets=_words_of_authorization(context),
            )
        )

    def _digest(self, token: str) -> str:
        return blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=16).hexdigest()


def _places(refusal: Refusal) -> str:
    """The fields that a refusal is about, without what the caller has chosen."""
    known = (known_part(each.pointer) for each in refusal.sources[:PLACES_MAX])
    return ", ".join(dict.fromkeys(each for each in known if each))


def _words_of_authorization(context: RequestContext) -> list[str]:
    """The words of every Authorization header: one of them is the token."""
    headers = context.headers(b"authorization")[:HEADERS_MAX]
    return [word for each in headers for word in each.split(None, WORDS_MAX)[:WORDS_MAX]]
