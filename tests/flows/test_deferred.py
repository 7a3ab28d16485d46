"""A house that was told to wait for nothing, and to let networks take their subnets along."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at, client_of
from tests.flows.dev_plane import DevProcess, configured
from tests.flows.problems import refused

MADE = ["active", "creating", "pending"]
SETTINGS = """
[references]
nic_public_ips = "deferred"
image_block_storage = "deferred"
role_assignment_roles = "deferred"

[deletion]
cascades = ["network/subnet"]
"""
SKU = {"skuRef": {"resource": "skus/seca.n1k"}}
VOLUME = {"sizeGB": 3, "skuRef": {"resource": "skus/seca.rd100"}}
ROUTE = {"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": "10.0.0.1"}}
READS: Json = {
    "permissions": [{"provider": "seca.storage", "resources": ["*"], "verb": ["get", "list"]}]
}


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    place = tmp_path_factory.mktemp("lenient")
    with configured(place, SETTINGS) as started:
        yield started


@pytest.fixture
async def client(lenient: DevProcess) -> AsyncIterator[Client]:
    async with client_of(lenient.details.url, lenient.details.token) as caller:
        yield caller


@pytest.fixture
async def here(client: Client, workspace: str) -> str:
    await client.made(at("workspace", workspace), {})
    return workspace


async def network(client: Client, here: str) -> None:
    """With two subnets, and a route table in another network, which does not go along."""
    cidr = {"cidr": {"ipv4": "10.0.0.0/16"}}
    for name in ("net", "other"):
        await client.put(at("network", name, workspace=here), {"spec": SKU | cidr})
    table = at("routing-table", "t", workspace=here, network="other")
    await client.put(table, {"spec": {"routes": [ROUTE]}})
    for n, name in enumerate(("one", "two")):
        await client.made(subnet(here, name), {"spec": subnet_spec(f"10.0.{n}.0/24")})


def subnet(here: str, name: str) -> str:
    return at("subnet", name, workspace=here, network="net")


def subnet_spec(cidr: str) -> Json:
    table = {"resource": "networks/other/route-tables/t"}
    return {"cidr": {"ipv4": cidr}, "zone": "a", "routeTableRef": table}


def nic_spec(*public: str) -> Json:
    return {
        "subnetRef": {"resource": "networks/net/subnets/one"},
        "addresses": ["0.0.0.0"],
        "publicIpRefs": [{"resource": f"public-ips/{name}"} for name in public],
    }


# --- what is bound when it appears


async def test_a_nic_is_active_without_its_public_ips_and_has_them_when_they_come(
    client: Client, here: str
) -> None:
    await network(client, here)
    nic = at("nic", "n", workspace=here)
    bare = await client.made(nic, {"spec": nic_spec("p", "q")})
    assert bare.history == MADE
    assert all("reason" not in each for each in bare.json["status"]["conditions"])
    assert bare.json["status"]["publicIpRefs"] == []
    assert bare.json["spec"] == nic_spec("p", "q")
    for n, name in enumerate(("q", "p"), start=1):
        await client.made(at("public-ip", name, workspace=here), {"spec": {"version": "IPv4"}})
        bound = await client.until(nic, lambda a, n=n: bound_to(a) == n)  # type: ignore[misc]
    assert bound.json["status"]["publicIpRefs"] == nic_spec("p", "q")["publicIpRefs"]
    assert (bound.history, bound.json["metadata"]["resourceVersion"]) == (MADE, 1)
    kept = await client.delete(at("public-ip", "p", workspace=here))
    assert refused(kept, 409) == []


def bound_to(answer: Answer) -> int:
    return len(answer.json["status"]["publicIpRefs"])


async def test_an_image_comes_before_its_volume(client: Client, here: str) -> None:
    image = at("image", f"of-{here}")
    reference = {"resource": "block-storages/late", "workspace": here}
    spec = {"blockStorageRef": reference, "cpuArchitecture": "arm64"}
    made = await client.made(image, {"spec": spec})
    assert (made.history, "sizeMB" in made.json["status"]) == (MADE, False)
    await client.made(at("block-storage", "late", workspace=here), {"spec": VOLUME})
    bound = await client.until(image, lambda answer: "sizeMB" in answer.json["status"])
    assert (bound.json["status"]["sizeMB"], bound.history) == (3 * 1024, MADE)


async def test_an_assignment_comes_before_its_role(
    client: Client, lenient: DevProcess, here: str
) -> None:
    name, sub = f"later-{here}", f"sub-{here}"
    assignment = at("role-assignment", name)
    spec = {"subs": [sub], "roles": [name], "scopes": [{"workspaces": [here]}]}
    made = await client.made(assignment, {"spec": spec})
    assert (made.history, made.json["spec"]) == (MADE, spec)
    somebody = client.by(lenient.token(sub))
    volumes = at("block-storage", workspace=here)
    assert refused(await somebody.get(volumes), 403) == []
    await client.made(at("role", name), {"spec": READS})
    assert (await somebody.get(volumes)).status == 200
    assert (await client.get(assignment)).json["metadata"]["resourceVersion"] == 1


@pytest.mark.parametrize(
    ("kind", "spec", "pointer"),
    [
        ("nic", {"subnetRef": {"resource": "networks/net/subnets/x"}}, "/subnetRef"),
        ("nic", {"securityGroupRefs": [{"resource": "x"}]}, "/securityGroupRefs/0"),
    ],
)
async def test_no_other_reference_is_deferred_by_that(
    client: Client, here: str, kind: str, spec: Json, pointer: str
) -> None:
    await network(client, here)
    answer = await client.put(at(kind, "n", workspace=here), {"spec": nic_spec("p") | spec})
    assert refused(answer, 422) == [(f"/spec{pointer}", "")]


async def test_nothing_of_another_tenant_is_bound(
    client: Client, lenient: DevProcess, here: str
) -> None:
    """What the caller may not get is not there, and cannot appear (CONTRACT: References)."""
    tenant, boss = f"of-{here}", client.by(lenient.token("boss"))
    operator = client.by(lenient.details.operator_token)
    await operator.made(at("tenant", tenant), {"spec": {"administrators": ["boss"]}})
    theirs = {"tenant": tenant, "workspace": "their"}
    await boss.made(at("workspace", "their", tenant=tenant), {})
    await boss.made(at("block-storage", "d", **theirs), {"spec": VOLUME})
    await boss.made(at("public-ip", "p", **theirs), {"spec": {"version": "IPv4"}})
    await network(client, here)
    said = {"publicIpRefs": [{"resource": "p", **theirs}]}
    nic = await client.put(at("nic", "n", workspace=here), {"spec": nic_spec() | said})
    assert refused(nic, 422) == [("/spec/publicIpRefs/0", "")]
    copied = {"blockStorageRef": {"resource": "d", **theirs}, "cpuArchitecture": "arm64"}
    image = await client.put(at("image", f"copy-{here}"), {"spec": copied})
    assert refused(image, 422) == [("/spec/blockStorageRef", "")]
    source = {"direction": "ingress", "sourceRef": [{"resource": "instances/i", **theirs}]}
    rule = await client.put(at("security-group-rule", "r", workspace=here), {"spec": source})
    assert refused(rule, 422) == [("/spec/sourceRef/0", "")]
    assert (await boss.delete(at("public-ip", "p", **theirs))).status == 202


# --- what goes along


async def test_a_network_takes_its_subnets_along(client: Client, here: str) -> None:
    await network(client, here)
    net = at("network", "net", workspace=here)
    assert (await client.delete(net)).status == 202
    refusal = await client.put(subnet(here, "late"), {"spec": subnet_spec("10.0.9.0/24")})
    assert refused(refusal, 409) == [] or refusal.status == 404
    await client.gone(net)
    for name in ("one", "two"):
        assert (await client.get(subnet(here, name))).status == 404
    assert (await client.delete(at("routing-table", "t", workspace=here, network="other"))).status
    assert (await client.put(net, {"spec": SKU | {"cidr": {}}})).status == 201


async def test_a_subnet_in_use_keeps_its_network(client: Client, here: str) -> None:
    await network(client, here)
    net, nic = at("network", "net", workspace=here), at("nic", "n", workspace=here)
    await client.made(nic, {"spec": nic_spec()})
    kept = await client.delete(net)
    assert refused(kept, 409) == []
    below = f"tenants/demo/workspaces/{here}"
    assert kept.json["meta"] == {"blockers": [f"seca.network/v1/{below}/nics/n"], "count": 1}
    assert (await client.get(net)).state == "active"
    for each in (nic, net):
        assert (await client.delete(each)).status == 202
    await client.gone(net)


async def test_a_route_table_still_blocks(client: Client, here: str) -> None:
    await network(client, here)
    kept = await client.delete(at("network", "other", workspace=here))
    assert refused(kept, 409) == []
    assert kept.json["meta"]["count"] == 1


async def test_whoever_deletes_everything_at_once_need_not_wait(client: Client, here: str) -> None:
    """A workspace whose network goes with its subnets can go, too."""
    await network(client, here)
    table = at("routing-table", "t", workspace=here, network="other")
    nets = [at("network", name, workspace=here) for name in ("net", "other")]
    workspace = at("workspace", here)
    for each in (nets[0], table, nets[1], workspace):
        answer = await client.delete(each)
        assert answer.status == 202, answer
    await asyncio.gather(*(client.gone(each) for each in (*nets, workspace)))


# --- roles


async def test_a_role_that_is_deleted_vanishes_from_assignments(client: Client, here: str) -> None:
    """The assignment stays, in the end with no role at all (A-20)."""
    names = [f"{here}-a", f"{here}-b"]
    for name in names:
        await client.made(at("role", name), {"spec": READS})
    assignment = at("role-assignment", f"of-{here}")
    spec: Json = {"subs": ["x"], "roles": [*names, "seca.workspace-viewer"], "scopes": [{}]}
    await client.made(assignment, {"spec": spec, "labels": {"kept": "yes"}})
    await client.delete(at("role", names[0]))
    await client.gone(at("role", names[0]))
    left = await client.active(assignment)
    assert left.json["spec"]["roles"] == [names[1], "seca.workspace-viewer"]
    assert left.json["labels"] == {"kept": "yes"}
    alone = at("role-assignment", f"alone-{here}")
    await client.made(alone, {"spec": spec | {"roles": names[1:]}})
    await client.delete(at("role", names[1]))
    await client.gone(at("role", names[1]))
    assert (await client.active(alone)).json["spec"]["roles"] == []


async def test_a_role_vanishes_from_an_assignment_that_never_found_it(
    client: Client, here: str
) -> None:
    """Named before it was made, and found when it came."""
    name = f"{here}-late"
    assignment = at("role-assignment", name)
    spec = {"subs": ["x"], "roles": [name, f"{here}-never"], "scopes": [{}]}
    await client.made(assignment, {"spec": spec})
    await client.made(at("role", name), {"spec": READS})
    await client.delete(at("role", name))
    await client.gone(at("role", name))
    assert (await client.active(assignment)).json["spec"]["roles"] == [f"{here}-never"]
