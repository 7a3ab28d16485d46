"""Reads what the export of a tenant is made from: the notary, over NATS or from its folder, and
the streams."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec
from nats.aio.client import Client

from secaplane.audit.entries import ALL_SUBJECTS
from secaplane.audit.heads import link
from secaplane.audit.heads.freshness import POLL_S, SIGNED_S_MAX
from secaplane.audit.heads.kept import KeptHeads
from secaplane.audit.heads.offer import (
    HeadsNotKept,
    OfferedHeads,
    OfferRequest,
    TileRequest,
    offered,
    read_tile,
)
from secaplane.audit.heads.unavailable import NotaryAbsent, NotaryUnavailable
from secaplane.audit.notary.log_files import LogFiles
from secaplane.audit.tlog.tiles import TileName
from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.jetstream.addresses import read_addresses
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.subjects import within_tenant

ReadTileOf = Callable[[TileRequest], Awaitable[bytes]]
ReadOffer = Callable[[OfferRequest], Awaitable[OfferedHeads]]


class TenantHistory:
    """A `writing.TenantSource`, and the heads to begin with."""

    def __init__(
        self, nats: Client, tenant: str, audit: str, read_offer: ReadOffer, read: ReadTileOf
    ) -> None:
        self._nats, self._tenant, self._audit = nats, tenant, audit
        self._read_offer, self._read_tile = read_offer, read

    async def tile(self, stream: str, name: TileName) -> bytes:
        return await self._read_tile(TileRequest(stream, name.path))

    def events(self, stream: str) -> AsyncGenerator[Sequence[RawEvent], None]:
        subjects = ALL_SUBJECTS if stream == self._audit else within_tenant(self._tenant)
        return read_addresses(self._nats, stream, subjects)

    async def fresh_heads(self, life: str) -> OfferedHeads:
        """Heads that are recorded now, or, where that is not possible in time, the newest.

        Raises:
            NotaryUnavailable: there are none.
        """
        wanted, offer, clock = 0, None, asyncio.get_running_loop().time
        until = clock() + SIGNED_S_MAX
        while clock() < until:
            if not wanted:
                with suppress(NotaryUnavailable):
                    wanted = int(await link.ask(self._nats, link.PUBLISH))
            offer = await self.newest_heads(life) or offer
            if wanted and offer is not None and offer.entry.sequence >= wanted:
                return offer
            await asyncio.sleep(POLL_S)
        return offer or await self._read_offer(OfferRequest(life))

    async def heads_of(self, life: str, sequence: int) -> OfferedHeads:
        """The heads of an entry, as they were given before.

        Raises:
            HeadsNotKept: they are not kept any more.
            NotaryUnavailable: the notary does not answer.
        """
        return await self._read_offer(OfferRequest(life, sequence))

    async def newest_heads(self, life: str) -> OfferedHeads | None:
        """The newest heads that are signed, if there are some of this life.

        Raises:
            NotaryAbsent: no notary is there to be asked.
        """
        try:
            return await self._read_offer(OfferRequest(life))
        except NotaryAbsent:
            raise
        except NotaryUnavailable:
            return None


def from_notary(nats: Client, tenant: str, audit: str) -> TenantHistory:
    """For a process that has not the notary's folder."""

    async def offer(asked: OfferRequest) -> OfferedHeads:
        answer = await link.ask(nats, link.PROOFS, msgspec.json.encode(asked))
        if not answer:
            raise HeadsNotKept(f"no heads are kept of the entry {asked.sequence}")
        try:
            return msgspec.json.decode(answer, type=OfferedHeads)
        except NOT_JSON as error:
            raise NotaryUnavailable(f"heads of another release: {error}") from error

    async def tile(asked: TileRequest) -> bytes:
        return await link.ask(nats, link.TILE, msgspec.json.encode(asked))

    return TenantHistory(nats, tenant, audit, offer, tile)


def from_files(nats: Client, tenant: str, audit: str, files: LogFiles) -> TenantHistory:
    """For an operator who has the notary's files."""
    kept = KeptHeads(files)

    async def offer(asked: OfferRequest) -> OfferedHeads:
        return await asyncio.to_thread(offered, files, kept, audit, asked)

    async def tile(asked: TileRequest) -> bytes:
        return await asyncio.to_thread(partial(read_tile, files), asked)

    return TenantHistory(nats, tenant, audit, offer, tile)
