"""What a tenant may have: refused with what is used, asked and left; never exceeded."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from secaplane.cli.dev.plane import OPERATOR
from secaplane.model.events import SYSTEM, Created, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref
from tests.flows.client import INSTANCE, SKU, Answer, Client, at
from tests.flows.crashing import Scene, until
from tests.flows.problems import refused
from tests.flows.tenants import allowed

MOST, AT_ONCE = 10, 200
GB = 10


def volume(size: int = GB) -> Json:
    return {"spec": {"sizeGB": size, "skuRef": SKU}}


def instance(disk: str, sku: str = "seca.dxs") -> Json:
    boots = {"deviceRef": {"resource": f"block-storages/{disk}"}}
    return {"spec": INSTANCE["spec"] | {"skuRef": {"resource": f"skus/{sku}"}, "bootVolume": boots}}


@pytest.fixture
def operator(scene: Scene) -> Client:
    return scene.client.by(scene.plane.dev.token(OPERATOR))


class Tenant:
    """One with a workspace; its resources by their names."""

    def __init__(self, name: str, client: Client) -> None:
        self.name, self.client = name, client

    def at(self, kind: str, name: str = "") -> str:
        return at(kind, name, tenant=self.name, workspace="w")

    async def put(
        self, kind: str, name: str, body: Json, dependencies: Client | None = None
    ) -> Answer:
        return await (dependencies or self.client).put(self.at(kind, name), body)


async def opened(scene: Scene, operator: Client, name: str, quotas: Json | None) -> Tenant:
    await allowed(operator, name, quotas)
    tenant = Tenant(name, scene.client)
    await scene.client.made(at("workspace", "w", tenant=name), {"spec": {}})
    return tenant


def quota(answer: Answer) -> Json:
    assert refused(answer, 409) == []
    found: Json = answer.json["meta"]["quota"]
    assert found["left"] == max(0, found["limit"] - found["used"])
    for said in ("used", "asked", "left"):
        assert str(found[said]) in answer.json["detail"]
    return found


def said(what: str, used: int, asked: int, limit: int) -> Json:
    left = max(0, limit - used)
    return {"what": what, "used": used, "asked": asked, "limit": limit, "left": left}


# --- one after the other


async def test_a_tenant_without_quotas_has_no_limit(scene: Scene, operator: Client) -> None:
    tenant = await opened(scene, operator, "free", None)
    answers = await asyncio.gather(
        *(tenant.put("block-storage", f"v{n}", volume(1_000_000)) for n in range(30))
    )
    assert {each.status for each in answers} == {201}


async def test_a_number_is_refused_raised_lowered_and_freed(scene: Scene, operator: Client) -> None:
    tenant = await opened(scene, operator, "numbers", {"resources": {"block-storage": 2}})
    for name in ("a", "b"):
        await scene.client.made(tenant.at("block-storage", name), volume())
    for _ in range(2):
        answer = await tenant.put("block-storage", "c", volume())
        assert quota(answer) == said("block-storage", 2, 1, 2)
    assert (await scene.client.get(tenant.at("block-storage", "c"))).status == 404
    await allowed(operator, "numbers", {"resources": {"block-storage": 3}})
    await scene.client.made(tenant.at("block-storage", "c"), volume())
    await allowed(operator, "numbers", {"resources": {"block-storage": 1}})
    for name in ("a", "b", "c"):  # nothing is taken away, and what is there may change
        await scene.client.made(tenant.at("block-storage", name), volume(2 * GB))
    answer = await tenant.put("block-storage", "d", volume())
    assert quota(answer) == said("block-storage", 3, 1, 1)
    for name in ("a", "b", "c"):
        assert (await scene.client.delete(tenant.at("block-storage", name))).status == 202
        await scene.client.gone(tenant.at("block-storage", name))
    await scene.client.made(tenant.at("block-storage", "d"), volume())
    await allowed(operator, "numbers", None)
    await scene.client.made(tenant.at("block-storage", "e"), volume())
    await scene.at_rest()


async def test_each_thing_has_a_quota_of_its_own(scene: Scene, operator: Client) -> None:
    """seca.dxs has one core; volumes count by their size, growth by what is added."""
    limits = {
        "cores": 3,
        "ramGB": 1_000,
        "volumeGB": 100,
        "resources": {"public-ip": 1, "instance/seca.dxs": 1},
    }
    tenant = await opened(scene, operator, "things", limits)
    sku = (await scene.client.get(at("instance-sku", "seca.dxs", tenant="things"))).json["spec"]
    ip: Json = {"spec": {"version": "IPv4"}}
    assert (await tenant.put("public-ip", "a", ip)).status == 201
    assert quota(await tenant.put("public-ip", "b", ip)) == said("public-ip", 1, 1, 1)
    await scene.client.made(tenant.at("block-storage", "disk"), volume(60))
    assert quota(await tenant.put("block-storage", "x", volume(41))) == said(
        "volumeGB", 60, 41, 100
    )
    assert quota(await tenant.put("block-storage", "disk", volume(101))) == said(
        "volumeGB", 60, 41, 100
    )
    await scene.client.made(tenant.at("block-storage", "disk"), volume(100))
    await scene.client.made(tenant.at("instance", "one"), instance("disk"))
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == said("instance/seca.dxs", 1, 1, 1)
    limits |= {"cores": 2 * sku["vCPU"] - 1, "resources": {}}
    await allowed(operator, "things", limits)
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == said("cores", sku["vCPU"], sku["vCPU"], 2 * sku["vCPU"] - 1)
    limits |= {"cores": 100, "ramGB": 2 * sku["ram"] - 1}
    await allowed(operator, "things", limits)
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == said("ramGB", sku["ram"], sku["ram"], 2 * sku["ram"] - 1)
    assert (await tenant.put("instance", "one", instance("disk"))).status == 200
    await scene.at_rest()


async def test_a_quota_names_what_there_is(operator: Client) -> None:
    for wrong in ("elephant", "tenant", "region", "public-ip/x", "instance-sku"):
        spec = {"administrators": ["a"], "quotas": {"resources": {wrong: 1}}}
        answer = await operator.put(at("tenant", "wrong"), {"spec": spec})
        where = f"/spec/quotas/resources/{wrong.replace('/', '~1')}"
        assert refused(answer, 422) == [(where, "")]


async def test_administrators_are_not_made_again_with_the_quotas(
    scene: Scene, operator: Client
) -> None:
    await opened(scene, operator, "kept", None)
    administrators = at("role-assignment", "administrators", tenant="kept")
    spec = (await scene.client.get(administrators)).json["spec"]
    spec["subs"] = ["admin@example.org"]
    assert (await scene.client.put(administrators, {"spec": spec})).status == 200
    await allowed(operator, "kept", {"cores": 1})
    await scene.at_rest()
    assert (await scene.client.get(administrators)).json["spec"]["subs"] == ["admin@example.org"]


# --- many at once


async def living(scene: Scene, tenant: str, kind: str) -> list[str]:
    await scene.at_rest()
    async with scene.pool() as pool:
        rows = await pool.fetch(
            "select uid from resources where kind = $1 and path like $2 and not gone",
            kind,
            f"tenants/{tenant}/%",
        )
    return [row[0] for row in rows]


async def ensured(scene: Scene, tenant: str, kind: str) -> int:
    """How many of a tenant's the cloud ever made."""
    events = await scene.events()
    uids = {
        each.uid
        for each in events
        if isinstance(each.event, Created)
        and each.ref.kind == kind
        and each.ref.scope("tenants") == tenant
    }
    return len(uids & set((await scene.site.counts()).creates))


@pytest.mark.parametrize(
    ("kind", "body", "what"),
    [("block-storage", volume(), "block-storage"), ("instance", instance("disk"), "cores")],
)
async def test_of_many_at_once_no_more_are_made_than_may_be(
    scene: Scene, operator: Client, kind: str, body: Json, what: str
) -> None:
    name = f"crowd-{kind}"
    tenant = await opened(scene, operator, name, None)
    await scene.client.made(tenant.at("block-storage", "disk"), volume())
    sku = (await scene.client.get(at("instance-sku", "seca.dxs", tenant=name))).json["spec"]
    limits: Json = {"resources": {"block-storage": MOST + 1}, "cores": MOST * sku["vCPU"]}
    await allowed(operator, name, limits)
    async with scene.another_serve() as other:
        doors = (scene.client, other)
        puts = (tenant.put(kind, f"x{n}", body, doors[n % 2]) for n in range(AT_ONCE))
        answers = await asyncio.gather(*puts)
    statuses = Counter(each.status for each in answers)
    assert set(statuses) <= {201, 409, 503}, statuses
    assert statuses[201] <= MOST
    assert {quota(each)["what"] for each in answers if each.status == 409} == {what}
    begun = 1 if kind == "block-storage" else 0
    assert len(await living(scene, name, kind)) == MOST + begun
    assert await ensured(scene, name, kind) == MOST + begun
    taken_back = [
        each
        for each in await scene.events()
        if isinstance(each.event, DeletionRequested) and each.ref.scope("tenants") == name
    ]
    assert {each.actor for each in taken_back} <= {SYSTEM}
    assert len({each.ref for each in taken_back}) == len(taken_back)


async def test_of_many_that_grow_at_once_none_goes_beyond(scene: Scene, operator: Client) -> None:
    many = 20
    tenant = await opened(scene, operator, "growth", {"volumeGB": many * GB + 5 * GB})
    await asyncio.gather(
        *(scene.client.made(tenant.at("block-storage", f"v{n}"), volume()) for n in range(many))
    )
    async with scene.another_serve() as other:
        doors = (scene.client, other)
        answers = await asyncio.gather(
            *(
                tenant.put("block-storage", f"v{n}", volume(GB + grown * GB), doors[n % 2])
                for grown in (1, 2)
                for n in range(many)
            )
        )
    assert {each.status for each in answers} <= {200, 409, 503}
    await scene.at_rest()
    shown = await scene.client.get(tenant.at("block-storage") + "?limit=100")
    sizes = [item["spec"]["sizeGB"] for item in shown.json["items"]]
    assert (len(sizes), min(sizes)) == (many, GB)
    assert sum(sizes) <= many * GB + 5 * GB
    assert [i["status"]["sizeGB"] for i in shown.json["items"]] == sizes
    assert await most_ever_found(scene, "growth") <= many * GB + 5 * GB


async def most_ever_found(scene: Scene, tenant: str) -> int:
    """How large the volumes were together as the reconcilers reported them, at the worst moment."""
    sizes, most = dict[Ref, int](), 0
    for each in await scene.events():
        status = getattr(each.event, "status", None)
        if each.ref.kind == "block-storage" and each.ref.scope("tenants") == tenant and status:
            sizes[each.ref] = status["sizeGB"]
            most = max(most, sum(sizes.values()))
    return most


# --- who dies


async def test_what_a_dead_serve_left_over_the_quota_is_taken_back(
    scene: Scene, operator: Client
) -> None:
    """Killed between the append and the second look: the projector is stopped, so that nobody can
    look a second time."""
    limits: Json = {"resources": {"block-storage": MOST}, "volumeGB": MOST * GB}
    tenant = await opened(scene, operator, "dead", limits)
    await scene.client.made(tenant.at("block-storage", "first"), volume())
    await scene.at_rest()

    async def recorded(sort: type) -> int:
        return sum(
            isinstance(each.event, sort) and each.ref.scope("tenants") == "dead"
            for each in await scene.events()
        )

    before, many = await recorded(Created), 3 * MOST
    with scene.stopped("projector"):
        async with asyncio.TaskGroup() as group:
            for n in range(many):
                group.create_task(lost(tenant, f"v{n}", volume()))
            group.create_task(lost(tenant, "first", volume(5 * GB)))

            async def all_recorded() -> bool:
                return await recorded(Created) == before + many and await recorded(Updated) == 1

            await until(all_recorded, "everything is recorded")
            await scene.kill("serve")
    await scene.client.back()
    uids = await living(scene, "dead", "block-storage")
    assert len(uids) <= MOST
    assert await ensured(scene, "dead", "block-storage") <= MOST
    shown = await scene.client.get(tenant.at("block-storage") + "?limit=100")
    sizes = {i["metadata"]["name"]: i["spec"]["sizeGB"] for i in shown.json["items"]}
    assert sum(sizes.values()) <= MOST * GB
    assert await most_ever_found(scene, "dead") <= MOST * GB
    assert {i["status"]["state"] for i in shown.json["items"]} == {"active"}


async def test_while_nobody_can_count_nobody_says_yes(scene: Scene, operator: Client) -> None:
    limits: Json = {"resources": {"block-storage": 1}}
    tenant = await opened(scene, operator, "uncounted", limits)
    await scene.at_rest()
    with scene.stopped("projector"):
        answers = await asyncio.gather(
            *(tenant.put("block-storage", name, volume()) for name in ("a", "b"))
        )
        for answer in answers:
            assert refused(answer, 503) == []
            assert answer.headers["Retry-After"] == "1"
    assert len(await living(scene, "uncounted", "block-storage")) == 1
    assert await ensured(scene, "uncounted", "block-storage") == 1


async def lost(tenant: Tenant, name: str, body: Json) -> None:
    """A PUT whose answer nobody gets."""
    with suppress(OSError):
        await tenant.put("block-storage", name, body)
