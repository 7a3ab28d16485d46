"""The second stream, as the configuration wants it: told by who answers users, and shown to people
(`secaplane refusals`)."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial

from nats.aio.client import Client

from secaplane.audit.entries import Entry, decode
from secaplane.audit.stream import AuditLimits, AuditStream
from secaplane.audit.writer import AuditWriter
from secaplane.cli.config import BadConfig, Config
from secaplane.cli.processes.connections import connect_nats, now
from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import LogUnavailable

CONNECT_S_MAX = 10.0
AGE = re.compile(r"([0-9]{1,6})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SAYS = {
    "recorded": "Refusals, logins and privileged reads that are in their stream",
    "dropped": "Those that one caller had too many of",
    "lost": "Those that found the queue full, or the stream away at the end",
    "waiting": "Those that are on their way",
}


# --- told


def audit_writer(nats: Client, config: Config, metrics: Metrics, *, makes: bool) -> AuditWriter:
    stream = AuditStream(nats, stream=config.nats.stream)
    wanted = limits(config)

    async def prepare() -> str:
        if makes:
            await stream.make(wanted, replicas=config.nats.replicas)
        return difference(stream.name, await stream.limits(), wanted)

    refusals = AuditWriter(stream.tell, prepare)
    for name, says in SAYS.items():
        ending = "" if name == "waiting" else "_total"
        gauge = metrics.gauge(f"refusals_{name}{ending}", says)
        gauge.set_function(partial(_figure, refusals, name))
    return refusals


def _figure(refusals: AuditWriter, name: str) -> int:
    return refusals.figures[name]


def audit_recorder(config: Config, refusals: AuditWriter) -> AuditRecorder:
    return AuditRecorder(
        refusals.record,
        clock=now,
        privileged=config.refusals.privileged,
        proxies=TrustedProxies(config.http.trusted_proxies),
    )


def limits(config: Config) -> AuditLimits:
    section = config.refusals
    return AuditLimits(each=section.each, bytes_max=section.bytes_max, days=section.days)


def difference(name: str, found: AuditLimits, wanted: AuditLimits) -> str:
    """A remark for who runs the house, who alone may change it; nothing where there is none."""
    if found == wanted:
        return ""
    return (
        f"the stream {name} does not keep what [refusals] says, but {found.each} of each caller, "
        f"{found.bytes_max} bytes, {found.days} days; change it with `nats stream edit`"
    )


# --- shown


async def show(config: Config, *, since: str, caller: str, as_json: bool) -> None:
    """Oldest first.

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
        async with aclosing(stream.read(since=begin)) as found:
            async for line in _lines(found, caller, as_json=as_json):
                print(line)
    except LogUnavailable as error:
        raise BadConfig(f"{stream.name}: {error}; `command` and `serve` make it") from error
    finally:
        await client.close()


async def _lines(found: AsyncIterator[bytes], caller: str, *, as_json: bool) -> AsyncIterator[str]:
    async for data in found:
        try:
            entry = decode(data)
        except Undecodable as error:
            yield f"cannot be read: {printable(str(error))}"
            continue
        if not caller or entry.caller.sub == caller:
            # escaped, for what is between quotes was written by strangers
            yield json.dumps(json.loads(data)) if as_json else text(entry)


def text(entry: Entry) -> str:
    said = [
        entry.time.isoformat(timespec="milliseconds"),
        entry.type,
        entry.caller.sub or "nobody",
        f"from {entry.source or 'somewhere'}",
        entry.verb,
        entry.path,
    ]
    said += [f"({entry.reason})"] if entry.reason else []
    said += [f"and {entry.dropped} before it that were not kept"] if entry.dropped else []
    return printable(" ".join(said))


def printable(text: str) -> str:
    """Nothing that a terminal would obey."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def moment(since: str) -> datetime:
    """`90s`, `30m`, `1h`, `7d` ago, or a time with its offset.

    Raises:
        BadConfig: it is neither.
    """
    age = AGE.fullmatch(since)
    try:
        if age is not None:
            return now() - timedelta(**{UNITS[age[2]]: int(age[1])})
        found = datetime.fromisoformat(since)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.tzinfo is None:
        raise BadConfig("--since takes 90s, 30m, 1h, 7d, or a time such as 2026-01-31T12:00:00Z")
    return found
