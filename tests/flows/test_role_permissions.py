"""Every operation is tried by a caller of every role. The expected permissions are written by hand
from the standard (SECA: system roles) and docs/reference/api.md."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

from secaplane.kinds.views import AUDIT
from tests.flows.client import JSON, Answer, Client, at, client_of
from tests.flows.dev_plane import DevProcess

IDS = {"tenant": "demo", "workspace": "web", "network": "net", "cluster": "k8s", "name": "absent"}
READ, EDIT, RUN = {"get", "list"}, {"get", "list", "put"}, {"get", "list", "put", "delete"}
ALL, MOVE, NOTHING = {*RUN, "post"}, {*EDIT, "post"}, set[str]()

INSIDE = ("seca.network", "seca.compute", "seca.storage")
EXTENSIONS = (
    "seca.kubernetes",
    "seca.load-balancer",
    "seca.nat-gateway",
    "seca.object-storage",
    "seca.activity-log",
)
EVERY_CALLER = {"seca.region": READ}
"""Every caller with a valid token may read regions."""
CATALOGUE = "skus"
"""The catalogue, readable for every caller with any role in the tenant."""

PERMISSIONS: dict[str, dict[str, set[str]]] = {
    "seca.admin": {
        "seca.authorization": ALL,
        "seca.workspace": ALL,
        "access-reviews": {"post"},
        **dict.fromkeys((*INSIDE, *EXTENSIONS), ALL),
        CATALOGUE: READ,
    },
    "seca.region-admin": {"seca.workspace": RUN, **dict.fromkeys(INSIDE, ALL), CATALOGUE: READ},
    "seca.workspace-admin": {"seca.workspace": EDIT, **dict.fromkeys(INSIDE, ALL), CATALOGUE: READ},
    "seca.workspace-editor": {**dict.fromkeys(INSIDE, MOVE), CATALOGUE: READ},
    "seca.workspace-viewer": {**dict.fromkeys(INSIDE, READ), CATALOGUE: READ},
    "stranger": {},
    "foreigner": {},
    "operator": {
        "tenants": EDIT,
        "revocations": RUN,
        "history of tenants": {"get", "post"},
        "history of revocations": {"get", "post"},
    },
}
"""Role or caller -> provider, or collection where it differs -> verbs. All others are refused."""


ABOUT_ANOTHER = {"caller": "another", "verb": "list", "path": at("image")}


class Operation(NamedTuple):
    method: str
    path: str
    provider: str
    collection: str
    verb: str

    def allowed(self, role: str) -> bool:
        permissions = EVERY_CALLER | PERMISSIONS[role]
        verbs = permissions.get(self.collection, permissions.get(self.provider, NOTHING))
        if self.collection == CATALOGUE:
            verbs = permissions.get(CATALOGUE, NOTHING)
        return self.verb in verbs


async def all_operations(client: Client) -> list[Operation]:
    document = (await client.get("/openapi.json", token=None)).json
    operations = []
    for path, methods in document["paths"].items():
        for method in methods:
            if not path.startswith("/.wellknown") and method in ("get", "put", "delete", "post"):
                operations.append(_operation(method, path))
    return operations


def _operation(method: str, path: str) -> Operation:
    steps = path.split("/")
    of_one = steps[-1].startswith("{")
    verb = "list" if method == "get" and not of_one else method
    is_action = method == "post" and steps[-2].startswith("{") and "access-reviews" not in path
    collection = steps[-2] if of_one else steps[-3] if is_action else steps[-1]
    if steps[2] == AUDIT.name:
        collection = f"history of {steps[-2]}"
    return Operation(method.upper(), path.format_map(_Ids(IDS)), steps[2], collection, verb)


class _Ids(dict[str, str]):
    """Values for path parameters; the name of the last one differs between documents."""

    def __missing__(self, key: str) -> str:
        return "absent"


@pytest.fixture
async def callers(client: Client, plane: DevProcess) -> AsyncIterator[dict[str, Client]]:
    roles = [name for name in PERMISSIONS if name.startswith("seca.")]
    for role in roles:
        spec = {"subs": [f"only-{role}"], "roles": [role], "scopes": [{}]}
        made = await client.put(at("role-assignment", f"only-{role}"), {"spec": spec})
        assert made.status in (200, 201), made
    operator = client.by(plane.details.operator_token)
    foreign = at("tenant", "foreign-of-matrix")
    made = await operator.put(foreign, {"spec": {"administrators": ["foreigner"]}})
    assert made.status in (200, 201), made
    await operator.active(foreign)
    async with client_of(plane.details.url, None) as anonymous:
        yield {
            **{role: anonymous.by(plane.token(f"only-{role}")) for role in roles},
            "stranger": anonymous.by(plane.token("stranger-of-matrix")),
            "foreigner": anonymous.by(plane.token("foreigner")),
            "operator": operator,
            "anonymous": anonymous,
        }


async def attempt(caller: Client, operation: Operation) -> Answer:
    """Send an operation on a missing resource with an invalid body, so that nothing changes."""
    sent = {"PUT": b"[]", "POST": b""}.get(operation.method)
    if operation.collection == "access-reviews":
        sent = msgspec.json.encode({"spec": ABOUT_ANOTHER})
    headers = {"Content-Type": JSON} if sent else {}
    return await caller.ask(operation.method, operation.path, headers=headers, data=sent)


@pytest.mark.parametrize("role", PERMISSIONS)
async def test_each_role_allows_exactly_the_operations_in_the_table(
    callers: dict[str, Client], client: Client, role: str
) -> None:
    wrong = []
    for operation in await all_operations(client):
        answer = await attempt(callers[role], operation)
        refused = answer.status == 403
        assert answer.status in (200, 400, 403, 404, 422), (operation, answer)
        if refused == operation.allowed(role):
            wrong.append((operation, answer.status))
    assert wrong == []


async def test_without_a_token_every_operation_is_refused(
    callers: dict[str, Client], client: Client
) -> None:
    operations = await all_operations(client)
    assert len(operations) >= 89
    answers = [(each, (await attempt(callers["anonymous"], each)).status) for each in operations]
    assert [(each, status) for each, status in answers if status != 401] == []
