"""Exports of one tenant over HTTP: the notary is asked for heads and tiles, the log for events."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import msgspec
from nats.aio.client import Client

from secaplane.audit.entries import decode
from secaplane.audit.heads.offer import OfferedHeads
from secaplane.audit.stream import stream_name
from secaplane.audit.tenant_export.archive import archived
from secaplane.audit.tenant_export.source import from_notary
from secaplane.audit.tenant_export.writing import exported_files
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import streams
from secaplane.eventlog.codec import NAMES, NOT_JSON
from secaplane.eventlog.jetstream.addresses import newest_at
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.subjects import subject
from secaplane.kinds import KINDS
from secaplane.kinds.views import LATEST
from secaplane.model.errors import NotFound, Unavailable
from secaplane.model.events import Closed, Deleted
from secaplane.model.position import Position
from secaplane.model.shape import Json

AT_ONCE_MAX = 2
"""Exports that one process makes at the same time."""


class HistoryExports:
    """A `query.exports.TenantExports`."""

    def __init__(self, nats: Client, config: Config) -> None:
        self._nats, self._config = nats, config
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
        self, tenant: str, seen: Mapping[str, Sequence[int]]
    ) -> AsyncGenerator[bytes, None]:
        if self._running >= AT_ONCE_MAX:
            raise Unavailable("too many exports are made at present: try again later")
        life = await self._life(tenant)
        try:
            offer = await from_notary(self._nats, tenant, self._audit).fresh_heads(life)
        except LogUnavailable as error:
            raise Unavailable(f"the history cannot be exported at present: {error}") from error
        return self._archive(tenant, life, offer, seen)

    async def _archive(
        self, tenant: str, life: str, offer: OfferedHeads, seen: Mapping[str, Sequence[int]]
    ) -> AsyncGenerator[bytes, None]:
        self._running += 1
        try:
            source = from_notary(self._nats, tenant, self._audit)
            files = exported_files(life, offer, self._audit, source, seen)
            async with aclosing(files), aclosing(archived(files, tenant)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._running -= 1

    async def _life(self, tenant: str) -> str:
        try:
            life = await present_life(self._nats, self._config, tenant)
        except LogUnavailable as error:
            raise Unavailable(f"the log does not say which tenant this is: {error}") from error
        if not life:
            raise NotFound("there is no such tenant")
        return life


class _TenantEvent(msgspec.Struct, frozen=True):
    """The part of a stored event that is never sealed."""

    type: str
    tenant: str


_decode = msgspec.json.Decoder(_TenantEvent).decode
_LAST = (NAMES[Deleted], NAMES[Closed])


async def present_life(nats: Client, config: Config, tenant: str) -> str:
    """The uid of the present life of a tenant; empty where there is none. No key is needed.

    Raises:
        LogUnavailable: the log does not answer, or the newest event of the tenant is no event.
    """
    ref, region = KINDS["tenant"].ref({}, tenant), config.site.region
    newest = await newest_at(nats, streams(config).of(ref.kind), subject(ref, region))
    if newest is None:
        return ""
    try:
        event = _decode(newest.data)
    except NOT_JSON as error:
        raise LogUnavailable(f"the newest event of {tenant} cannot be read") from error
    return "" if event.type in _LAST else event.tenant
