"""The bound on exports that one process makes at the same time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import pytest

from secaplane.audit.entries import HeadsFacts, encode, heads_entry
from secaplane.audit.heads.kept import RecordedHeads
from secaplane.audit.heads.offer import OfferedHeads
from secaplane.audit.tenant_export.archive import ExportedArchive
from secaplane.cli.config import Config
from secaplane.cli.processes import exports
from secaplane.cli.processes.exports import AT_ONCE_MAX, HistoryExports
from secaplane.model.errors import NotFound, Unavailable
from tests.log.new_events import NOON

ENTRY = encode(heads_entry(HeadsFacts(root=bytes(32), size=1, streams={"SECA": 1}), time=NOON))


class Source:
    """Heads that take a while."""

    async def fresh_heads(self, life: str) -> object:
        await asyncio.sleep(0.01)
        return OfferedHeads(RecordedHeads(1, 1, b"", ENTRY), (), {})


async def no_files(*_: object) -> AsyncGenerator[tuple[str, bytes], None]:
    await asyncio.sleep(0)
    yield "tenant.json", b"{}"


async def life(*_: object) -> str:
    await asyncio.sleep(0.01)
    return "u-1"


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> HistoryExports:
    monkeypatch.setattr(exports, "present_life", life)
    monkeypatch.setattr(exports, "from_notary", lambda *_: Source())
    monkeypatch.setattr(exports, "exported_files", no_files)
    return HistoryExports(cast(Any, None), cast(Any, None), Config())


async def test_of_many_exports_that_are_asked_for_at_once_a_bounded_number_is_made(
    history: HistoryExports,
) -> None:
    asked = [history.archive("acme", {}, None) for _ in range(1000)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    made = [each for each in outcomes if isinstance(each, ExportedArchive)]
    assert len(made) == AT_ONCE_MAX
    assert sum(isinstance(each, Unavailable) for each in outcomes) == 1000 - AT_ONCE_MAX
    with pytest.raises(Unavailable):
        await history.archive("acme", {}, None)
    for each in made:
        await each.pieces.aclose()


async def test_an_export_gives_up_its_place_also_if_nothing_of_it_is_sent(
    history: HistoryExports,
) -> None:
    for _ in range(3 * AT_ONCE_MAX):
        async with aclosing((await history.archive("acme", {}, None)).pieces):
            pass
    async with aclosing((await history.archive("acme", {}, None)).pieces) as pieces:
        assert b"".join([each async for each in pieces])


async def test_an_export_that_cannot_begin_gives_up_its_place(
    history: HistoryExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object) -> str:
        return ""

    with monkeypatch.context() as patched:
        patched.setattr(exports, "present_life", unknown)
        for _ in range(3 * AT_ONCE_MAX):
            with pytest.raises(NotFound):
                await history.archive("none", {}, None)
    await (await history.archive("acme", {}, None)).pieces.aclose()
