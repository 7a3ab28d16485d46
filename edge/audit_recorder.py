"""Tells the second stream who was refused, who came, and who read what is privileged."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime
from hashlib import blake2b

from secaplane.audit.entries import UNKNOWN_CALLER, Entry, EntryCaller, EntryType, entry
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Forbidden, Refusal, Unauthenticated
from secaplane.model.events import Actor
from secaplane.policy.tokens.caller import Caller

KNOWN_MAX = 10_000
"""Tokens that were seen lately; one that was forgotten is a new one."""
READS = ("get", "list")
WORDS_MAX, HEADERS_MAX = 8, 4
"""A caller is named by one header of two words; nobody is read to the end who sends more."""
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
        self._record, self._clock = record, clock
        self._privileged = frozenset(privileged)
        self._proxies = proxies or TrustedProxies()
        self._known = OrderedDict[tuple[str, str, str], None]()
        self._salt = secrets.token_bytes(16)

    def refused(self, context: RequestContext, refusal: Refusal) -> None:
        """A 401 or 403; others are no matter of who may."""
        sort = RECORDED.get(type(refusal))
        if sort is not None:
            self._tell(sort, context, refusal.detail)

    def came(self, context: RequestContext, caller: Caller) -> None:
        """A caller whose token is good; new is only one that this process has not seen."""
        shown = caller.token or self._digest(" ".join(_sent(context)))
        key = (caller.issuer, caller.sub, shown)
        if key in self._known:
            self._known.move_to_end(key)
            return
        self._known[key] = None
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        self._tell("login", context)

    def allowed(self, context: RequestContext, verb: str, kind: str, actor: Actor) -> None:
        if kind in self._privileged and verb in READS:
            self._tell("read", context, f"{actor.assignment} allows it")

    def _tell(self, sort: EntryType, context: RequestContext, reason: str = "") -> None:
        caller = context.caller
        self._record(
            entry(
                sort,
                time=self._clock(),
                request=context.request_id,
                source=self._proxies.source(context.peer, context.headers(b"x-forwarded-for")),
                caller=EntryCaller(caller.issuer, caller.sub, caller.token)
                if caller
                else UNKNOWN_CALLER,
                verb=context.verb or context.method.lower(),
                path=context.path,
                reason=reason,
                secrets=_sent(context),
            )
        )

    def _digest(self, token: str) -> str:
        return blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=16).hexdigest()


def _sent(context: RequestContext) -> list[str]:
    """The words of every Authorization header: one is the token, whatever the others are."""
    headers = context.headers(b"authorization")[:HEADERS_MAX]
    return [word for each in headers for word in each.split()[:WORDS_MAX]]
