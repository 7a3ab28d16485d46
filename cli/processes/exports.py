"""Exports of one tenant over HTTP: the notary is asked for heads and tiles, the log for events."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from nats.aio.client import Client

from secaplane.audit.entries import decode
from secaplane.audit.heads.offer import HeadsNotKept, OfferedHeads
from secaplane.audit.stream import stream_name
from secaplane.audit.tenant_export.archive import (
    ContinuedExport,
    ExportedArchive,
    after,
    archive_name,
    archived,
)
from secaplane.audit.tenant_export.source import TenantHistory, from_notary
from secaplane.audit.tenant_export.writing import exported_files
from secaplane.cli.config import Config
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.kinds import KINDS
from secaplane.kinds.views import LATEST
from secaplane.model.errors import NotFound, Unavailable
from secaplane.model.events import Closed, Deleted
from secaplane.model.position import Position
from secaplane.model.shape import Json
from secaplane.query.answers import refuse_other_streams

AT_ONCE_MAX = 2
"""Exports that one process makes at the same time."""
_NOT_KEPT = (
    "this export cannot be continued any more, or was asked for with other parameters; begin a new"
    " one, without `export` and `offset`"
)


class HistoryExports:
    """A `query.exports.TenantExports`."""

    def __init__(self, nats: Client, log: Log, config: Config) -> None:
        self._nats, self._log = nats, log
        self._audit, self._running = stream_name(config.nats.stream), 0

    async def offered(self, tenant: str) -> Json:
        life = await self._life(tenant)
        try:
            offer = await from_notary(self._nats, tenant, self._audit).newest_heads(life)
        except LogUnavailable as error:
            raise Unavailable(f"the history cannot be exported at present: {error}") from error
        if offer is None:
            raise Unavailable("the notary has not signed heads of this tenant yet: try again soon")
        return {
            "name": LATEST,
            "position": str(Position(self._audit, offer.entry.sequence)),
            "time": decode(offer.entry.data).time,
            "streams": offer.entry.facts.streams,
        }

    async def archive(
        self, tenant: str, seen: Mapping[str, Sequence[int]], continued: ContinuedExport | None
    ) -> ExportedArchive:
        pieces = self._archive(tenant, seen, continued)
        name = await anext(pieces)  # its end gives up its place, also if nothing is sent
        return ExportedArchive(name.decode(), pieces)

    async def _archive(
        self, tenant: str, seen: Mapping[str, Sequence[int]], continued: ContinuedExport | None
    ) -> AsyncGenerator[bytes, None]:
        """Begins with the name, once the heads are there."""
        if self._running >= AT_ONCE_MAX:
            raise Unavailable("too many exports are made at present: try again later")
        self._running += 1
        try:
            life, source = await self._life(tenant), from_notary(self._nats, tenant, self._audit)
            offer = await _heads(source, life, continued)
            streams = (*offer.entry.facts.streams, self._audit)
            refuse_other_streams([Position(stream, 1) for stream in seen], streams, "seen")
            name = archive_name(life, offer, seen)
            if continued is not None and continued.name != name:
                raise NotFound(_NOT_KEPT)
            yield name.encode()
            files = exported_files(life, offer, self._audit, source, seen)
            async with aclosing(files), aclosing(archived(files, tenant)) as pieces:
                rest = after(pieces, continued.offset if continued else 0)
                async with aclosing(rest):
                    async for piece in rest:
                        yield piece
        finally:
            self._running -= 1

    async def _life(self, tenant: str) -> str:
        try:
            life = await present_life(self._log, tenant)
        except LogUnavailable as error:
            raise Unavailable(f"the log does not say which tenant this is: {error}") from error
        if not life:
            raise NotFound("there is no such tenant")
        return life


async def _heads(
    source: TenantHistory, life: str, continued: ContinuedExport | None
) -> OfferedHeads:
    """Heads of now; or those of the archive that is continued."""
    try:
        if continued is None:
            return await source.fresh_heads(life)
        return await source.heads_of(life, continued.sequence)
    except HeadsNotKept as error:
        raise NotFound(_NOT_KEPT) from error
    except LogUnavailable as error:
        raise Unavailable(f"the history cannot be exported at present: {error}") from error


async def present_life(log: Log, tenant: str) -> str:
    """The uid of the present life of a tenant; empty where there is none.

    Raises:
        LogUnavailable: the log does not answer, or the newest event of the tenant is no event.
    """
    try:
        newest = await log.latest(KINDS["tenant"].ref({}, tenant))
    except Undecodable as error:
        raise LogUnavailable(f"the newest event of {tenant} cannot be read: {error}") from error
    return "" if newest is None or isinstance(newest.event, Deleted | Closed) else newest.tenant
