"""The limits of streams and account, read from JetStream."""

from collections.abc import Iterable
from functools import partial

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.capacity import AccountCapacity, Capacity, StreamCapacity, capacity_of
from secaplane.eventlog.jetstream.api import request

_stream = msgspec.json.Decoder(StreamCapacity).decode
_account = msgspec.json.Decoder(AccountCapacity).decode


async def read_capacity(nats: Client, streams: Iterable[str]) -> Capacity:
    """Raises LogUnavailable."""
    ask = partial(request, nats, _stream)
    found = {name: await ask(f"$JS.API.STREAM.INFO.{name}", b"") for name in streams}
    return capacity_of(found, await request(nats, _account, "$JS.API.INFO", b""))
