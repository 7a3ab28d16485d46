"""The guard at every route: token -> Caller -> may; or Unauthenticated, Forbidden."""

from collections.abc import Mapping
from dataclasses import dataclass

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

    async def admit(
        self, visit: Visit, verb: str, kind: Kind, ids: Mapping[str, str], name: str = ""
    ) -> tuple[Caller, By]:
        """Who is asking, and what allows it. Waits only for a key that a token names and we do not
        know.

        Raises:
            Unauthenticated, Forbidden, Unavailable.
        """
        sent = visit.headers(b"authorization")
        if len(sent) > 1:  # somebody before us may have read the other one
            raise Unauthenticated("send one token: Authorization: Bearer <JWT>")
        caller = await self.tokens.caller(sent[0] if sent else None)
        return caller, self.policy.may(caller, verb, kind, ids, name)
