"""Races across two streams: the parent, or what is referred to, is recorded in one stream, and the
child or referrer in the other. Of a creation and a deletion of its parent at most one stays, no
assignment names what is gone, and nothing waits for ever."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import OPERATOR
from secaplane.cli.settings import NatsSettings
from secaplane.kinds import KINDS
from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at
from tests.flows.crashing import Scene, until
from tests.flows.racer import ACCEPTED
from tests.flows.racing import RacerProcess, racers
from tests.plane import RunningPlane, shared_plane
from tests.servers import GLOBAL_STREAM

PAIRS = 16
WAITS_S = (0.0, 0.001, 0.003, 0.01, -0.001, -0.003, -0.01)
"""Before the workspace is made; negative: before the tenant is deleted."""
HEAD_STARTS_S = (0.0, 0.01, 0.03, 0.1, 0.3, -0.01, -0.03)
"""Of the use; a write waits for others in its process."""
READS: Json = {"provider": "seca.storage", "resources": ["*"], "verb": ["get"]}


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    with shared_plane(Config(nats=NatsSettings(global_stream=GLOBAL_STREAM))) as made:
        yield made


async def test_what_races_with_a_deletion_in_two_streams_never_stays_without_it(
    scene: Scene,
) -> None:
    async with scene.another_serve() as other, racers(scene.plane, 2) as (maker, deleter):
        here = scene.client
        operator = here.by(scene.plane.dev.token(OPERATOR))
        for n in range(PAIRS):
            await tenant_made(here, operator, maker, n)
        outcomes = await asyncio.gather(
            *(workspace_in_a_tenant(maker, deleter, n) for n in range(PAIRS)),
            *(role_in_an_assignment(here, other, n) for n in range(PAIRS)),
            *(scope_of_an_assignment(here, other, n) for n in range(PAIRS)),
        )
        assert all(OUTCOMES[kind](*pair) for kind, *pair in outcomes), Counter(outcomes)
        for n in range(PAIRS):
            await no_workspace_without_its_tenant(here, operator, n)
            await no_assignment_names_a_role_that_is_gone(here, n)
            await scope_and_workspace_rest(here, n)


OUTCOMES: dict[str, Callable[..., bool]] = {
    # a tenant may be cached for five seconds: then the reconciler reverts the workspace
    "tenant": lambda made, deleted: ACCEPTED in (made, deleted),
    # an assignment blocks no deletion of a role or a workspace: the name is taken out of it
    "role": lambda used, deleted: deleted == 202 and used in (201, 409, 422),
    "scope": lambda used, deleted: deleted == 202 and used in (201, 422),
}
"""Kind of pair -> is this outcome of its two writes allowed?"""


# --- a tenant (global) is deleted, and a workspace (regional) is made in it


async def tenant_made(here: Client, operator: Client, maker: RacerProcess, n: int) -> None:
    """The process that races knows some of the tenants."""
    tenant = at("tenant", f"t{n}")
    body = {"spec": {"administrators": ["admin@example.org"]}}
    assert (await operator.put(tenant, body)).status == 201
    await operator.active(tenant)
    own = at("workspace", tenant=f"t{n}")
    await here.until(own, lambda answer: answer.status == 200)
    if n % 2:
        await maker.do(KINDS["role"].ref({"tenant": f"t{n}"}, "warm"), {"permissions": [READS]})


async def workspace_in_a_tenant(
    maker: RacerProcess, deleter: RacerProcess, n: int
) -> tuple[str, str, str]:
    tenant, place = (
        KINDS["tenant"].ref({}, f"t{n}"),
        KINDS["workspace"].ref({"tenant": f"t{n}"}, "w"),
    )
    wait_s = WAITS_S[n // 2 % len(WAITS_S)]
    made = maker.send(place, {}, wait_s=max(0.0, wait_s))
    deleted = deleter.send(tenant, wait_s=max(0.0, -wait_s))
    first, second = await asyncio.gather(made, deleted)
    return "tenant", first, second


async def no_workspace_without_its_tenant(here: Client, operator: Client, n: int) -> None:
    """A tenant that is there is active, with its workspace if it has one; with a tenant that is
    gone the workspace is gone."""
    tenant, place = at("tenant", f"t{n}"), at("workspace", "w", tenant=f"t{n}")

    async def rests() -> bool:
        found, inside = await operator.get(tenant), await here.get(place)
        if found.status == 404:
            return inside.status in (403, 404)
        return (
            found.state == "active"
            and inside.status in (200, 404)
            and (inside.status == 404 or inside.state == "active")
        )

    await until(rests, f"tenant t{n} and its workspace rest")


async def raced(n: int, use: Awaitable[Answer], delete: Awaitable[Answer]) -> tuple[int, int]:
    """Both writes at once; by turns, one of them has a head start."""
    wait_s = HEAD_STARTS_S[n % len(HEAD_STARTS_S)]

    async def after(seconds: float, write: Awaitable[Answer]) -> int:
        await asyncio.sleep(seconds)
        return (await write).status

    used, deleted = await asyncio.gather(
        after(max(0.0, -wait_s), use), after(max(0.0, wait_s), delete)
    )
    return used, deleted


# --- a role is deleted, and an assignment begins to name it (both global)


async def role_in_an_assignment(here: Client, other: Client, n: int) -> tuple[str, int, int]:
    role, assignment = at("role", f"r{n}"), at("role-assignment", f"a{n}")
    await here.made(role, {"spec": {"permissions": [READS]}})
    first, second = await raced(n, here.put(assignment, assigned(f"r{n}")), other.delete(role))
    return "role", first, second


async def no_assignment_names_a_role_that_is_gone(here: Client, n: int) -> None:
    role, assignment = at("role", f"r{n}"), at("role-assignment", f"a{n}")

    async def rests() -> bool:
        found, using = await here.get(role), await here.get(assignment)
        if found.status != 404 or using.status == 404:
            return found.status == using.status == 404
        return using.state == "active" and using.json["spec"]["roles"] == []

    await until(rests, f"role r{n} and assignment a{n} rest")


# --- a workspace (regional) is deleted, and an assignment (global) begins to name it in its scope


async def scope_of_an_assignment(here: Client, other: Client, n: int) -> tuple[str, int, int]:
    place, assignment = at("workspace", f"s{n}"), at("role-assignment", f"s{n}")
    await here.made(place, {"spec": {}})
    body = assigned("seca.workspace-viewer", workspaces=[f"s{n}"])
    first, second = await raced(n, here.put(assignment, body), other.delete(place))
    return "scope", first, second


async def scope_and_workspace_rest(here: Client, n: int) -> None:
    """An assignment that was written after the end of the workspace may name it: it is for the next
    one of that name."""
    place, assignment = at("workspace", f"s{n}"), at("role-assignment", f"s{n}")

    async def rests() -> bool:
        found, using = await here.get(place), await here.get(assignment)
        return all(each.status == 404 or each.state == "active" for each in (found, using))

    await until(rests, f"workspace s{n} and assignment s{n} rest")


def assigned(role: str, **scope: list[str]) -> Json:
    return {"spec": {"subs": ["bob"], "roles": [role], "scopes": [scope]}}
