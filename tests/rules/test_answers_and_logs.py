"""Answers are not cached where they may hold secrets, and lines of the log name routes."""

import logging
from typing import Any

import pytest
from litestar import Request, Response, route
from litestar.enums import HttpMethod

from secaplane.edge.serving import app
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Conflict, Damaged, Unavailable
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

NAMES = ("acme", "merger", "token123")
ROUTE = "/providers/x/v1/tenants/{tenant:str}/things/{name:str}"
PATH = "/providers/x/v1/tenants/acme/things/merger"
QUERY = b"labels=key%3Dtoken123"
OUTCOMES: dict[str, Exception | None] = {
    "answered": None,
    "refused": Conflict("is in use"),
    "damaged": Damaged(),
    "unavailable": Unavailable("try again"),
    "database": DATABASE_UNAVAILABLE[1](),
    "log": LogUnavailable("TimeoutError"),
    "defect": KeyError("a defect"),
}


async def asked(
    method: str, path: str, raised: Exception | None = None, query: bytes = QUERY
) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""

    @route(ROUTE, http_method=[HttpMethod.GET, HttpMethod.PUT])
    async def thing(request: Request[Any, Any, Any]) -> Response[bytes]:
        if raised is not None:
            raise raised
        return Response(b"{}", media_type="application/json")

    @route("/healthz", http_method=HttpMethod.GET)
    async def healthz(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(b"{}", media_type="application/json")

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"a")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app.build([thing, healthz], metrics=Metrics())(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_no_answer_of_the_api_is_stored(method: str, outcome: str) -> None:
    _, headers = await asked(method, PATH, OUTCOMES[outcome])
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("outcome", ["unavailable", "database", "log"])
async def test_an_outage_is_no_defect(outcome: str) -> None:
    status, headers = await asked("PUT", PATH, OUTCOMES[outcome])
    assert (status, headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/providers/none", b"", 404),
        ("/none", b"", 404),
        ("//providers", b"", 404),
        ("/healthz/", b"", 404),
        ("/healthz", b"x" * 20_000, 414),
    ],
)
async def test_no_problem_is_stored_whatever_its_path(path: str, query: bytes, status: int) -> None:
    answered, headers = await asked("GET", path, query=query)
    assert answered == status
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_lines_name_the_route_and_neither_names_nor_queries(
    method: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await asked(method, PATH, OUTCOMES[outcome])
    for record in caplog.records:
        text = f"{record.getMessage()} {record.__dict__}"
        assert not [name for name in NAMES if name in text], text
    routes = {each.__dict__["route"] for each in caplog.records if "route" in each.__dict__}
    if method == "PUT":
        assert routes == {ROUTE.replace(":str", "")}


@pytest.mark.parametrize("path", [f"{PATH}/more", f"/{PATH}", f"{PATH}/", PATH.replace("/v1", "")])
async def test_lines_about_unknown_paths_name_no_path(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (await asked("PUT", path))[0] == 404
    for record in caplog.records:
        assert not [name for name in NAMES if name in f"{record.getMessage()} {record.__dict__}"]
