"""Holes that operators have acknowledged: kept beside the log, in a key-value bucket, one entry for
each. All readers and writers of the log see the same ones."""

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import direct_batch
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Acknowledgement

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Acknowledgement).decode


class AcknowledgedHoles:
    """The entries of one log; `stream` is the first of its streams."""

    def __init__(self, nats: Client, *, stream: str) -> None:
        self._nats, self._bucket = nats, f"{stream}-holes"

    async def read(self) -> list[Acknowledgement]:
        """Every entry; none where no bucket exists.

        Raises:
            LogUnavailable: the bucket did not answer.
        """
        subject, found, after = f"$JS.API.DIRECT.GET.KV_{self._bucket}", list[Acknowledgement](), 0
        while True:
            question = {"seq": after + 1, "next_by_subj": f"$KV.{self._bucket}.>"}
            try:
                messages, _ = await direct_batch(self._nats, subject, question)
            except CONNECTION_ERRORS as error:
                raise LogUnavailable("the acknowledged holes were not read") from error
            if not messages:
                return found
            for each in messages:
                after = int((each.headers or {})["Nats-Sequence"])
                found.append(_decode(each.data))

    async def record(self, acknowledgement: Acknowledgement, *, replicas: int = 1) -> None:
        """Returns when the entry is stored.

        Raises:
            LogUnavailable: no answer came.
        """
        hole = acknowledgement.hole
        key = f"{hole.stream}.{hole.first}-{hole.last}"
        try:
            context = self._nats.jetstream()
            await context.create_key_value(
                bucket=self._bucket, history=1, replicas=replicas, direct=True
            )
            await context.publish(f"$KV.{self._bucket}.{key}", _encode(acknowledgement))
        except CONNECTION_ERRORS as error:
            raise LogUnavailable("the acknowledgement was not stored") from error
