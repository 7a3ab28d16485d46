"""Messages of a direct get as stored events."""

from nats.aio.msg import Msg

from secaplane.eventlog.log import RawEvent
from secaplane.model.position import Position


def raw_event(message: Msg, stream: str) -> RawEvent:
    headers = message.headers or {}
    at = Position(stream, int(headers["Nats-Sequence"]))
    return RawEvent(at, headers["Nats-Subject"], headers, message.data)


def sequence_of(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])
