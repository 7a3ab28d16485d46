"""Checks of a control plane at rest: the log, the rows and the cloud say the same.

They use the product's `evolve` and addresses, and none of its rules, projections or plans.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from asyncpg import Pool

from secaplane.cli.dev.embedded import OWNER
from secaplane.kinds import KINDS
from secaplane.model.events import Deleted, RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.kind import Backing
from secaplane.model.shape import Ref, Resource, State
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import find
from secaplane.readmodel.schema.resources import RESOURCES
from tests.faults.kit.fleet import Fleet
from tests.flows.crashing import until, whole
from tests.flows.orphans import OrphanCheck

CASCADES = tuple(("tenant", child) for child in ("role", "role-assignment"))
SETTLED_S_MAX = 120.0
UNSETTLED = "select kind || ' ' || path from resources where unsettled order by 1 limit 10"
LOGGED_MAX = 20
ROWS = "select kind, path, life, resource, gone from resources"


def _logged(fleet: Fleet, paths: Sequence[str]) -> Iterator[str]:
    """The last lines that each process has logged about some resources; the projectors' last lines
    of all if there are none: their rows have not reached the end of the log."""
    for file in sorted((fleet.folder / "logs").iterdir()):
        lines = file.read_text(errors="replace").splitlines()
        about = [each for each in lines if any(path in each for path in paths)]
        if not paths and file.name.startswith("projector"):
            about = lines
        yield from (f"{file.name}: {each[:1000]}" for each in about[-LOGGED_MAX:])


async def settled(fleet: Fleet, *, seconds: float = SETTLED_S_MAX) -> None:
    """Wait until the rows have reached the end of the log and no resource is unsettled."""
    pool = await _pool(fleet)
    unsettled: list[str] = []
    reached = ""
    try:

        async def at_rest() -> bool:
            nonlocal reached
            end = await fleet.log.end(fleet.log.streams.names[0])
            position = await pool.fetchval("select min(position) from checkpoints")
            reached = f"rows at {position} of {end.sequence}"
            # asked last: rows that had not reached the end would be settled ones of before
            unsettled[:] = [each[0] for each in await pool.fetch(UNSETTLED)]
            return not unsettled and bool(position == end.sequence)

        try:
            await until(at_rest, "everything is settled", seconds=seconds)
        except AssertionError as error:
            paths = [each.split()[1] for each in unsettled]
            events = [
                f"{each.position} {each.time} {each.actor} {each.event}"
                for each in await whole(fleet.log)
                if each.ref.path in paths
            ]
            lines = "\n".join([*events, *_logged(fleet, paths)])
            raise AssertionError(f"{error}; {reached}; unsettled: {unsettled}\n{lines}") from error
    finally:
        await pool.close()


async def assert_consistent(fleet: Fleet) -> list[RecordedEvent]:
    """All checks below; the events of the log."""
    await settled(fleet)
    events = await whole(fleet.log)
    assert_versions_once(events)
    assert_no_orphans(events)
    await assert_rows_are_the_fold(fleet, events)
    await assert_cloud_is_the_log(fleet, events)
    return events


def assert_versions_once(events: Sequence[RecordedEvent]) -> None:
    """Each event follows the one before it of its resource: no version is given out twice."""
    last: dict[Ref, int] = {}
    for each in events:
        assert each.previous.sequence == last.get(each.ref, 0), each
        last[each.ref] = each.position.sequence


def assert_no_orphans(events: Sequence[RecordedEvent]) -> None:
    check = OrphanCheck(CASCADES)
    for each in events:
        check.apply(each)
    assert not check.violations, check.violations[:5]
    assert not check.orphans, list(check.orphans)[:5]
    assert not check.without_parent, check.without_parent[:5]


async def assert_rows_are_the_fold(fleet: Fleet, events: Sequence[RecordedEvent]) -> None:
    """Each life has one row, with what its events say."""
    pool = await _pool(fleet)
    try:
        rows = await pool.fetch(ROWS)
    finally:
        await pool.close()
    found = {
        (row["kind"], row["path"], row["life"]): msgspec.json.decode(row["resource"])
        for row in rows
    }
    assert len(found) == len(rows), "two rows of one life"
    expected = {
        (ref.kind, ref.path, life): msgspec.to_builtins(msgspec.json.decode(_json(resource)))
        for (ref, life), resource in lives(events).items()
    }
    different = [
        key for key in expected.keys() | found.keys() if found.get(key) != expected.get(key)
    ]
    assert not different, [(key, found.get(key), expected.get(key)) for key in different[:2]]


def lives(events: Sequence[RecordedEvent]) -> dict[tuple[Ref, int], Resource]:
    """The last state of each life of each resource."""
    now: dict[Ref, Resource] = {}
    ended: dict[tuple[Ref, int], Resource] = {}
    for each in events:
        resource = now[each.ref] = evolve(now.get(each.ref), each)
        ended[each.ref, resource.life.sequence] = resource
    return ended


async def assert_cloud_is_the_log(fleet: Fleet, events: Sequence[RecordedEvent]) -> None:
    """The cloud has one thing for each active resource, none for what is gone, and it made each of
    them once, with the spec of the newest intent."""
    living = {each.uid: each for each in lives(events).values() if not each.gone}
    things = {each.uid: each for each in await fleet.site.things()}
    counts = await fleet.site.counts()
    gone = {each.uid for each in events if isinstance(each.event, Deleted)}
    assert not (orphans := sorted(things.keys() & gone)), f"orphans in the cloud: {orphans[:5]}"
    assert not (unknown := sorted(things.keys() - living.keys())), f"unknown: {unknown[:5]}"
    twice = Counter({uid: n for uid, n in counts.creates.items() if n > 1})
    assert not twice, f"made more than once: {twice.most_common(5)}"
    for uid, resource in living.items():
        backed = KINDS[resource.ref.kind].backing is Backing.PLUGIN
        if not backed or resource.state is not State.ACTIVE:
            continue
        assert uid in things, f"{resource.ref} is active, and the cloud has nothing of it"
        size = resource.spec.get("sizeGB")
        assert size is None or things[uid].spec.get("sizeGB") == size, (
            f"an older spec: {things[uid]}"
        )


def _json(resource: Resource) -> bytes:
    return msgspec.json.encode(resource)


async def _pool(fleet: Fleet) -> Pool:
    url = fleet.dev.postgres(OWNER)
    return await tables.open_pool(url, schema=await find(url, RESOURCES))
