"""`secaplane replay --check`: the live rows are compared with those that the log gives."""

import re

from secaplane.cli.dev.embedded import OWNER
from tests.flows.client import VOLUME, at
from tests.flows.crashing import Scene, until
from tests.flows.rebuilding import Callers, database, disk, said
from tests.flows.replaying import of_plane

NAMES = [f"old-{n:02}" for n in range(10)]
SAME = (
    r"replica main: (\w+)_1 at SECA[-a-z]*:\d+: [\d,]+ rows, all as the log gives them,"
    r" in \d+\.\d s"
)
DAMAGES = (
    """update resources_1.resources set document = replace(document, '"sizeGB":10', '"sizeGB":11')
    where name = 'old-03' and kind = 'block-storage'""",
    "delete from resources_1.labels where name = 'old-04'",
    "insert into resources_1.counts values ('tenants/nowhere', 7)",
    "update resources_1.usage set amount = amount + 1 where kind = 'workspace'",
    "delete from history_1.history where position = 3",
)


async def test_a_check_finds_no_difference_while_callers_write_and_each_difference_by_hand(
    scene: Scene,
) -> None:
    labelled = VOLUME | {"labels": {"env": "demo"}}
    await scene.client.made(at("workspace", "busy"), {"spec": {}})
    for name in NAMES:
        await scene.client.made(disk(name), labelled)
    async with Callers(scene.plane.dev.url, scene.plane.token, NAMES).busy() as callers:
        await callers.more(20)
        await a_killed_check_is_resumed(scene)
        status, lines = await said(await of_plane(scene.plane, "--check"))
        assert status == 0, lines
        groups = [found[1] for line in lines if (found := re.fullmatch(SAME, line))]
        assert groups == ["resources", "history", "activity"], lines
        await callers.more(20)
    await scene.at_rest()
    assert await beside(scene) == []
    digests = [await digests_of(scene) for _ in range(2)]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 11
    async with database(scene) as connection:
        for each in DAMAGES:
            assert await connection.execute(each) not in ("UPDATE 0", "DELETE 0")
    status, lines = await said(await of_plane(scene.plane, "--check"))
    assert status == 1
    expect(lines)


async def digests_of(scene: Scene) -> dict[str, str]:
    """By table."""
    status, lines = await said(await of_plane(scene.plane, "--check"))
    assert status == 0, lines
    return dict(
        re.findall(r"^  (\w+): [\d,]+ rows, sha256 ([0-9a-f]{64})$", "\n".join(lines), re.M)
    )


def expect(lines: list[str]) -> None:
    """A line for each row, with its key and the values that differ."""
    found = [line for line in lines if ".sha256" not in line and re.match(r"\w+\.\w+ ", line)]
    patterns = (
        r"resources\.counts path=tenants/nowhere: foreign: the log gives no such row",
        r"resources\.labels kind=block-storage .* value=demo name=old-04 life=\d+: missing: .*",
        r"resources\.resources kind=block-storage .* name=old-03 life=\d+:"
        r" document/spec/sizeGB is 11, and 10 by the log;.*",
        r"history\.history stream=SECA position=3: missing: the log gives such a row",
    )
    for pattern in patterns:
        assert [line for line in found if re.fullmatch(pattern, line)], (pattern, found)
    usage = [line.rpartition(": ")[2] for line in found if line.startswith("resources.usage ")]
    assert usage.count("the log gives such a row") == usage.count("the log gives no such row") > 0
    totals = [line for line in lines if line.startswith("replica main: ")]
    assert [re.findall(r"(\d+) differ", line) for line in totals] == [
        [str(len(found) - 1)],
        ["1"],
        [],
    ]


async def a_killed_check_is_resumed(scene: Scene) -> None:
    """SIGKILL, when the rows beside the live ones are filled; the next check goes on with them."""
    async with database(scene) as connection:
        async with connection.transaction():
            await connection.execute("lock table resources_1.orphans in access exclusive mode")
            process = await of_plane(scene.plane, "--check")

            async def waits() -> bool:
                query = (
                    "select exists (select from pg_stat_activity"
                    " where wait_event_type = 'Lock' and query like 'lock table %')"
                )
                async with database(scene) as another:  # a transaction sees one state of it
                    return bool(await another.fetchval(query))

            await until(waits, "the check waits for the live tables")
            process.kill()
            await process.wait()
        assert await beside(scene) == ["replayed_resources"]
        reached = "select position from replayed_resources.checkpoints"
        assert await connection.fetchval(reached) > 0


async def beside(scene: Scene) -> list[str]:
    """The schemas of checks."""
    async with database(scene) as connection:
        query = "select nspname::text from pg_namespace where nspname like 'replayed%'"
        return [row[0] for row in await connection.fetch(query)]


async def test_rows_that_are_ahead_of_the_log_are_a_reason_and_no_difference(scene: Scene) -> None:
    """As after the log was restored from a backup."""
    assert scene.plane.dev.postgres(OWNER)
    await scene.at_rest()
    async with database(scene) as connection:
        await connection.execute("update history_1.checkpoints set position = position + 1000")
    status, lines = await said(await of_plane(scene.plane, "--check", "--group", "history"))
    assert (status, len(lines)) == (1, 1), lines
    assert re.fullmatch(
        r"secaplane: the log ends at SECA:\d+, and the rows are at SECA:\d+", lines[0]
    )
