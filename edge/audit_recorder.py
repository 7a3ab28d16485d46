"""Tells the second stream who was refused, who came, and who read what is privileged."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime
from hashlib import blake2b

from secaplane.audit.entries import NOBODY, Entry, Sort, Who, entry
from secaplane.edge.requests.client_address import Proxies
from secaplane.edge.requests.context import Visit
from secaplane.model.errors import Forbidden, Refusal, Unauthenticated
from secaplane.model.events import By
from secaplane.policy.tokens.caller import Caller

KNOWN_MAX = 10_000
"""Tokens that were seen lately; one that was forgotten is a new one."""
READS = ("get", "list")
WORDS_MAX, HEADERS_MAX = 8, 4
"""A caller is named by one header of two words; nobody is read to the end who sends more."""
RECORDED: dict[type[Refusal], Sort] = {
    Unauthenticated: "unauthenticated",
    Forbidden: "forbidden",
}


class Witness:
    def __init__(
        self,
        record: Callable[[Entry], None],
        *,
        clock: Callable[[], datetime],
        privileged: Collection[str] = (),
        proxies: Proxies | None = None,
    ) -> None:
        self._record, self._clock = record, clock
        self._privileged = frozenset(privileged)
        self._proxies = proxies or Proxies()
        self._known = OrderedDict[tuple[str, str, str], None]()
        self._salt = secrets.token_bytes(16)

    def refused(self, visit: Visit, refusal: Refusal) -> None:
        """A 401 or 403; others are no matter of who may."""
        sort = RECORDED.get(type(refusal))
        if sort is not None:
            self._tell(sort, visit, refusal.detail)

    def came(self, visit: Visit, caller: Caller) -> None:
        """A caller whose token is good; new is only one that this process has not seen."""
        shown = caller.token or self._digest(" ".join(_sent(visit)))
        key = (caller.issuer, caller.sub, shown)
        if key in self._known:
            self._known.move_to_end(key)
            return
        self._known[key] = None
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        self._tell("login", visit)

    def allowed(self, visit: Visit, verb: str, kind: str, by: By) -> None:
        if kind in self._privileged and verb in READS:
            self._tell("read", visit, f"{by.assignment} allows it")

    def _tell(self, sort: Sort, visit: Visit, reason: str = "") -> None:
        caller = visit.caller
        self._record(
            entry(
                sort,
                time=self._clock(),
                request=visit.request_id,
                source=self._proxies.source(visit.peer, visit.headers(b"x-forwarded-for")),
                caller=Who(caller.issuer, caller.sub, caller.token) if caller else NOBODY,
                verb=visit.verb or visit.method.lower(),
                path=visit.path,
                reason=reason,
                secrets=_sent(visit),
            )
        )

    def _digest(self, token: str) -> str:
        return blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=16).hexdigest()


def _sent(visit: Visit) -> list[str]:
    """The words of every Authorization header: one is the token, whatever the others are."""
    headers = visit.headers(b"authorization")[:HEADERS_MAX]
    return [word for each in headers for word in each.split()[:WORDS_MAX]]
