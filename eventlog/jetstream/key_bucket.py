"""The store of data keys in a stream of NATS beside the log, which is replicated as the log is.

Each key is one message under `$KV.<stream>-keys.key.<name>`, written only where there is none. The
record of a destroyed key is a message under `$KV.<stream>-keys.destroyed.<name>`, and is never
deleted. The message of a destroyed key is erased: the server overwrites its bytes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import (
    EXPECTED,
    PREPARE_S_MAX,
    StoredMessage,
    StreamAnswer,
    decode_answer,
    direct_batch,
    json,
    request,
)
from secaplane.eventlog.jetstream.messages import sequence_of
from secaplane.eventlog.jetstream.positions import NO_MESSAGE_FOUND
from secaplane.eventlog.log import LogUnavailable
from secaplane.sealing.keys.data_key import KeyName, key_name
from secaplane.sealing.keys.key_store import (
    DestroyedKey,
    KeyDestruction,
    KeysUnavailable,
    StoredKey,
)

TAKEN = (10071, 10164, 10077)
STREAM_NOT_FOUND = 10059
KEY, DESTROYED = "key", "destroyed"
T = TypeVar("T")


_decode_key = msgspec.json.Decoder(StoredKey).decode
_decode_record = msgspec.json.Decoder(DestroyedKey).decode


def bucket(stream: str) -> str:
    """`stream`: the first stream of the log."""
    return f"{stream}-keys"


class JetStreamKeyStore:
    def __init__(self, nats: Client, *, stream: str) -> None:
        self._nats, self._subjects = nats, f"$KV.{bucket(stream)}"
        self._stream = f"KV_{bucket(stream)}"
        self._ask = partial(request, nats, decode_answer)

    async def prepare(self, *, replicas: int = 1) -> None:
        """Create the stream, if it does not exist. Its messages can be erased, other than those of
        the log.

        Raises:
            KeysUnavailable.
        """
        config = {
            "name": self._stream,
            "subjects": [f"{self._subjects}.>"],
            "storage": "file",
            "retention": "limits",
            "num_replicas": replicas,
            "max_msgs_per_subject": 1,
            # a key is written once; after it was erased, its record remains
            "discard": "new",
            "discard_new_per_subject": True,
            "allow_direct": True,
            "deny_purge": True,
        }
        if (await self._asked(f"$JS.API.STREAM.INFO.{self._stream}", b"")).error is None:
            return
        question = json(config)
        made = await self._asked(
            f"$JS.API.STREAM.CREATE.{self._stream}", question, seconds=PREPARE_S_MAX
        )
        if made.error is not None:
            raise KeysUnavailable(f"the store of keys was not made: {made.error.description}")

    async def in_use(self) -> bool:
        """True if a key was ever made, so that events may be sealed."""
        if await self._last(f"{KEY}.>") is not None:
            return True
        return await self._last(f"{DESTROYED}.>") is not None

    async def read(self, name: KeyName) -> StoredKey | DestroyedKey | None:
        record = await self._last(f"{DESTROYED}.{name}")
        if record is not None:
            return _decoded(_decode_record, record)
        key = await self._last(f"{KEY}.{name}")
        return None if key is None else _decoded(_decode_key, key)

    async def create(self, name: KeyName, key: StoredKey) -> StoredKey | DestroyedKey:
        """Read before and after, so that no key counts whose destruction is recorded."""
        entry = await self.read(name)
        if entry is None:
            await self._written(f"{KEY}.{name}", json(key))  # or another process was first
            entry = await self.read(name)
        if entry is None:
            raise KeysUnavailable(f"the key {name} was written, and is not there")
        return entry

    async def destroy(self, name: KeyName, record: DestroyedKey) -> DestroyedKey:
        await self._written(f"{DESTROYED}.{name}", json(record))
        kept = await self.read(name)
        assert isinstance(kept, DestroyedKey), "a record that was written counts"
        while (key := await self._last(f"{KEY}.{name}")) is not None:
            erased = await self._asked(
                f"$JS.API.STREAM.MSG.DELETE.{self._stream}", json({"seq": key.seq})
            )
            if erased.error is not None:
                raise KeysUnavailable(f"the key {name} was not erased: {erased.error.description}")
        return kept

    async def names(self) -> Sequence[KeyName]:
        prefix = f"{self._subjects}.{KEY}."
        return [key_name(subject.removeprefix(prefix)) for subject, _ in await self._all(KEY)]

    async def destroyed(self) -> Sequence[KeyDestruction]:
        prefix = f"{self._subjects}.{DESTROYED}."
        return [
            KeyDestruction(key_name(subject.removeprefix(prefix)), _decode_record(data))
            for subject, data in await self._all(DESTROYED)
        ]

    async def _written(self, key: str, data: bytes) -> bool:
        """False where there is a message already."""
        answer = await self._asked(f"{self._subjects}.{key}", data, headers={EXPECTED: "0"})
        if answer.error is None:
            return True
        if answer.error.err_code in TAKEN:
            return False
        raise KeysUnavailable(f"the store of keys takes none: {answer.error.description}")

    async def _last(self, key: str) -> StoredMessage | None:
        """According to the leader: a key that was made a moment before is there."""
        question = json({"last_by_subj": f"{self._subjects}.{key}"})
        answer = await self._asked(f"$JS.API.STREAM.MSG.GET.{self._stream}", question)
        if answer.message is not None:
            return answer.message
        if answer.error is not None and answer.error.err_code in (
            NO_MESSAGE_FOUND,
            STREAM_NOT_FOUND,
        ):
            return None
        raise KeysUnavailable("the store of keys does not answer")

    async def _all(self, part: str) -> list[tuple[str, bytes]]:
        found, after = list[tuple[str, bytes]](), 0
        while True:
            question = {"seq": after + 1, "next_by_subj": f"{self._subjects}.{part}.>"}
            try:
                messages, _ = await direct_batch(
                    self._nats, f"$JS.API.DIRECT.GET.{self._stream}", question
                )
            except CONNECTION_ERRORS as error:
                raise KeysUnavailable("the store of keys does not answer") from error
            if not messages:
                return found
            after = sequence_of(messages[-1])
            found += [((each.headers or {})["Nats-Subject"], each.data) for each in messages]

    async def _asked(
        self,
        subject: str,
        body: bytes,
        *,
        seconds: float = 2.0,
        headers: dict[str, str] | None = None,
    ) -> StreamAnswer:
        try:
            return await self._ask(subject, body, seconds=seconds, headers=headers)
        except LogUnavailable as error:
            raise KeysUnavailable(f"the store of keys does not answer: {error}") from error


def _decoded(decode: Callable[[bytes], T], message: StoredMessage) -> T:
    try:
        return decode(message.data)
    except NOT_JSON as error:
        raise KeysUnavailable("the store of keys holds what is no key") from error
