"""Quotas of a tenant: a refusal names used, requested and left amounts; no race exceeds a quota."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from secaplane.cli.dev.plane import OPERATOR
from secaplane.model.actor import SYSTEM
from secaplane.model.events import Created, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref
from tests.flows.client import INSTANCE, SKU, Answer, Client, at
from tests.flows.crashing import Scene, until
from tests.flows.problems import refused
from tests.flows.tenant_setup import put_tenant

LIMIT, AT_ONCE = 10, 200
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
    """A tenant with one workspace; resources in it are addressed by name."""

    def __init__(self, name: str, client: Client) -> None:
        self.name, self.client = name, client

    def at(self, kind: str, name: str = "") -> str:
        return at(kind, name, tenant=self.name, workspace="w")

    async def put(self, kind: str, name: str, body: Json, client: Client | None = None) -> Answer:
        return await (client or self.client).put(self.at(kind, name), body)


async def new_tenant(scene: Scene, operator: Client, name: str, quotas: Json | None) -> Tenant:
    await put_tenant(operator, name, quotas)
    tenant = Tenant(name, scene.client)
    await scene.client.made(at("workspace", "w", tenant=name), {"spec": {}})
    return tenant


def quota(answer: Answer) -> Json:
    assert refused(answer, 409) == []
    meta: Json = answer.json["meta"]["quota"]
    assert meta["left"] == max(0, meta["limit"] - meta["used"])
    for field in ("used", "asked", "left"):
        assert str(meta[field]) in answer.json["detail"]
    return meta


def exceeded(what: str, used: int, asked: int, limit: int) -> Json:
    left = max(0, limit - used)
    return {"what": what, "used": used, "asked": asked, "limit": limit, "left": left}


# --- sequential writes


async def test_a_tenant_without_quotas_has_no_limit(scene: Scene, operator: Client) -> None:
    tenant = await new_tenant(scene, operator, "free", None)
    answers = await asyncio.gather(
        *(tenant.put("block-storage", f"v{n}", volume(1_000_000)) for n in range(30))
    )
    assert {each.status for each in answers} == {201}


async def test_a_count_quota_follows_its_limit_and_deletions(
    scene: Scene, operator: Client
) -> None:
    tenant = await new_tenant(scene, operator, "numbers", {"resources": {"block-storage": 2}})
    for name in ("a", "b"):
        await scene.client.made(tenant.at("block-storage", name), volume())
    for _ in range(2):
        answer = await tenant.put("block-storage", "c", volume())
        assert quota(answer) == exceeded("block-storage", 2, 1, 2)
    assert (await scene.client.get(tenant.at("block-storage", "c"))).status == 404
    await put_tenant(operator, "numbers", {"resources": {"block-storage": 3}})
    await scene.client.made(tenant.at("block-storage", "c"), volume())
    await put_tenant(operator, "numbers", {"resources": {"block-storage": 1}})
    for name in ("a", "b", "c"):  # existing resources stay and can be updated
        await scene.client.made(tenant.at("block-storage", name), volume(2 * GB))
    answer = await tenant.put("block-storage", "d", volume())
    assert quota(answer) == exceeded("block-storage", 3, 1, 1)
    for name in ("a", "b", "c"):
        assert (await scene.client.delete(tenant.at("block-storage", name))).status == 202
        await scene.client.gone(tenant.at("block-storage", name))
    await scene.client.made(tenant.at("block-storage", "d"), volume())
    await put_tenant(operator, "numbers", None)
    await scene.client.made(tenant.at("block-storage", "e"), volume())
    await scene.at_rest()


async def test_each_measure_has_a_quota_of_its_own(scene: Scene, operator: Client) -> None:
    """seca.dxs has one core; volumes count by size, and an update by the size it adds."""
    limits = {
        "cores": 3,
        "ramGB": 1_000,
        "volumeGB": 100,
        "resources": {"public-ip": 1, "instance/seca.dxs": 1},
    }
    tenant = await new_tenant(scene, operator, "things", limits)
    sku = (await scene.client.get(at("instance-sku", "seca.dxs", tenant="things"))).json["spec"]
    ip: Json = {"spec": {"version": "IPv4"}}
    assert (await tenant.put("public-ip", "a", ip)).status == 201
    assert quota(await tenant.put("public-ip", "b", ip)) == exceeded("public-ip", 1, 1, 1)
    await scene.client.made(tenant.at("block-storage", "disk"), volume(60))
    assert quota(await tenant.put("block-storage", "x", volume(41))) == exceeded(
        "volumeGB", 60, 41, 100
    )
    assert quota(await tenant.put("block-storage", "disk", volume(101))) == exceeded(
        "volumeGB", 60, 41, 100
    )
    await scene.client.made(tenant.at("block-storage", "disk"), volume(100))
    await scene.client.made(tenant.at("instance", "one"), instance("disk"))
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == exceeded("instance/seca.dxs", 1, 1, 1)
    limits |= {"cores": 2 * sku["vCPU"] - 1, "resources": {}}
    await put_tenant(operator, "things", limits)
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == exceeded("cores", sku["vCPU"], sku["vCPU"], 2 * sku["vCPU"] - 1)
    limits |= {"cores": 100, "ramGB": 2 * sku["ram"] - 1}
    await put_tenant(operator, "things", limits)
    again = await tenant.put("instance", "two", instance("disk"))
    assert quota(again) == exceeded("ramGB", sku["ram"], sku["ram"], 2 * sku["ram"] - 1)
    assert (await tenant.put("instance", "one", instance("disk"))).status == 200
    await scene.at_rest()


async def test_a_quota_on_an_unknown_resource_is_refused(operator: Client) -> None:
    for wrong in ("elephant", "tenant", "region", "public-ip/x", "instance-sku"):
        spec = {"administrators": ["a"], "quotas": {"resources": {wrong: 1}}}
        answer = await operator.put(at("tenant", "wrong"), {"spec": spec})
        pointer = f"/spec/quotas/resources/{wrong.replace('/', '~1')}"
        assert refused(answer, 422) == [(pointer, "")]


async def test_a_change_of_quotas_does_not_reset_the_administrators(
    scene: Scene, operator: Client
) -> None:
    await new_tenant(scene, operator, "kept", None)
    administrators = at("role-assignment", "administrators", tenant="kept")
    spec = (await scene.client.get(administrators)).json["spec"]
    spec["subs"] = ["admin@example.org"]
    assert (await scene.client.put(administrators, {"spec": spec})).status == 200
    await put_tenant(operator, "kept", {"cores": 1})
    await scene.at_rest()
    assert (await scene.client.get(administrators)).json["spec"]["subs"] == ["admin@example.org"]


# --- concurrent writes


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
    """The number of resources of that kind that the cloud ever created for a tenant."""
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
async def test_concurrent_creations_do_not_exceed_a_quota(
    scene: Scene, operator: Client, kind: str, body: Json, what: str
) -> None:
    name = f"crowd-{kind}"
    tenant = await new_tenant(scene, operator, name, None)
    await scene.client.made(tenant.at("block-storage", "disk"), volume())
    sku = (await scene.client.get(at("instance-sku", "seca.dxs", tenant=name))).json["spec"]
    limits: Json = {"resources": {"block-storage": LIMIT + 1}, "cores": LIMIT * sku["vCPU"]}
    await put_tenant(operator, name, limits)
    async with scene.another_serve() as other:
        clients = (scene.client, other)
        puts = (tenant.put(kind, f"x{n}", body, clients[n % 2]) for n in range(AT_ONCE))
        answers = await asyncio.gather(*puts)
    statuses = Counter(each.status for each in answers)
    assert set(statuses) <= {201, 409, 503}, statuses
    assert statuses[201] <= LIMIT
    assert {quota(each)["what"] for each in answers if each.status == 409} == {what}
    existing = 1 if kind == "block-storage" else 0
    assert len(await living(scene, name, kind)) == LIMIT + existing
    assert await ensured(scene, name, kind) == LIMIT + existing
    reverted = [
        each
        for each in await scene.events()
        if isinstance(each.event, DeletionRequested) and each.ref.scope("tenants") == name
    ]
    assert {each.actor for each in reverted} <= {SYSTEM}
    assert len({each.ref for each in reverted}) == len(reverted)


async def test_concurrent_updates_do_not_exceed_a_quota(scene: Scene, operator: Client) -> None:
    many = 20
    tenant = await new_tenant(scene, operator, "growth", {"volumeGB": many * GB + 5 * GB})
    await asyncio.gather(
        *(scene.client.made(tenant.at("block-storage", f"v{n}"), volume()) for n in range(many))
    )
    async with scene.another_serve() as other:
        clients = (scene.client, other)
        answers = await asyncio.gather(
            *(
                tenant.put("block-storage", f"v{n}", volume(GB + grown * GB), clients[n % 2])
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
    assert await largest_reported_total(scene, "growth") <= many * GB + 5 * GB


async def largest_reported_total(scene: Scene, tenant: str) -> int:
    """The largest total size of the volumes that the reconcilers ever reported, in GB."""
    sizes, most = dict[Ref, int](), 0
    for each in await scene.events():
        status = getattr(each.event, "status", None)
        if each.ref.kind == "block-storage" and each.ref.scope("tenants") == tenant and status:
            sizes[each.ref] = status["sizeGB"]
            most = max(most, sum(sizes.values()))
    return most


# --- crashes


async def test_writes_over_a_quota_of_a_killed_serve_process_are_reverted(
    scene: Scene, operator: Client
) -> None:
    """Killed between the append and the check after it: the projector is stopped, so that the rows
    for that check are missing."""
    limits: Json = {"resources": {"block-storage": LIMIT}, "volumeGB": LIMIT * GB}
    tenant = await new_tenant(scene, operator, "dead", limits)
    await scene.client.made(tenant.at("block-storage", "first"), volume())
    await scene.at_rest()

    async def recorded(type_: type) -> int:
        return sum(
            isinstance(each.event, type_) and each.ref.scope("tenants") == "dead"
            for each in await scene.events()
        )

    before, many = await recorded(Created), 3 * LIMIT
    with scene.stopped("projector"):
        async with asyncio.TaskGroup() as group:
            for n in range(many):
                group.create_task(put_unanswered(tenant, f"v{n}", volume()))
            group.create_task(put_unanswered(tenant, "first", volume(5 * GB)))

            async def all_recorded() -> bool:
                return await recorded(Created) == before + many and await recorded(Updated) == 1

            await until(all_recorded, "everything is recorded")
            await scene.kill("serve")
    await scene.client.back()
    uids = await living(scene, "dead", "block-storage")
    assert len(uids) <= LIMIT
    assert await ensured(scene, "dead", "block-storage") <= LIMIT
    shown = await scene.client.get(tenant.at("block-storage") + "?limit=100")
    sizes = {i["metadata"]["name"]: i["spec"]["sizeGB"] for i in shown.json["items"]}
    assert sum(sizes.values()) <= LIMIT * GB
    assert await largest_reported_total(scene, "dead") <= LIMIT * GB
    assert {i["status"]["state"] for i in shown.json["items"]} == {"active"}


async def test_writes_are_answered_503_while_usage_cannot_be_counted(
    scene: Scene, operator: Client
) -> None:
    limits: Json = {"resources": {"block-storage": 1}}
    tenant = await new_tenant(scene, operator, "uncounted", limits)
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


async def put_unanswered(tenant: Tenant, name: str, body: Json) -> None:
    """A PUT that ignores the loss of its answer."""
    with suppress(OSError):
        await tenant.put("block-storage", name, body)
