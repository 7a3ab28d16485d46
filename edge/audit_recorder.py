"""Decides which requests become entries of the security audit stream: refused ones (401, 403), the
first use of each token (a login), and allowed reads of privileged kinds."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime
from hashlib import blake2b

from secaplane.audit.entries import ALLOWS_IT, UNKNOWN_CALLER, Entry, EntryCaller, EntryType, entry
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.origin import client_address
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden, Refusal, Unauthenticated
from secaplane.policy.tokens.caller import Caller

TOKENS_MAX = 10_000
"""Recently used tokens; one that was evicted counts as a login again."""
READS = ("get", "list")
WORDS_MAX, HEADERS_MAX = 8, 4
"""A valid request has one Authorization header of two words; more than this is not examined."""
RECORDED: dict[type[Refusal], EntryType] = {
    Unauthenticated: "unauthenticated",
    Forbidden: "forbidden",
}


class AuditRecorder:
    def __init__(
        self,
        record: Callable[[Entry], None],
        *,
        clock: Callable[[], datetime],
        privileged: Collection[str] = (),
        proxies: TrustedProxies | None = None,
    ) -> None:
        """`record` neither waits nor fails; `privileged` are names of kinds."""
        self._record, self._clock = record, clock
        self._privileged = frozenset(privileged)
        self._proxies = proxies or TrustedProxies()
        self._tokens = OrderedDict[tuple[str, str, str], None]()
        self._salt = secrets.token_bytes(16)

    def refused(self, context: RequestContext, refusal: Refusal) -> None:
        """Record a 401 or 403; other refusals do not concern security."""
        entry_type = RECORDED.get(type(refusal))
        if entry_type is not None:
            self._record_request(entry_type, context, refusal.detail)

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
        """Record an allowed read of a privileged kind, with the assignment that allows it."""
        if kind in self._privileged and verb in READS:
            self._record_request("read", context, f"{actor.assignment}{ALLOWS_IT}")

    def _record_request(
        self, entry_type: EntryType, context: RequestContext, reason: str = ""
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
                secrets=_words_of_authorization(context),
            )
        )

    def _digest(self, token: str) -> str:
        return blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=16).hexdigest()


def _words_of_authorization(context: RequestContext) -> list[str]:
    """The words of every Authorization header: one of them is the token."""
    headers = context.headers(b"authorization")[:HEADERS_MAX]
    return [word for each in headers for word in each.split(None, WORDS_MAX)[:WORDS_MAX]]
