"""Every sort of refusal in both dialects: as the standard says it, and as the released conformance
runner wants it (CONTRACT: Refusals)."""

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
    """One request, and how it is refused: by the standard, by the runner's dialect."""

    what: str
    method: str
    kind: str
    name: str
    statuses: tuple[int, int]
    spec: Json | None = None
    """Over what is sent for a volume, or an instance."""
    headers: Mapping[str, str] = MappingProxyType({})
    workspace: str = ""
    tenant: str = "demo"


RULE, STATE = (422, 412), (409, 412)
CASES = [
    Case("a broken rule", "PUT", "block-storage", "disk", RULE, {"sizeGB": 0}),
    Case("an unknown field", "PUT", "block-storage", "disk", RULE, {"colour": "red"}),
    Case("an immutable field", "PUT", "block-storage", "disk", RULE, {"skuRef": BOOT}),
    Case("what only grows", "PUT", "block-storage", "disk", RULE, {"sizeGB": 1}),
    Case("an unknown SKU", "PUT", "block-storage", "new", RULE, {"skuRef": BOOT}),
    Case("an unknown zone", "PUT", "instance", "new", RULE, {"zone": "nowhere"}),
    Case("an unknown volume", "PUT", "image", "new", RULE, UNKNOWN_DISK),
    Case("a name with capitals", "PUT", "workspace", "Web", RULE, {}),
    Case("a verb there is not", "PUT", "role", "new", RULE, FLYING),
    Case("no permissions", "PUT", "role", "new", RULE, {"permissions": []}),
    Case("an unknown role", "PUT", "role-assignment", "new", RULE, UNKNOWN_ROLE),
    Case("the system's", "PUT", "role", "seca.admin", STATE, {"permissions": [ROLE]}),
    Case("the system's", "DELETE", "role", "seca.admin", STATE),
    Case("full of others", "DELETE", "workspace", "HERE", STATE),
    Case("in use", "DELETE", "block-storage", "disk", STATE),
    Case("the wrong power", "POST", "instance", "one/stop", STATE),
    Case("no such parent", "PUT", "block-storage", "disk", (404, 412), {}, {}, "nowhere"),
    Case("another version", "PUT", "block-storage", "disk", (412, 412), {}, SINCE),
    Case("another version", "DELETE", "block-storage", "disk", (412, 412), None, SINCE),
    Case("another version", "POST", "instance", "one/start", (412, 412), None, SINCE),
    Case("nothing there", "GET", "block-storage", "none", (404, 404)),
    Case("nothing there", "DELETE", "block-storage", "none", (404, 404)),
    Case("nothing there", "POST", "instance", "none/start", (404, 404)),
    Case("no such method", "POST", "block-storage", "disk", (405, 405)),
    Case("no media type", "PUT", "block-storage", "disk", (415, 415), {}, {"Content-Type": "x"}),
    Case("no such answer", "PUT", "block-storage", "disk", (406, 406), {}, {"Accept": "x/y"}),
    Case("no version", "PUT", "block-storage", "disk", (400, 400), {}, {next(iter(SINCE)): "x"}),
    Case("nobody", "PUT", "block-storage", "disk", (401, 401), {}, {"Authorization": "Bearer x"}),
    Case("a stranger's", "PUT", "workspace", "x", (403, 403), {}, tenant="foreign"),
    Case("a stranger's", "DELETE", "workspace", "x", (403, 403), None, tenant="foreign"),
    Case("a stranger's", "GET", "workspace", "x", (403, 403), None, tenant="foreign"),
]


@pytest.fixture(params=["spec", "secatest"])
async def furnished(
    request: pytest.FixtureRequest, plane: DevProcess, other_plane: DevProcess, workspace: str
) -> AsyncIterator["Furnished"]:
    number = ("spec", "secatest").index(request.param)
    details = (plane, other_plane)[number].details
    async with client_of(details.url, details.token) as client:
        made = Furnished(client, workspace, number)
        await client.put(at("workspace", workspace), {})
        await client.put(made.path("block-storage", "disk"), {"spec": made.spec("block-storage")})
        answer = await client.put(made.path("instance", "one"), {"spec": made.spec("instance")})
        assert answer.status == 201, answer
        yield made


class Furnished:
    """A workspace with a volume and an instance, in a house of one dialect."""

    def __init__(self, client: Client, workspace: str, dialect: int) -> None:
        self.client, self.workspace, self.dialect = client, workspace, dialect

    def path(self, kind: str, name: str, **ids: str) -> str:
        name = name.replace("HERE", self.workspace)
        return at(kind, name, **({"workspace": self.workspace} | ids))

    def spec(self, kind: str) -> Json:
        """What may be put there; nothing for other kinds."""
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


async def test_a_refusal_wears_the_status_of_its_dialect(furnished: Furnished) -> None:
    """What is not refused for the caller's wish is the same in both."""
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
        assert answer.status == case.statuses[furnished.dialect], (case.what, answer)
        refused(answer, answer.status)


async def test_blockers_are_named_in_both(furnished: Furnished) -> None:
    kept = await furnished.client.delete(furnished.path("block-storage", "disk"))
    one = f"seca.compute/v1/tenants/demo/workspaces/{furnished.workspace}/instances/one"
    assert kept.json["meta"] == {"blockers": [one], "count": 1}
