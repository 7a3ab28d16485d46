"""A policy change takes effect in every process, an event records what allowed it, and requests are
refused while the policy is unknown."""

from collections.abc import AsyncIterator, Iterator

import jwt
import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import ISSUER, OPERATOR
from secaplane.cli.settings import AuthSettings
from secaplane.model.position import BEGINNING, Position, parse_all
from secaplane.model.shape import Json
from tests.flows.client import VOLUME, Answer, Client, at, client_of
from tests.flows.crashing import Scene, scene_of
from tests.flows.several import several
from tests.opened_log import opened_log
from tests.plane import RunningPlane, shared_plane
from tests.servers import connected

JANE = "jane@example.org"
STALE_S = 1.0


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    """A control plane whose policy counts as stale after one second."""
    with shared_plane(Config(auth=AuthSettings(stale_seconds=STALE_S))) as made:
        yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        yield made


@pytest.fixture
async def web(scene: Scene) -> str:
    await scene.client.made(at("workspace", "web"), {"spec": {}})
    return at("block-storage", "disk", workspace="web")


def editors(*subs: str) -> Json:
    return {"spec": {"subs": list(subs), "roles": ["seca.workspace-editor"], "scopes": [{}]}}


# --- the actor of an event


async def test_an_event_records_its_actor_the_assignment_and_the_policy_revision(
    scene: Scene, web: str
) -> None:
    assignment = await scene.client.made(at("role-assignment", "editors"), editors(JANE))
    token = scene.plane.dev.token(JANE)
    answer = await scene.client.by(token).put(web, VOLUME)
    assert answer.status == 201
    (made,) = [e for e in await scene.events() if e.position == position(answer)]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert isinstance(made.actor, str), "sealed"
    async with connected(scene.plane.dev.nats("everything")) as nats:
        seals = opened_log(scene.plane.dev.config, nats).seals
        actor = await seals.actor(made.actor, made.ref, made.uid, made.tenant, made.request)
    assert (actor.issuer, actor.sub, actor.token) == (ISSUER, JANE, claims["jti"])
    assert actor.assignment == "editors/seca.workspace-editor"
    assert assignment.json["metadata"]["resourceVersion"] == 1
    assert BEGINNING < actor.policy < made.position
    assert token not in repr(made)


def position(answer: Answer) -> Position:
    return max(parse_all(answer.headers["Secaplane-Position"]))


# --- propagation


async def test_a_policy_change_takes_effect_at_once_locally_and_soon_in_every_process() -> None:
    async with (
        several() as (made, query),
        client_of(made.dev.url, made.token) as boss,
        client_of(made.dev.url, made.dev.token(JANE)) as local,
        client_of(query, made.dev.token(JANE)) as remote,
    ):
        tenant = made.dev.config.dev.tenant
        own, volumes = at("role", "reader", tenant=tenant), at("image", tenant=tenant)
        assignment = at("role-assignment", "readers", tenant=tenant)
        await boss.made(own, reading("skus/*"))
        await boss.made(assignment, {"spec": {"subs": [JANE], "roles": ["reader"], "scopes": [{}]}})
        for pattern, status in (("images/*", 200), ("skus/*", 403), ("*", 200)):
            assert (await boss.put(own, reading(pattern))).status == 200
            assert (await local.get(volumes)).status == status
            await becomes(remote, volumes, status)
        assert (await boss.delete(assignment)).status == 202
        assert (await local.get(volumes)).status == 403
        await becomes(remote, volumes, 403)


def reading(pattern: str) -> Json:
    permission = {"provider": "seca.storage/v1", "resources": [pattern], "verb": ["get", "list"]}
    return {"spec": {"permissions": [permission]}}


async def becomes(caller: Client, path: str, status: int) -> None:
    await caller.until(path, lambda answer: answer.status == status)


# --- public access


async def test_a_public_assignment_opens_only_the_tenant_that_contains_it(
    scene: Scene,
) -> None:
    operator = scene.client.by(scene.plane.dev.token(OPERATOR))
    for tenant in ("public", "closed"):
        spec = {"administrators": [f"boss-of-{tenant}"]}
        await operator.put(at("tenant", tenant), {"spec": spec})
        await operator.active(at("tenant", tenant))
    boss = scene.client.by(scene.plane.dev.token("boss-of-public"))
    opened = {"subs": ["*"], "roles": ["reader"], "scopes": [{"tenants": ["*"]}]}
    await boss.made(at("role", "reader", tenant="public"), reading("images/*"))
    await boss.made(at("role-assignment", "all", tenant="public"), {"spec": opened})
    stranger = scene.client.by(scene.plane.dev.token("stranger-of-public"))
    assert (await stranger.get(at("image", tenant="public"))).status == 200
    assert (await stranger.get(at("role", tenant="public"))).status == 403
    for tenant in ("closed", "demo", "absent"):
        assert (await stranger.get(at("image", tenant=tenant))).status == 403


# --- an unknown policy


async def test_requests_are_answered_503_while_the_policy_is_unknown(
    scene: Scene, web: str
) -> None:
    await scene.client.made(web, VOLUME)
    with scene.stopped("nats"):
        await becomes(scene.client, web, 503)
        for _ in range(20):
            answer = await scene.client.get(web)
            assert answer.status == 503
            assert "Retry-After" in answer.headers
            stranger = await scene.client.get(web, token=scene.plane.dev.token("stranger"))
            assert stranger.status == 503
            assert (await scene.client.get(web, token=None)).status == 401
    await becomes(scene.client, web, 200)
