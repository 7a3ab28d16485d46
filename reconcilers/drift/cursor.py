"""The address that the scan for drift has reached, kept over restarts in a NATS key-value bucket.

All processes share it: one that starts begins where another was, and then passes every address.
"""

import logging

import msgspec
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError

from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref
from secaplane.readmodel.questions.settled import FIRST

KEY = "scan"
_LOST: tuple[type[Exception], ...] = (*CONNECTION_ERRORS, *NOT_JSON)
log = logging.getLogger("secaplane.drift")


class ScanCursor:
    """A cursor that is lost costs a part of a round: errors of NATS are logged, and that is all."""

    def __init__(self, nats: Client, *, stream: str, replicas: int) -> None:
        self._nats, self._bucket, self._replicas = nats, f"{stream}-drift", replicas

    async def load(self) -> Ref:
        try:
            bucket = await self._nats.jetstream().create_key_value(
                bucket=self._bucket, history=1, replicas=self._replicas
            )
            value = (await bucket.get(KEY)).value or b""
            return msgspec.json.decode(value, type=Ref)
        except KeyNotFoundError:
            return FIRST
        except _LOST as error:
            log.warning("the scan for drift begins anew", extra={"reason": reason_of(error)})
            return FIRST

    async def save(self, ref: Ref) -> None:
        try:
            bucket = await self._nats.jetstream().key_value(self._bucket)
            await bucket.put(KEY, msgspec.json.encode(ref))
        except CONNECTION_ERRORS as error:
            log.warning("the scan's address was not kept", extra={"reason": reason_of(error)})
