"""The key-value bucket of leases: reads from the leader of its stream, and compare-and-set."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.jetstream.api import EXPECTED, ServerError, json, request
from secaplane.eventlog.jetstream.log import WRONG_LAST_SEQUENCE
from secaplane.eventlog.jetstream.positions import NO_MESSAGE_FOUND
from secaplane.eventlog.log import LogUnavailable

ANSWER_S_MAX = 1.0
"""Less than a lease: a request without an answer is repeated before the lease is over."""


class RevisionConflict(Exception):
    """The key has another revision than the one expected; nothing was written."""


class BucketEntry(NamedTuple):
    revision: int
    value: bytes


NOTHING = BucketEntry(0, b"")


class Bucket(Protocol):
    async def read(self, key: str) -> BucketEntry:
        """The value of a key, `NOTHING` if it has none. It may be outdated; a write then fails.

        Raises:
            LogUnavailable: no answer.
        """
        ...

    async def write(self, key: str, value: bytes, *, after: int) -> int:
        """The revision of the write, if the key had the revision `after`. Revisions grow over all
        keys of the bucket.

        Raises:
            RevisionConflict: the key has another one.
            LogUnavailable: no answer; it may be written, also later.
        """
        ...


class _Stored(msgspec.Struct, frozen=True):
    seq: int
    data: bytes = b""


class _Answer(msgspec.Struct, frozen=True):
    """To a read: `message`; to a write: `seq`; or `error`."""

    message: _Stored | None = None
    seq: int | None = None
    error: ServerError | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class NatsBucket:
    def __init__(self, nats: Client, *, stream: str) -> None:
        self._nats, self._name = nats, f"{stream}-leases"

    async def prepare(self, *, replicas: int = 1) -> None:
        """Create the bucket if it does not exist. If it is deleted, epochs begin anew and a cloud
        that remembers greater ones refuses every call.

        Raises:
            nats.errors.Error, OSError: NATS did not answer.
        """
        await self._nats.jetstream().create_key_value(
            bucket=self._name, history=1, replicas=replicas
        )

    async def watch(self, key: str, changed: Callable[[], None]) -> None:
        """Call `changed` soon after a write of the key, or sooner: only a hint."""

        async def notify(_: Msg) -> None:
            changed()

        await self._nats.subscribe(self._subject(key), cb=notify)

    async def read(self, key: str) -> BucketEntry:
        question = json({"last_by_subj": self._subject(key)})
        answer = await self._ask(f"$JS.API.STREAM.MSG.GET.KV_{self._name}", question)
        if answer.message is not None:
            return BucketEntry(answer.message.seq, answer.message.data)
        if answer.error is not None and answer.error.err_code == NO_MESSAGE_FOUND:
            return NOTHING
        raise LogUnavailable(answer.error.description if answer.error else "no message")

    async def write(self, key: str, value: bytes, *, after: int) -> int:
        answer = await self._ask(self._subject(key), value, headers={EXPECTED: str(after)})
        if answer.error is not None and answer.error.err_code in WRONG_LAST_SEQUENCE:
            raise RevisionConflict(answer.error.description)
        if answer.seq is None:
            raise LogUnavailable(answer.error.description if answer.error else "no sequence")
        return answer.seq

    def _ask(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> Awaitable[_Answer]:
        return request(self._nats, _decode, subject, body, seconds=ANSWER_S_MAX, headers=headers)

    def _subject(self, key: str) -> str:
        return f"$KV.{self._name}.{key}"
