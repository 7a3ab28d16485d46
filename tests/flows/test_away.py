"""Commands for operators end soon, with one line, when NATS or PostgreSQL is unavailable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import free_port
from secaplane.cli.main import main
from secaplane.cli.operate import quarantine, read_models, revocations
from secaplane.cli.processes import connections
from secaplane.cli.settings import NatsSettings
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Conflict


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(connections, "CONNECT_S_MAX", 0.3)
    return Config(nats=NatsSettings(url=f"nats://127.0.0.1:{free_port()}"))


async def test_revoke_raises_when_no_server_answers(no_server: Config) -> None:
    with pytest.raises(LogUnavailable, match="unavailable"):
        await revocations.revoke(no_server, {"jti": "one"})


async def test_retry_raises_when_no_server_answers(no_server: Config) -> None:
    with pytest.raises(LogUnavailable, match="unavailable"):
        await quarantine.retry_quarantine(no_server)


async def test_rebuild_prints_a_reason_when_no_server_answers(
    no_server: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await read_models.rebuild_now(no_server) == 1
    assert "unavailable" in capsys.readouterr().err


def test_the_reason_is_one_line_with_exit_status_1(
    no_server: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECAPLANE_NATS_URL", no_server.nats.url)
    assert main(["revoke", "--jti", "one"]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("secaplane: NATS or PostgreSQL is unavailable")


async def test_an_exception_of_a_task_group_is_raised_as_itself() -> None:
    @asynccontextmanager
    async def process() -> AsyncIterator[None]:
        async with asyncio.TaskGroup():
            yield

    with pytest.raises(Conflict, match="no"):
        async with connections.with_deadline(process()):
            raise Conflict("no")
