"""Every type of refusal in both dialects: the standard's, and the one that the released conformance
runner expects (docs/reference/api.md)."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from secaplane.model.shape import Json
from tests.flows.client import Client, at, client_of
from tests.flows.dev_plane import DevProcess
from tests.flows.problems import refused

SINCE = {"if-unmodified-since": "999"}
BOOT: Json = {"resource": "disk"}
ROLE: Json = {"provider": "seca.storage", "resources": ["*"], "verb": ["get"]}
FLYING: Json = {"permissions": [ROLE | {"verb": ["CONNECT"]}]}
UNKNOWN_ROLE: Json = {"subs": ["x"], "roles": ["none"], "scopes": [{}]}
UNKNOWN_DISK: Json = {"blockStorageRef": {"resource": "x"}, "cpuArchitecture": "arm64"}


class Case(NamedTuple):
    """One request and the statuses of its refusal in the standard's and in the runner's dialect."""

    reason: str
    method: str
    kind: str
    name: str
    statuses: tuple[int, int]
    spec: Json | None = None
    """Fields that replace those of the valid spec for that kind."""
    headers: Mapping[str, str] = MappingProxyType({})
    workspace: str = ""
    tenant: str = "demo"


RULE, STATE = (422, 412), (409, 412)
CASES = [
    Case("a broken rule", "PUT", "block-storage", "disk", RULE, {"sizeGB": 0}),
    Case("an unknown field", "PUT", "block-storage", "disk", RULE, {"colour": "red"}),
    Case("an immutable field", "PUT", "block-storage", "disk", RULE, {"skuRef": BOOT}),
    Case("a volume that shrinks", "PUT", "block-storage", "disk", RULE, {"sizeGB": 1}),
    Case("an unknown SKU", "PUT", "block-storage", "new", RULE, {"skuRef": BOOT}),
    Case("an unknown zone", "PUT", "instance", "new", RULE, {"zone": "nowhere"}),
    Case("an unknown volume", "PUT", "image", "new", RULE, UNKNOWN_DISK),
    Case("a name with capitals", "PUT", "workspace", "Web", RULE, {}),
    Case("an unknown verb", "PUT", "role", "new", RULE, FLYING),
    Case("no permissions", "PUT", "role", "new", RULE, {"permissions": []}),
    Case("an unknown role", "PUT", "role-assignment", "new", RULE, UNKNOWN_ROLE),
    Case("a system role", "PUT", "role", "seca.admin", STATE, {"permissions": [ROLE]}),
    Case("a system role", "DELETE", "role", "seca.admin", STATE),
    Case("has children", "DELETE", "workspace", "HERE", STATE),
    Case("in use", "DELETE", "block-storage", "disk", STATE),
    Case("the wrong power state", "POST", "instance", "one/stop", STATE),
    Case("no such parent", "PUT", "block-storage", "disk", (404, 412), {}, {}, "nowhere"),
    Case("another version", "PUT", "block-storage", "disk", (412, 412), {}, SINCE),
    Case("another version", "DELETE", "block-storage", "disk", (412, 412), None, SINCE),
    Case("another version", "POST", "instance", "one/start", (412, 412), None, SINCE),
    Case("not found", "GET", "block-storage", "none", (404, 404)),
    Case("not found", "DELETE", "block-storage", "none", (404, 404)),
    Case("not found", "POST", "instance", "none/start", (404, 404)),
    Case("an unsupported method", "POST", "block-storage", "disk", (405, 405)),
    Case("no media type", "PUT", "block-storage", "disk", (415, 415), {}, {"Content-Type": "x"}),
    Case(
        "no acceptable media type",
        "PUT",
        "block-storage",
        "disk",
        (406, 406),
        {},
        {"Accept": "x/y"},
    ),
    Case(
        "a malformed version",
        "PUT",
        "block-storage",
        "disk",
        (400, 400),
        {},
        {next(iter(SINCE)): "x"},
    ),
    Case(
        "an invalid token",
        "PUT",
        "block-storage",
        "disk",
        (401, 401),
        {},
        {"Authorization": "Bearer x"},
    ),
    Case("another tenant", "PUT", "workspace", "x", (403, 403), {}, tenant="foreign"),
    Case("another tenant", "DELETE", "workspace", "x", (403, 403), None, tenant="foreign"),
    Case("another tenant", "GET", "workspace", "x", (403, 403), None, tenant="foreign"),
]


@pytest.fixture(params=["spec", "secatest"])
async def furnished(
    request: pytest.FixtureRequest, plane: DevProcess, other_plane: DevProcess, workspace: str
) -> AsyncIterator["Furnished"]:
    dialect = ("spec", "secatest").index(request.param)
    details = (plane, other_plane)[dialect].details
    async with client_of(details.url, details.token) as client:
        made = Furnished(client, workspace, dialect)
        await client.put(at("workspace", workspace), {})
        await client.put(made.path("block-storage", "disk"), {"spec": made.spec("block-storage")})
        answer = await client.put(made.path("instance", "one"), {"spec": made.spec("instance")})
        assert answer.status == 201, answer
        yield made


class Furnished:
    """A workspace with a volume and an instance, in a control plane of one dialect."""

    def __init__(self, client: Client, workspace: str, dialect: int) -> None:
        self.client, self.workspace, self.dialect = client, workspace, dialect

    def path(self, kind: str, name: str, **ids: str) -> str:
        name = name.replace("HERE", self.workspace)
        return at(kind, name, **({"workspace": self.workspace} | ids))

    def spec(self, kind: str) -> Json:
        """A valid spec for a volume or an instance; an empty one for other kinds."""
        volume, machine = (("seca.rd500", "seca.dxs"), ("tiny", "tiny"))[self.dialect]
        zone = ("a", "z1")[self.dialect]
        specs: dict[str, Json] = {
            "block-storage": {"sizeGB": 2, "skuRef": {"resource": f"skus/{volume}"}},
            "instance": {
                "skuRef": {"resource": f"skus/{machine}"},
                "zone": zone,
                "bootVolume": {"deviceRef": BOOT},
            },
        }
        return specs.get(kind, {})


async def test_a_refusal_has_the_status_of_its_dialect(furnished: Furnished) -> None:
    """Refusals that do not concern the desired state are the same in both."""
    for case in CASES:
        ids = {"tenant": case.tenant}
        if case.workspace:
            ids["workspace"] = case.workspace
        path = furnished.path(case.kind, case.name, **ids)
        if case.method == "PUT":
            sent = {"spec": furnished.spec(case.kind) | (case.spec or {})}
            answer = await furnished.client.put(path, sent, **case.headers)
        else:
            answer = await furnished.client.ask(case.method, path, headers=case.headers)
        assert answer.status == case.statuses[furnished.dialect], (case.reason, answer)
        refused(answer, answer.status)


async def test_blockers_are_named_in_both_dialects(furnished: Furnished) -> None:
    refusal = await furnished.client.delete(furnished.path("block-storage", "disk"))
    blocker = f"seca.compute/v1/tenants/demo/workspaces/{furnished.workspace}/instances/one"
    assert refusal.json["meta"] == {"blockers": [blocker], "count": 1}
