"""One projector on a stream and tables that a test damages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from nats.aio.client import Client as Nats

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import ALL_SUBJECTS, subject
from secaplane.kinds import KINDS
from secaplane.model.events import Created
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from secaplane.projector.filling import Silent
from secaplane.projector.groups import RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from tests.flows.crashing import until
from tests.flows.read_models import ReadModels, read_models
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.servers import STREAM


@dataclass
class World:
    log: JetStreamLog
    nats: Nats
    models: ReadModels

    async def made(self, **more: Any) -> None:
        """Create the stream as the product does, but so that messages can be deleted."""
        config = {
            "name": STREAM,
            "subjects": [ALL_SUBJECTS],
            "storage": "file",
            "allow_direct": True,
        }
        answer = await self.nats.request(
            f"$JS.API.STREAM.CREATE.{STREAM}", msgspec.json.encode(config | more)
        )
        assert b"error" not in answer.data, answer.data

    async def lose(self, position: int) -> None:
        question = msgspec.json.encode({"seq": position})
        await self.nats.request(f"$JS.API.STREAM.MSG.DELETE.{STREAM}", question)

    async def events(self, count: int) -> None:
        for n in range(count):
            ref = KINDS["block-storage"].ref(IDS, f"v{n}")
            await self.log.append(new_event(ref, Created(spec=SMALL), previous=BEGINNING))


@asynccontextmanager
async def world_on(nats: Nats, stream: str, database_url: str) -> AsyncIterator[World]:
    log = JetStreamLog(nats, streams=Streams(stream), region=REGION)
    async with read_models(database_url) as models:
        yield World(log, nats, models)


async def garble(log: JetStreamLog, ref: Ref, data: bytes) -> None:
    await log._nats.request(subject(ref, REGION), data)


class Watched(Projector):
    """Remembers the reasons that it gave."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "reason":
            self.__dict__.setdefault("reasons", []).append(value)
        super().__setattr__(name, value)

    @property
    def reasons(self) -> list[str]:
        reasons: list[str] = self.__dict__["reasons"]
        return reasons


@asynccontextmanager
async def running(world: World, group: ProjectionGroup = RESOURCES) -> AsyncIterator[Watched]:
    pool, stream = world.models.pools[group.name], SharedStream(world.log, STREAM)
    made = Watched(group, pool, stream, Silent(), REGION)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.run())
        yield made
        task.cancel()


async def stays_stopped(made: Watched, why: str) -> None:
    """Wait for several attempts; the projector never loses its reason between them."""

    async def tried() -> bool:
        return sum(why in each for each in made.reasons) >= 3

    await until(tried, f"it gives its reason again and again: {why}")
    first = next(n for n, each in enumerate(made.reasons) if why in each)
    assert all(why in each for each in made.reasons[first:])
