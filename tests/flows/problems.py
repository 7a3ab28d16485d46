"""Check that every refusal is a problem of exactly SECA's shape, without internals in its text."""

import re

from tests.flows.client import Answer

BASE = "http://secapi.cloud/errors"
TYPES = {
    400: ("invalid-request", "Bad Request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Forbidden"),
    404: ("resource-not-found", "Not Found"),
    405: ("invalid-request", "Method Not Allowed"),
    406: ("invalid-request", "Not Acceptable"),
    409: ("resource-conflict", "Conflict"),
    412: ("precondition-failed", "Precondition Failed"),
    413: ("invalid-request", "Content Too Large"),
    414: ("invalid-request", "URI Too Long"),
    429: ("invalid-request", "Too Many Requests"),
    415: ("invalid-request", "Unsupported Media Type"),
    422: ("validation-error", "Unprocessable Entity"),
    503: ("internal-server-error", "Service Unavailable"),
}
REQUIRED = {"type", "title", "status", "detail", "instance", "sources"}
INSTANCE = "urn:secaplane:request:"
INTERNALS = re.compile(
    r"Traceback|File \"|\.py\b|line \d+, in|Error\(|Exception|NoneType|object at 0x|<class"
    r"|litestar|msgspec|asyncpg|psycopg|uvicorn|casbin|jsonschema|nats\.|/usr/|site-packages",
    re.IGNORECASE,
)
"""Traces of the implementation that no answer may contain."""


def refused(answer: Answer, status: int) -> list[tuple[str, str]]:
    """Assert that an answer is a well-formed problem with that status; return the (pointer,
    parameter) of each of its sources."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert REQUIRED <= set(problem) <= REQUIRED | {"meta"}
    slug, title = TYPES[status]
    assert (problem["type"], problem["title"]) == (f"{BASE}/{slug}", title)
    assert type(problem["status"]) is int
    assert problem["status"] == status
    assert problem["instance"] == INSTANCE + answer.headers["X-Request-Id"]
    assert problem["detail"].strip()
    assert not INTERNALS.search(answer.body.decode()), answer
    for source in problem["sources"]:
        assert {name: type(value) for name, value in source.items()} == {
            "pointer": str,
            "parameter": str,
        }
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return [(source["pointer"], source["parameter"]) for source in problem["sources"]]
