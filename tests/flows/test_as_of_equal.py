"""A GET with `asOf` answers what a fold of the log from its beginning says, at random points, on
one stream and on two."""

import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.errors import Malformed, NotFound, Unavailable
from secaplane.model.events import Created, StatusReported, Updated
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, State
from secaplane.policy.grants.system_roles import SYSTEM_ROLES
from secaplane.query.history import lists, read
from secaplane.query.history.points import AsOf
from secaplane.query.read import ListQuery
from secaplane.readmodel.questions import history
from tests.flows.past_scene import (
    ACME,
    ADDRESSES,
    IDS,
    WEB,
    Folded,
    PastScene,
    inside,
    random_moment,
)
from tests.flows.read_models import read_models
from tests.log.new_events import REGION
from tests.patching import applied
from tests.positions import STREAM

STREAMS = {"one stream": Streams(STREAM), "two streams": Streams(STREAM, f"{STREAM}-GLOBAL")}
EVENTS, QUESTIONS, LONG = 400, 400, 1500
DISK, IP = inside("block-storage")[0], inside("public-ip")[0]


@pytest.fixture(params=list(STREAMS.values()), ids=list(STREAMS))
async def scene(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[PastScene]:
    async with read_models(database_url) as models:
        yield PastScene(MemoryLog(REGION, request.param), models)


async def got(scene: PastScene, ref: Ref, as_of: AsOf) -> Json | None:
    kind = KINDS[ref.kind]
    ids = kind.ids(ref.path) | {"name": ref.name}
    try:
        found = await read.get(scene.dependencies(), kind, ids, as_of)
    except NotFound:
        return None
    answer: Json = msgspec.json.decode(found.document)
    return answer


async def test_every_answer_of_then_is_that_of_a_fold(scene: PastScene) -> None:
    luck = random.Random(12)
    await scene.happen(luck, EVENTS)
    await scene.project()
    answered = 0
    for _ in range(QUESTIONS):
        ref = luck.choice(ADDRESSES)
        as_of = random_moment(luck, scene, scene.log.streams.of(ref.kind))
        expected = Folded(scene.events, as_of, scene.now).answer(ref)
        plain = None if expected is None else msgspec.json.decode(encode(expected))
        assert await got(scene, ref, as_of) == plain, (ref, as_of)
        answered += expected is not None
    assert answered > QUESTIONS // 10


async def test_every_list_of_then_is_that_of_a_fold(scene: PastScene) -> None:
    luck = random.Random(13)
    await scene.happen(luck, EVENTS)
    await scene.project()
    shown = 0
    for _ in range(QUESTIONS // 4):
        ref = luck.choice(ADDRESSES)
        kind, labels = KINDS[ref.kind], luck.choice(("", "env=dev", "env!=dev", "env=p*"))
        as_of = random_moment(luck, scene, scene.log.streams.of(ref.kind))
        folded = Folded(scene.events, as_of, scene.now)
        own = [
            each for each in ADDRESSES if (each.kind, each.collection) == (ref.kind, ref.collection)
        ]
        expected = [folded.listed(each, labels) for each in sorted(own)]
        items, token = list[Json](), None
        while True:
            query = ListQuery("1" if luck.random() < 0.5 else None, labels, token)
            page = await lists.list_page(
                scene.dependencies(), kind, kind.ids(ref.path), query, as_of
            )
            items += map(msgspec.json.decode, page.items)
            token = page.skip_token
            if token is None:
                break
        plain = [each for each in expected if each is not None]
        assert items == msgspec.json.decode(encode(plain)), (ref, as_of, labels)
        shown += len(items)
    assert shown > QUESTIONS // 20


async def test_a_list_of_then_shows_the_names_that_the_caller_may_see(scene: PastScene) -> None:
    await scene.create(ACME, WEB, *inside("block-storage")[:2])
    await scene.project()
    kind, then = KINDS["block-storage"], scene.events[-1].position
    query = ListQuery(names=["two", "other"])
    page = await lists.list_page(scene.dependencies(), kind, IDS, query, then)
    assert [msgspec.json.decode(each)["metadata"]["name"] for each in page.items] == ["two"]
    for deleted in (True, None):
        with pytest.raises(Malformed):
            await lists.list_page(scene.dependencies(), kind, IDS, ListQuery(deleted=deleted), then)


async def test_builtin_roles_are_listed_as_long_as_their_tenant(scene: PastScene) -> None:
    other = KINDS["tenant"].ref({}, "other")
    await scene.create(other, ACME)
    await scene.project()
    kind = KINDS["role"]
    stream = scene.log.streams.of("role")
    before, then = (each.position for each in scene.events)
    for as_of, number in ((before, 0), (then, len(SYSTEM_ROLES))):
        page = await lists.list_page(scene.dependencies(), kind, IDS, ListQuery(), as_of)
        assert (len(page.items), stream) == (number, as_of.stream)


async def test_nothing_of_a_former_life_is_shown(scene: PastScene) -> None:
    await scene.create(ACME, WEB, DISK)
    former = scene.events[-1].time
    assert (await scene.append(DISK, Updated(spec={"sizeGB": 2}))).version == 2
    await scene.end(DISK)
    await scene.project()
    assert (await got(scene, DISK, former)) is not None  # gone today, and of this workspace
    await scene.create(DISK)
    await scene.project()
    assert (await got(scene, DISK, former)) is None  # the name is used again
    again = scene.events[-1].time
    assert (await got(scene, DISK, again)) is not None
    await scene.end(DISK, WEB)
    await scene.create(WEB)
    await scene.project()
    assert (await got(scene, DISK, again)) is None  # its workspace is another one
    await scene.end(WEB, ACME)
    await scene.create(ACME)
    await scene.project()
    assert (await got(scene, WEB, scene.events[-5].time)) is None


async def test_a_history_is_paged_with_the_newest_event_first(scene: PastScene) -> None:
    await scene.create(ACME, WEB, DISK)
    for size in range(2, 8):
        changed = await scene.append(DISK, Updated(spec={"sizeGB": size}))
        report = StatusReported(state=State.ACTIVE, observed_position=changed.last_intent)
        await scene.append(DISK, report)
    await scene.project()
    kind, ids = KINDS["block-storage"], IDS | {"name": DISK.name}
    seen, token = list[Json](), None
    while True:
        page = await read.entries(scene.dependencies(), kind, ids, limit="4", skip_token=token)
        seen += map(msgspec.json.decode, page.items)
        assert len(page.items) <= 4
        token = page.skip_token
        if token is None:
            break
    own = [str(each.position) for each in scene.events if each.ref == DISK]
    assert [each["position"] for each in seen] == own[::-1]
    assert [each["changed"] for each in seen] == [[], ["/spec/sizeGB"]] * 6 + [["/spec"]]
    other = IDS | {"name": "two"}
    with pytest.raises(Malformed):
        await read.entries(scene.dependencies(), kind, other, skip_token="AAAA")


async def test_a_difference_makes_one_answer_of_then_of_the_other(scene: PastScene) -> None:
    luck = random.Random(14)
    await scene.happen(luck, EVENTS)
    await scene.project()
    compared = 0
    for _ in range(QUESTIONS // 2):
        ref = luck.choice(ADDRESSES)
        kind, stream = KINDS[ref.kind], scene.log.streams.of(ref.kind)
        one, other = random_moment(luck, scene, stream), random_moment(luck, scene, stream)
        old, new = await got(scene, ref, one), await got(scene, ref, other)
        if old is None or new is None:
            continue
        ids = kind.ids(ref.path) | {"name": ref.name}
        shown = msgspec.json.decode(await read.diff(scene.dependencies(), kind, ids, (one, other)))
        assert applied(old, shown["patch"]) == new, (ref, one, other)
        compared += old != new
    assert compared > QUESTIONS // 20


async def test_a_long_history_is_answered_in_pages_of_bounded_size(
    scene: PastScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "READ_BYTES_MAX", 50_000)
    await scene.create(ACME, WEB, DISK)
    for size in range(2, LONG):
        await scene.append(DISK, Updated(spec={"sizeGB": size}, labels={"first": "1"}))
    await scene.project()
    kind, ids = KINDS["block-storage"], IDS | {"name": DISK.name}
    pages, versions, token = 0, list[int](), None
    while True:
        page = await read.entries(scene.dependencies(), kind, ids, skip_token=token)
        versions += [msgspec.json.decode(each)["resourceVersion"] for each in page.items]
        pages, token = pages + 1, page.skip_token
        if token is None:
            break
    assert versions == [*range(LONG - 1, 0, -1)]
    assert pages > 10
    blame = msgspec.json.decode(await read.blame(scene.dependencies(), kind, ids))
    by = {
        each["pointer"]: (each["resourceVersion"], "orBefore" in each) for each in blame["fields"]
    }
    assert by["/spec/sizeGB"] == (LONG - 1, False)
    assert by["/labels/first"][0] > 2
    assert by["/labels/first"][1]


async def test_a_long_list_of_then_has_every_name_once(
    scene: PastScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "NAMES_AT_ONCE", 7)
    monkeypatch.setattr(lists, "READ_BYTES_MAX", 5000)
    await scene.create(ACME, WEB)
    refs = [KINDS["block-storage"].ref(IDS, f"d{n}") for n in range(60)]
    await scene.create(*refs)
    then = scene.events[-1].position
    await scene.end(*refs[::2])
    await scene.project()
    names, pages, token = list[str](), 0, None
    while True:
        query = ListQuery(skip_token=token)
        page = await lists.list_page(scene.dependencies(), KINDS["block-storage"], IDS, query, then)
        names += [msgspec.json.decode(each)["metadata"]["name"] for each in page.items]
        pages, token = pages + 1, page.skip_token
        if token is None:
            break
    assert names == sorted(each.name for each in refs)
    assert pages > 3


async def test_a_difference_and_a_blame_are_of_the_present_life(scene: PastScene) -> None:
    await scene.create(ACME, WEB, DISK)
    await scene.end(DISK)
    await scene.append(DISK, Created(spec={"sizeGB": 1}, labels={"env": "dev"}))
    await scene.append(DISK, Updated(spec={"sizeGB": 2}, labels={"env": "dev"}))
    await scene.append(DISK, Updated(spec={"sizeGB": 2}, labels={"env": "prod"}))
    await scene.project()
    kind, ids = KINDS["block-storage"], IDS | {"name": DISK.name}
    dependencies, newest = scene.dependencies(), scene.now[DISK]
    first = newest.version - 2
    shown = msgspec.json.decode(await read.diff(dependencies, kind, ids, (first, None)))
    assert (shown["from"]["resourceVersion"], shown["to"]["resourceVersion"]) == (3, 5)
    changes = {each["path"]: each.get("value") for each in shown["patch"]}
    assert changes["/spec/sizeGB"] == 2
    assert changes["/labels/env"] == "prod"
    for version in (first - 1, newest.version + 1):
        with pytest.raises(NotFound) as refused:
            await read.diff(dependencies, kind, ids, (version, None))
        assert "versions 3 to 5" in refused.value.detail
    blame = msgspec.json.decode(await read.blame(dependencies, kind, ids))
    assert {each["pointer"]: each["resourceVersion"] for each in blame["fields"]} == {
        "/labels/env": 5,
        "/spec/sizeGB": 4,
    }


async def test_a_position_that_is_not_reached_is_not_answered_from_older_rows(
    scene: PastScene,
) -> None:
    await scene.create(ACME, WEB, DISK)
    await scene.project()
    stream = scene.log.streams.of("block-storage")
    with pytest.raises(Malformed):  # not past yet
        await got(scene, DISK, Position(stream, 99))
    await scene.append(DISK, Updated(spec={"sizeGB": 2}))
    with pytest.raises(Unavailable):  # the process knows of an event that is not projected
        await got(scene, DISK, scene.events[0].time)


async def test_a_position_of_another_stream_names_no_moment(scene: PastScene) -> None:
    await scene.create(ACME)
    await scene.project()
    with pytest.raises(Malformed):
        await got(scene, ACME, Position("ELSEWHERE", 1))
