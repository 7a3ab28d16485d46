"""Every operation, asked for by everybody. What each may stands here, written by hand from the
standard (digest, section 11: system roles) and CONTRACT (9, who may)."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

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
EVERYBODY = {"seca.region": READ}
"""A region is the same for all."""
CATALOGUE = "skus"
"""Whoever holds anything in a tenant may read it."""

MAY: dict[str, dict[str, set[str]]] = {
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
    "operator": {"tenants": EDIT, "revocations": RUN},
}
"""Who -> provider, or collection where it is another thing -> verbs. All beside it is refused."""


ABOUT_ANOTHER = {"caller": "another", "verb": "list", "path": at("image")}


class Operation(NamedTuple):
    method: str
    path: str
    provider: str
    collection: str
    verb: str

    def allowed(self, who: str) -> bool:
        may = EVERYBODY | MAY[who]
        own = may.get(self.collection, may.get(self.provider, NOTHING))
        if self.collection == CATALOGUE:
            own = may.get(CATALOGUE, NOTHING)
        return self.verb in own


async def walked(client: Client) -> list[Operation]:
    document = (await client.get("/openapi.json", token=None)).json
    found = []
    for path, methods in document["paths"].items():
        for method in methods:
            if not path.startswith("/.wellknown") and method in ("get", "put", "delete", "post"):
                found.append(_operation(method, path))
    return found


def _operation(method: str, path: str) -> Operation:
    steps = path.split("/")
    of_one = steps[-1].startswith("{")
    verb = "list" if method == "get" and not of_one else method
    acts = method == "post" and steps[-2].startswith("{") and "access-reviews" not in path
    collection = steps[-2] if of_one else steps[-3] if acts else steps[-1]
    return Operation(method.upper(), path.format_map(_Ids(IDS)), steps[2], collection, verb)


class _Ids(dict[str, str]):
    """What the last place of a path is called differs from document to document."""

    def __missing__(self, key: str) -> str:
        return "absent"


@pytest.fixture
async def everybody(client: Client, plane: DevProcess) -> AsyncIterator[dict[str, Client]]:
    roles = [name for name in MAY if name.startswith("seca.")]
    for role in roles:
        spec = {"subs": [f"only-{role}"], "roles": [role], "scopes": [{}]}
        made = await client.put(at("role-assignment", f"only-{role}"), {"spec": spec})
        assert made.status in (200, 201), made
    operator = client.by(plane.details.operator_token)
    foreign = at("tenant", "foreign-of-matrix")
    made = await operator.put(foreign, {"spec": {"administrators": ["foreigner"]}})
    assert made.status in (200, 201), made
    await operator.active(foreign)
    async with client_of(plane.details.url, None) as nobody:
        yield {
            **{role: nobody.by(plane.token(f"only-{role}")) for role in roles},
            "stranger": nobody.by(plane.token("stranger-of-matrix")),
            "foreigner": nobody.by(plane.token("foreigner")),
            "operator": operator,
            "nobody": nobody,
        }


async def asked(caller: Client, operation: Operation) -> Answer:
    """With a body that nobody can have meant, about things that are not there: nothing changes."""
    sent = {"PUT": b"[]", "POST": b""}.get(operation.method)
    if operation.collection == "access-reviews":
        sent = msgspec.json.encode({"spec": ABOUT_ANOTHER})
    headers = {"Content-Type": JSON} if sent else {}
    return await caller.ask(operation.method, operation.path, headers=headers, data=sent)


@pytest.mark.parametrize("who", MAY)
async def test_each_may_what_the_table_says_and_nothing_else(
    everybody: dict[str, Client], client: Client, who: str
) -> None:
    wrong = []
    for operation in await walked(client):
        answer = await asked(everybody[who], operation)
        refused = answer.status == 403
        assert answer.status in (200, 400, 403, 404, 422), (operation, answer)
        if refused == operation.allowed(who):
            wrong.append((operation, answer.status))
    assert wrong == []


async def test_nobody_without_a_token_may_anything(
    everybody: dict[str, Client], client: Client
) -> None:
    found = await walked(client)
    assert len(found) >= 89
    answers = [(each, (await asked(everybody["nobody"], each)).status) for each in found]
    assert [(each, status) for each, status in answers if status != 401] == []
