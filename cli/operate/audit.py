"""`secaplane audit entries`: prints the security audit stream."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta

from secaplane.audit.entries import Entry, decode, encode
from secaplane.audit.stream import AuditStream
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connect_nats, now
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import LogUnavailable

CONNECT_S_MAX = 10.0
AGE = re.compile(r"([0-9]{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


async def print_entries(config: Config, *, since: str, caller: str, as_json: bool) -> None:
    """Print the entries of a caller (all if empty) since a time, oldest first.

    Raises:
        BadConfig: there is no such stream, or NATS does not answer.
    """
    begin = moment(since) if since else None
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            client = await connect_nats(config)
    except TimeoutError as error:
        raise BadConfig("nats.url: NATS does not answer") from error
    stream = AuditStream(client, stream=config.nats.stream)
    try:
        async with aclosing(stream.read(since=begin)) as stored:
            async for line in _lines(stored, caller, as_json=as_json):
                print(line)
    except LogUnavailable as error:
        message = f"{stream.name}: {error}; the processes `command` and `serve` create the stream"
        raise BadConfig(message) from error
    finally:
        await client.close()


async def _lines(stored: AsyncIterator[bytes], caller: str, *, as_json: bool) -> AsyncIterator[str]:
    async for data in stored:
        try:
            entry = decode(data)
        except Undecodable as error:
            yield f"undecodable entry: {printable(str(error))}"
            continue
        if not caller or entry.caller.sub == caller:
            # encoded again: without the salt, and with escapes, as clients wrote some of the text
            yield json.dumps(json.loads(encode(entry))) if as_json else text(entry)


def text(entry: Entry) -> str:
    """An entry as one line."""
    parts = [
        entry.time.isoformat(timespec="milliseconds"),
        entry.type,
        entry.caller.sub or "unknown-caller",
        f"from {entry.client_address or 'unknown-address'}",
        entry.verb,
        entry.path,
    ]
    parts += [f"({entry.reason})"] if entry.reason else []
    parts += [f"and {entry.dropped} dropped before it"] if entry.dropped else []
    return printable(" ".join(parts))


def printable(text: str) -> str:
    """A text without characters that a terminal would interpret."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def moment(since: str, option: str = "--since") -> datetime:
    """The time that an option names: an age (`90s`, `30m`, `1h`, `7d`), or RFC 3339 with an offset.

    Raises:
        BadConfig: it is neither.
    """
    age = AGE.fullmatch(since)
    try:
        if age is not None:
            return now() - timedelta(**{UNITS[age[2]]: int(age[1])})
        parsed = datetime.fromisoformat(since)
    except (ValueError, OverflowError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise BadConfig(f"{option} takes 90s, 30m, 1h, 7d, or a time such as 2026-01-31T12:00:00Z")
    return parsed
