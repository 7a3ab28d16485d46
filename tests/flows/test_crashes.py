"""Processes are killed at any time: every event takes effect once, and all resources settle."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count

import asyncpg
import msgspec
import pytest

from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.dev.plane import PROCESSES
from secaplane.eventlog.codec import NewEvent
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, Updated
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from tests.flows.client import INSTANCE, VOLUME, Answer, at
from tests.flows.crashing import (
    CHECKPOINT,
    Scene,
    children_of,
    put_accepted,
    scene_of,
    until,
    whole,
)
from tests.flows.read_models import assert_same, read_models
from tests.log.new_events import SALT
from tests.plane import RunningPlane
from tests.positions import STREAM

LOAD = 32
HELD_S, LATE_S = 60.0, 2.0
WRITTEN = (200, 201)


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    """Fails if a process died that the test did not kill."""
    async with scene_of(own_plane) as scene:
        before = {name: scene.pid(name) for name in PROCESSES}
        yield scene
        await scene.site.misbehave()
        died = {name for name in PROCESSES if scene.pid(name) != before[name]}
        assert died == scene.killed


async def furnished(scene: Scene, workspace: str) -> None:
    await scene.client.made(at("workspace", workspace), {"spec": {}})


def marked(marks: "count[int]") -> tuple[str, dict[str, object]]:
    """A label value that recognises one PUT in the log, and a volume's body with it."""
    mark = str(next(marks))
    return mark, VOLUME | {"labels": {"mark": mark}}


async def marks_in(log: JetStreamLog) -> Counter[str]:
    """The number of events recorded for each mark."""
    events = [each.event for each in await whole(log)]
    labels = [each.labels for each in events if isinstance(each, Created | Updated)]
    return Counter(each["mark"] for each in labels if isinstance(each, dict) and "mark" in each)


async def assert_rows_are_the_log(scene: Scene) -> None:
    """Each event has one row of history, and a rebuild in a second schema gives the same rows."""
    await scene.at_rest()
    events = await scene.events()
    url, positions = scene.plane.dev.postgres(OWNER), [each.position.sequence for each in events]
    async with read_models(url) as live, read_models(url, 1000 + positions[-1]) as other:
        await other.rebuild(scene.log, events, batch_max=1000)
        current = await live.rows()
        assert [row["position"] for row in current["history"]] == positions
        assert_same(current, await other.rows())


# --- the projector


async def test_a_projector_killed_in_the_middle_of_a_batch_resumes_at_its_checkpoint(
    scene: Scene,
) -> None:
    """Its statement waits for a row of history that another transaction inserted: the checkpoint
    and the rows before it are written by then, but not committed."""
    await furnished(scene, "middle")
    await scene.at_rest()
    end = await scene.log.end(STREAM)
    blocker = await asyncpg.connect(scene.plane.dev.postgres(OWNER))
    try:
        with scene.stopped("projector"):
            for n in range(6):
                put = await scene.client.put(
                    at("block-storage", f"v{n}", workspace="middle"), VOLUME
                )
                assert put.status == 201
            transaction = blocker.transaction()
            await transaction.start()
            await blocker.execute(
                "insert into history_1.history"
                " values ($1, $2, '', '', '', '', now(), '', '', '', '', '', false, '', '')",
                end.stream,
                end.sequence + 4,
            )
        await until(
            lambda: waits_for_a_transaction(blocker), "the projector waits in its statement"
        )
        await scene.kill("projector")
        await transaction.rollback()
    finally:
        await blocker.close()
    await assert_rows_are_the_log(scene)


async def waits_for_a_transaction(connection: asyncpg.Connection) -> bool:
    waiting = await connection.fetchval(
        "select exists (select from pg_locks where locktype = 'transactionid' and not granted)"
    )
    return bool(waiting)


# --- the reconcilers


async def test_a_new_reconciler_does_not_repeat_what_the_cloud_did_for_a_dead_one(
    scene: Scene,
) -> None:
    """Killed between the change in the cloud and the report, for a creation and for a removal."""
    await furnished(scene, "held")
    new, old = (at("block-storage", name, workspace="held") for name in ("new", "old"))
    await scene.client.made(old, VOLUME)
    await scene.at_rest()
    before = await scene.site.counts()
    await scene.site.misbehave(hold_answers_s=HELD_S)
    assert (await scene.client.put(new, VOLUME)).status == 201
    assert (await scene.client.delete(old)).status == 202

    async def done() -> bool:
        now = await scene.site.counts()
        return (len(now.creates), len(now.removes)) == (
            len(before.creates) + 1,
            len(before.removes) + 1,
        )

    await until(done, "the cloud has made both changes and holds its answers back")
    await scene.kill("reconcilers")
    await scene.site.misbehave()
    await scene.client.active(new)
    await scene.client.gone(old)
    await scene.at_rest()
    after = await scene.site.counts()
    assert set(after.creates.values()) == set(after.removes.values()) == {1}


async def test_a_new_reconciler_does_not_repeat_a_restart_that_a_dead_one_requested(
    scene: Scene,
) -> None:
    """The cloud is called twice, for `ensure` and `act`; the answer to the second call is late."""
    await furnished(scene, "again")
    one = at("instance", "one", workspace="again")
    await scene.client.made(at("block-storage", "disk", workspace="again"), VOLUME)
    await scene.client.made(one, INSTANCE)
    assert (await scene.client.post(f"{one}/start")).status == 202
    await scene.client.active(one)
    await scene.at_rest()
    instance_uid = await uid(scene, one)
    await scene.site.misbehave(hold_answers_s=LATE_S)
    assert (await scene.client.post(f"{one}/restart")).status == 202

    async def done() -> bool:
        return (await scene.site.counts()).actions[instance_uid] == 2

    await until(done, "the cloud has restarted it and holds its answer back")
    await scene.kill("reconcilers")
    await scene.site.misbehave()
    restarted = await scene.client.active(one)
    assert restarted.json["status"]["powerState"] == "on"
    await scene.at_rest()
    assert (await scene.site.counts()).actions[instance_uid] == 2


async def uid(scene: Scene, path: str) -> str:
    """The uid of the living resource at a path of the API."""
    async with scene.pool() as pool:
        value = await pool.fetchval(
            "select uid from resources where not gone and $1 like '%/' || path", path
        )
    return str(value)


async def test_a_lost_answer_of_the_cloud_is_retried_and_takes_effect_once(
    scene: Scene,
) -> None:
    await furnished(scene, "lost")
    paths = [at("block-storage", f"v{n}", workspace="lost") for n in range(4)]
    await scene.site.misbehave(lose_answers=2)
    for path in paths[:2]:
        assert (await scene.client.put(path, VOLUME)).status == 201
    for path in paths[:2]:
        await scene.client.active(path)
    one = at("instance", "one", workspace="lost")
    await scene.client.made(at("block-storage", "disk", workspace="lost"), VOLUME)
    await scene.client.made(one, INSTANCE)
    await scene.at_rest()
    await scene.site.misbehave(lose_answers=2)
    assert (await scene.client.post(f"{one}/start")).status == 202
    assert (await scene.client.delete(paths[0])).status == 202
    await scene.client.gone(paths[0])
    await scene.client.active(one)
    assert (await scene.site.faults()).lose_answers == 0
    counts = await scene.site.counts()
    assert set(counts.creates.values()) == set(counts.removes.values()) == {1}
    assert counts.actions[await uid(scene, one)] == 1


@pytest.mark.parametrize(
    "removing",
    [pytest.param(False, id="terminating"), pytest.param(True, id="being removed")],
)
async def test_an_orphan_that_a_dead_command_appended_is_reverted(
    scene: Scene, removing: bool
) -> None:
    """The parent was terminating when the orphan was appended, and is gone only after it."""
    name = f"terminating-{removing}".lower()
    await furnished(scene, name)
    await scene.at_rest()
    web = KINDS["workspace"].ref({"tenant": "demo"}, name)
    orphan = KINDS["block-storage"].ref({"tenant": "demo", "workspace": name}, "orphan")
    if removing:
        removes = len((await scene.site.counts()).removes)
        await scene.site.misbehave(hold_answers_s=LATE_S)
        assert (await scene.client.delete(at("workspace", name))).status == 202
        await until(lambda: removed_more_than(scene, removes), "the cloud has removed it")
        await scene.site.misbehave(outage=True)  # the held answer is still sent
        await append_orphan(scene, web, orphan)
        await asyncio.sleep(LATE_S + 1)
        await scene.site.misbehave()
    else:
        with scene.stopped("reconcilers"):
            assert (await scene.client.delete(at("workspace", name))).status == 202
            await append_orphan(scene, web, orphan)
    await scene.client.gone(at("workspace", name))
    await scene.at_rest()
    ended, reverted = (await scene.log.read(web))[-1], await scene.log.read(orphan)
    types: list[type[AnyEvent]] = [type(each.event) for each in reverted]
    assert types == [Created, DeletionRequested, Deleted]
    assert type(ended.event) is Deleted
    assert reverted[-1].position < ended.position
    assert "orphan" not in (await scene.site.counts()).creates


async def removed_more_than(scene: Scene, number: int) -> bool:
    return len((await scene.site.counts()).removes) > number


async def append_orphan(scene: Scene, parent: Ref, orphan: Ref) -> None:
    """Append it like a command that died before it checked the parent again."""
    now = (await scene.log.read(parent))[-1].time
    new_event = NewEvent(
        ref=orphan,
        uid="orphan",
        time=now,
        request="dead",
        salt=SALT,
        actor=SYSTEM,
        event=Created(spec=VOLUME["spec"]),
    )
    await scene.log.append(msgspec.structs.replace(new_event, previous=BEGINNING))


# --- NATS


async def test_a_write_during_a_stopped_log_is_answered_503_and_recorded_at_most_once(
    scene: Scene,
) -> None:
    await furnished(scene, "paused")
    path, marks = at("block-storage", "v", workspace="paused"), count(1)
    await scene.client.made(path, marked(marks)[1])
    await scene.at_rest()
    with scene.stopped("nats"):
        answers = await asyncio.gather(
            scene.client.put(path, marked(marks)[1]),
            scene.client.put(at("block-storage", "w", workspace="paused"), marked(marks)[1]),
            scene.client.delete(at("block-storage", "x", workspace="paused")),
        )
    assert {each.status for each in answers} == {503}
    for each in answers:
        assert "outcome is unknown" in each.json["detail"] or "log" in each.json["detail"]
        assert int(each.headers["Retry-After"]) >= 1
    again = [await put_accepted(scene.client, path, marked(marks)[1]) for _ in range(2)]
    await scene.client.active(path)
    await scene.at_rest()
    recorded = await marks_in(scene.log)
    assert max(recorded.values()) == 1
    history = await scene.log.read(
        KINDS["block-storage"].ref({"tenant": "demo", "workspace": "paused"}, "v")
    )
    intents = [each for each in history if isinstance(each.event, Created | Updated)]
    assert again[-1].json["metadata"]["resourceVersion"] == len(intents)


async def test_an_acknowledged_write_survives_a_kill_of_the_log(
    scene: Scene,
) -> None:
    await furnished(scene, "load")
    marks, numbers = count(1000), count()
    answered: dict[str, tuple[str, Answer]] = {}
    refused: list[Answer] = []
    enough = asyncio.Event()

    async def write(worker: int) -> None:
        while not enough.is_set():
            mark, body = marked(marks)
            path = at("block-storage", f"v{worker}-{next(numbers) % 3}", workspace="load")
            answer = await scene.client.put(path, body)
            if answer.status in WRITTEN:
                answered[mark] = path, answer
            else:
                refused.append(answer)

    async with asyncio.TaskGroup() as group:
        for worker in range(LOAD):
            group.create_task(write(worker))
        await until(lambda: more_than(answered, LOAD * 3), "the load has begun")
        await scene.kill("nats")
        before = len(answered)
        await until(lambda: more_than(answered, before + LOAD * 3), "writes are accepted again")
        enough.set()
    assert {each.status for each in refused} <= {503}
    recorded = await marks_in(scene.log)
    assert {mark for mark in answered if recorded[mark] != 1} == set()
    assert max(recorded.values()) == 1
    await scene.at_rest()
    for path, answer in dict(answered.values()).items():  # the latest answer for each path
        shown = await scene.client.get(path)
        assert shown.state == "active"
        version = shown.json["metadata"]["resourceVersion"]
        assert version >= answer.json["metadata"]["resourceVersion"]
    await assert_rows_are_the_log(scene)


async def more_than(answers: dict[str, tuple[str, Answer]], number: int) -> bool:
    return len(answers) > number


# --- PostgreSQL


async def test_writes_are_accepted_without_postgresql_and_rows_catch_up(scene: Scene) -> None:
    await furnished(scene, "rows")
    former = scene.pid("postgres")
    for pid in (former, *children_of(former)):
        os.kill(pid, signal.SIGKILL)
    await scene.started_again("postgres", former)
    with scene.stopped("postgres"):
        written = await asyncio.gather(*(
            scene.client.put(at("block-storage", f"v{n}", workspace="rows"), VOLUME)
            for n in range(LOAD)
        ))  # fmt: skip
        assert {each.status for each in written} == {201}
    for n in range(LOAD):
        await until_shown(scene, at("block-storage", f"v{n}", workspace="rows"))
    await assert_rows_are_the_log(scene)


async def until_shown(scene: Scene, path: str) -> None:
    async def active() -> bool:
        answer = await scene.client.get(path)
        return answer.status == 200 and answer.state == "active"

    await until(active, f"{path} is active")


async def test_rows_lost_by_a_postgresql_crash_are_written_again_without_new_events(
    scene: Scene,
) -> None:
    """Commits are asynchronous: the last ones may be lost when the server is killed."""
    await furnished(scene, "quiet")
    await scene.at_rest()
    with scene.stopped("reconcilers"):
        for n in range(10):
            await scene.client.put(at("block-storage", f"v{n}", workspace="quiet"), VOLUME)
        former = scene.pid("postgres")
        for pid in (former, *children_of(former)):
            os.kill(pid, signal.SIGKILL)
        await scene.started_again("postgres", former)

        async def caught_up() -> bool:
            async with scene.pool() as pool:
                checkpoint = await pool.fetchval(CHECKPOINT)
                return bool(checkpoint == (await scene.log.end(STREAM)).sequence)

        await until(caught_up, "the rows have reached the end of the log again")
    await assert_rows_are_the_log(scene)
