"""Syslog over TCP or TLS as a sink: RFC 5424 messages, framed by octet counting (RFC 6587, 5425).

Syslog acknowledges nothing. So each delivery is a connection of its own, which this side ends
first: a receiver that has read everything then closes its side, and one that has not resets the
connection or lets it time out. Then everything is delivered again.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC
from typing import NamedTuple

from secaplane.audit.siem.mapping import row_of
from secaplane.audit.siem.records import EPOCH, SiemRecord
from secaplane.audit.siem.sinks import ExportedLine, SinkUnavailable

ANSWER_S_MAX = 15.0
AUDIT_FACILITY = 13
SEVERITIES = {1: 6, 2: 5, 3: 4, 4: 3}
"""Of OCSF to those of syslog: informational, notice, warning, error."""
APP_NAME = "secaplane"
NIL = "-"
CHUNK = 65536


class SyslogAddress(NamedTuple):
    host: str
    port: int
    tls: ssl.SSLContext | None


class SyslogSink:
    size = 0

    def __init__(self, address: SyslogAddress, hostname: str = "") -> None:
        self._address = address
        self._hostname = printable_ascii(hostname or socket.gethostname(), 255)

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        data = b"".join(framed(message(each, self._hostname)) for each in lines)
        try:
            await asyncio.to_thread(_send, self._address, data)
        except OSError as error:  # also of TLS, and of a timeout
            reason = str(error) or type(error).__name__
            raise SinkUnavailable(f"{self._address.host}:{self._address.port}: {reason}") from error

    async def close(self) -> None: ...


def framed(message_: bytes) -> bytes:
    return b"%d %b" % (len(message_), message_)


def message(each: ExportedLine, hostname: str) -> bytes:
    """RFC 5424, section 6. The time is that of the event, not of the delivery; MSGID is its type;
    the text is the line as it is, without a byte order mark."""
    record = each.record
    priority = AUDIT_FACILITY * 8 + SEVERITIES[row_of(record).severity]
    type_ = printable_ascii(record.type, 32)
    header = f"<{priority}>1 {_time(record)} {hostname} {APP_NAME} {NIL} {type_} {NIL} "
    return header.encode() + each.text


def printable_ascii(text: str, length_max: int) -> str:
    kept = "".join(each for each in text if "!" <= each <= "~")
    return kept[:length_max] or NIL


def _time(record: SiemRecord) -> str:
    if record.time == EPOCH:
        return NIL
    return record.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _send(address: SyslogAddress, data: bytes) -> None:
    """Returns when the receiver has read everything and closed. Raises OSError."""
    place = (address.host, address.port)
    with socket.create_connection(place, timeout=ANSWER_S_MAX) as connection:
        if address.tls is None:
            connection.sendall(data)
            _await_close(connection)
            return
        wrapped = address.tls.wrap_socket(connection, server_hostname=address.host)
        with wrapped:
            wrapped.sendall(data)
            try:
                plain = wrapped.unwrap()
            except ssl.SSLEOFError:
                return  # closed without the answer that RFC 5425 asks for
            _await_close(plain)


def _await_close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(CHUNK):
            pass
    except TimeoutError as error:
        raise TimeoutError("the receiver does not close what this side has ended") from error
