"""Settings that defer references and let the deletion of a network cascade to its subnets."""

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
async def workspace_name(client: Client, workspace: str) -> str:
    await client.made(at("workspace", workspace), {})
    return workspace


async def network(client: Client, workspace_name: str) -> None:
    """Create a network with two subnets, and a second network whose route table blocks deletion."""
    cidr = {"cidr": {"ipv4": "10.0.0.0/16"}}
    for name in ("net", "other"):
        await client.put(at("network", name, workspace=workspace_name), {"spec": SKU | cidr})
    table = at("routing-table", "t", workspace=workspace_name, network="other")
    await client.put(table, {"spec": {"routes": [ROUTE]}})
    for n, name in enumerate(("one", "two")):
        await client.made(subnet(workspace_name, name), {"spec": subnet_spec(f"10.0.{n}.0/24")})


def subnet(workspace_name: str, name: str) -> str:
    return at("subnet", name, workspace=workspace_name, network="net")


def subnet_spec(cidr: str) -> Json:
    table = {"resource": "networks/other/route-tables/t"}
    return {"cidr": {"ipv4": cidr}, "zone": "a", "routeTableRef": table}


def nic_spec(*public: str) -> Json:
    return {
        "subnetRef": {"resource": "networks/net/subnets/one"},
        "addresses": ["0.0.0.0"],
        "publicIpRefs": [{"resource": f"public-ips/{name}"} for name in public],
    }


# --- deferred references


async def test_a_nic_is_active_before_its_public_ips_and_binds_them_when_they_appear(
    client: Client, workspace_name: str
) -> None:
    await network(client, workspace_name)
    nic = at("nic", "n", workspace=workspace_name)
    unbound = await client.made(nic, {"spec": nic_spec("p", "q")})
    assert unbound.history == MADE
    assert all("reason" not in each for each in unbound.json["status"]["conditions"])
    assert unbound.json["status"]["publicIpRefs"] == []
    assert unbound.json["spec"] == nic_spec("p", "q")
    for n, name in enumerate(("q", "p"), start=1):
        await client.made(
            at("public-ip", name, workspace=workspace_name), {"spec": {"version": "IPv4"}}
        )
        bound = await client.until(nic, lambda a, n=n: bound_to(a) == n)  # type: ignore[misc]
    assert bound.json["status"]["publicIpRefs"] == nic_spec("p", "q")["publicIpRefs"]
    assert (bound.history, bound.json["metadata"]["resourceVersion"]) == (MADE, 1)
    refusal = await client.delete(at("public-ip", "p", workspace=workspace_name))
    assert refused(refusal, 409) == []


def bound_to(answer: Answer) -> int:
    return len(answer.json["status"]["publicIpRefs"])


async def test_an_image_may_be_created_before_its_volume(
    client: Client, workspace_name: str
) -> None:
    image = at("image", f"of-{workspace_name}")
    reference = {"resource": "block-storages/late", "workspace": workspace_name}
    spec = {"blockStorageRef": reference, "cpuArchitecture": "arm64"}
    made = await client.made(image, {"spec": spec})
    assert (made.history, "sizeMB" in made.json["status"]) == (MADE, False)
    await client.made(at("block-storage", "late", workspace=workspace_name), {"spec": VOLUME})
    bound = await client.until(image, lambda answer: "sizeMB" in answer.json["status"])
    assert (bound.json["status"]["sizeMB"], bound.history) == (3 * 1024, MADE)


async def test_an_assignment_may_be_created_before_its_role(
    client: Client, lenient: DevProcess, workspace_name: str
) -> None:
    name, sub = f"later-{workspace_name}", f"sub-{workspace_name}"
    assignment = at("role-assignment", name)
    spec = {"subs": [sub], "roles": [name], "scopes": [{"workspaces": [workspace_name]}]}
    made = await client.made(assignment, {"spec": spec})
    assert (made.history, made.json["spec"]) == (MADE, spec)
    grantee = client.by(lenient.token(sub))
    volumes = at("block-storage", workspace=workspace_name)
    assert refused(await grantee.get(volumes), 403) == []
    await client.made(at("role", name), {"spec": READS})
    assert (await grantee.get(volumes)).status == 200
    assert (await client.get(assignment)).json["metadata"]["resourceVersion"] == 1


async def test_a_deferred_role_is_judged_by_the_author_of_the_assignment(
    client: Client, lenient: DevProcess, workspace_name: str
) -> None:
    """The author of the assignment cannot give away more than the author holds, also if another
    caller writes the role; a condition says what is missing, until the author holds it."""
    name, author = f"trap-{workspace_name}", f"author-{workspace_name}"
    assigns = [
        {"provider": "seca.authorization", "resources": ["role-assignments/*"], "verb": ["put"]}
    ]
    await client.made(at("role", author), {"spec": {"permissions": assigns}})
    held: Json = {"subs": [author], "roles": [author], "scopes": [{}]}
    await client.made(at("role-assignment", author), {"spec": held})
    spec = {"subs": [name], "roles": [name], "scopes": [{}]}
    trap = at("role-assignment", name)
    assert (await client.by(lenient.token(author)).put(trap, {"spec": spec})).status == 201
    await client.made(at("role", name), {"spec": READS})
    grantee, volumes = client.by(lenient.token(name)), at("block-storage", workspace=workspace_name)
    assert refused(await grantee.get(volumes), 403) == []
    said = f"role {name} grants get on seca.storage"
    await client.until(trap, lambda answer: said in str(answer.json["status"]["conditions"][0]))
    more: Json = held | {"roles": [author, "seca.workspace-viewer"]}
    await client.put(at("role-assignment", author), {"spec": more})
    await grantee.until(volumes, lambda answer: answer.status == 200)
    bound = await client.until(trap, lambda answer: "are bound" in str(answer.json["status"]))
    assert (bound.history, bound.json["metadata"]["resourceVersion"]) == (MADE, 1)


@pytest.mark.parametrize(
    ("kind", "spec", "pointer"),
    [
        ("nic", {"subnetRef": {"resource": "networks/net/subnets/x"}}, "/subnetRef"),
        ("nic", {"securityGroupRefs": [{"resource": "x"}]}, "/securityGroupRefs/0"),
    ],
)
async def test_references_that_no_setting_defers_stay_strict(
    client: Client, workspace_name: str, kind: str, spec: Json, pointer: str
) -> None:
    await network(client, workspace_name)
    answer = await client.put(
        at(kind, "n", workspace=workspace_name), {"spec": nic_spec("p") | spec}
    )
    assert refused(answer, 422) == [(f"/spec{pointer}", "")]


async def test_a_reference_to_another_tenant_is_never_deferred(
    client: Client, lenient: DevProcess, workspace_name: str
) -> None:
    """A resource that the caller may not read counts as absent and cannot appear later
    (docs/reference/api.md)."""
    tenant, boss = f"of-{workspace_name}", client.by(lenient.token("boss"))
    operator = client.by(lenient.details.operator_token)
    await operator.made(at("tenant", tenant), {"spec": {"administrators": ["boss"]}})
    foreign_ids = {"tenant": tenant, "workspace": "their"}
    await boss.made(at("workspace", "their", tenant=tenant), {})
    await boss.made(at("block-storage", "d", **foreign_ids), {"spec": VOLUME})
    await boss.made(at("public-ip", "p", **foreign_ids), {"spec": {"version": "IPv4"}})
    await network(client, workspace_name)
    foreign = {"publicIpRefs": [{"resource": "p", **foreign_ids}]}
    nic = await client.put(at("nic", "n", workspace=workspace_name), {"spec": nic_spec() | foreign})
    assert refused(nic, 422) == [("/spec/publicIpRefs/0", "")]
    copied = {"blockStorageRef": {"resource": "d", **foreign_ids}, "cpuArchitecture": "arm64"}
    image = await client.put(at("image", f"copy-{workspace_name}"), {"spec": copied})
    assert refused(image, 422) == [("/spec/blockStorageRef", "")]
    source = {"direction": "ingress", "sourceRef": [{"resource": "instances/i", **foreign_ids}]}
    rule = await client.put(
        at("security-group-rule", "r", workspace=workspace_name), {"spec": source}
    )
    assert refused(rule, 422) == [("/spec/sourceRef/0", "")]
    assert (await boss.delete(at("public-ip", "p", **foreign_ids))).status == 202


# --- cascading deletion


async def test_the_deletion_of_a_network_cascades_to_its_subnets(
    client: Client, workspace_name: str
) -> None:
    await network(client, workspace_name)
    net = at("network", "net", workspace=workspace_name)
    assert (await client.delete(net)).status == 202
    refusal = await client.put(subnet(workspace_name, "late"), {"spec": subnet_spec("10.0.9.0/24")})
    assert refused(refusal, 409) == [] or refusal.status == 404
    await client.gone(net)
    for name in ("one", "two"):
        assert (await client.get(subnet(workspace_name, name))).status == 404
    assert (
        await client.delete(at("routing-table", "t", workspace=workspace_name, network="other"))
    ).status
    assert (await client.put(net, {"spec": SKU | {"cidr": {}}})).status == 201


async def test_a_network_whose_subnet_is_in_use_cannot_be_deleted(
    client: Client, workspace_name: str
) -> None:
    await network(client, workspace_name)
    net, nic = (
        at("network", "net", workspace=workspace_name),
        at("nic", "n", workspace=workspace_name),
    )
    await client.made(nic, {"spec": nic_spec()})
    refusal = await client.delete(net)
    assert refused(refusal, 409) == []
    prefix = f"tenants/demo/workspaces/{workspace_name}"
    assert refusal.json["meta"] == {"blockers": [f"seca.network/v1/{prefix}/nics/n"], "count": 1}
    assert (await client.get(net)).state == "active"
    for each in (nic, net):
        assert (await client.delete(each)).status == 202
    await client.gone(net)


async def test_a_route_table_still_blocks_the_deletion_of_its_network(
    client: Client, workspace_name: str
) -> None:
    await network(client, workspace_name)
    refusal = await client.delete(at("network", "other", workspace=workspace_name))
    assert refused(refusal, 409) == []
    assert refusal.json["meta"]["count"] == 1


async def test_a_workspace_and_its_contents_can_be_deleted_without_waiting(
    client: Client, workspace_name: str
) -> None:
    """A workspace can be deleted while its network and the subnets of it are terminating."""
    await network(client, workspace_name)
    table = at("routing-table", "t", workspace=workspace_name, network="other")
    nets = [at("network", name, workspace=workspace_name) for name in ("net", "other")]
    workspace = at("workspace", workspace_name)
    for each in (nets[0], table, nets[1], workspace):
        answer = await client.delete(each)
        assert answer.status == 202, answer
    await asyncio.gather(*(client.gone(each) for each in (*nets, workspace)))


# --- roles


async def test_a_deleted_role_is_removed_from_assignments(
    client: Client, workspace_name: str
) -> None:
    """The assignment stays, even without any role (A-20)."""
    names = [f"{workspace_name}-a", f"{workspace_name}-b"]
    for name in names:
        await client.made(at("role", name), {"spec": READS})
    assignment = at("role-assignment", f"of-{workspace_name}")
    spec: Json = {"subs": ["x"], "roles": [*names, "seca.workspace-viewer"], "scopes": [{}]}
    await client.made(assignment, {"spec": spec, "labels": {"kept": "yes"}})
    await client.delete(at("role", names[0]))
    await client.gone(at("role", names[0]))
    remaining = await client.active(assignment)
    assert remaining.json["spec"]["roles"] == [names[1], "seca.workspace-viewer"]
    assert remaining.json["labels"] == {"kept": "yes"}
    alone = at("role-assignment", f"alone-{workspace_name}")
    await client.made(alone, {"spec": spec | {"roles": names[1:]}})
    await client.delete(at("role", names[1]))
    await client.gone(at("role", names[1]))
    assert (await client.active(alone)).json["spec"]["roles"] == []


async def test_a_deleted_role_is_removed_from_an_assignment_created_before_it(
    client: Client, workspace_name: str
) -> None:
    """The assignment names the role before it exists."""
    name = f"{workspace_name}-late"
    assignment = at("role-assignment", name)
    spec = {"subs": ["x"], "roles": [name, f"{workspace_name}-never"], "scopes": [{}]}
    await client.made(assignment, {"spec": spec})
    await client.made(at("role", name), {"spec": READS})
    await client.delete(at("role", name))
    await client.gone(at("role", name))
    assert (await client.active(assignment)).json["spec"]["roles"] == [f"{workspace_name}-never"]
