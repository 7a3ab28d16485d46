"""Somebody at the console is told soon that what the house stands on is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from secaplane.cli.config import Config, NatsSettings
from secaplane.cli.dev.plane import free_port
from secaplane.cli.main import main
from secaplane.cli.operate import operate
from secaplane.cli.processes import connections, projector
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Conflict


@pytest.fixture
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(connections, "SOON_S_MAX", 0.3)
    return Config(nats=NatsSettings(url=f"nats://127.0.0.1:{free_port()}"))


async def test_who_revokes_hears_that_nobody_answers(nobody_there: Config) -> None:
    with pytest.raises(LogUnavailable, match="away"):
        await operate.revoke(nobody_there, {"jti": "one"})


async def test_who_retries_hears_that_nobody_answers(nobody_there: Config) -> None:
    with pytest.raises(LogUnavailable, match="away"):
        await operate.retry_quarantine(nobody_there)


async def test_who_rebuilds_hears_that_nobody_answers(
    nobody_there: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await projector.rebuild_now(nobody_there) == 1
    assert "away" in capsys.readouterr().err


def test_it_is_said_in_one_line_with_a_status(
    nobody_there: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECAPLANE_NATS_URL", nobody_there.nats.url)
    assert main(["revoke", "--jti", "one"]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("secaplane: NATS or PostgreSQL is away")


async def test_a_refusal_in_the_middle_comes_out_as_itself() -> None:
    @asynccontextmanager
    async def process() -> AsyncIterator[None]:
        async with asyncio.TaskGroup():
            yield

    with pytest.raises(Conflict, match="no"):
        async with connections.with_deadline(process()):
            raise Conflict("no")
