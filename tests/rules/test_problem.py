"""Every refusal as a problem (RFC 7807), in both dialects."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from litestar import Response

from secaplane.edge.problem import (
    DETAIL_LENGTH_MAX,
    PARAMETER_LENGTH_MAX,
    SOURCES_MAX,
    Dialect,
    defect,
    refused,
)
from secaplane.edge.problem_table import PROBLEMS
from secaplane.edge.requests.context import KEY, RequestContext, request_context
from secaplane.model import errors
from secaplane.model.errors import BrokenRule, ProblemSource, Refusal, refuse_broken
from secaplane.model.pointer import LENGTH_MAX

REFUSALS = sorted(PROBLEMS, key=lambda each: each.__name__)
WRITES = ("PUT", "DELETE", "POST")


def context(method: str = "GET", request_id: str = "r-1") -> RequestContext:
    headers = [(b"x-request-id", request_id.encode())]
    return RequestContext({"method": method, "path": "/", "headers": headers})


def made(refusal: type[Refusal]) -> Refusal:
    return refusal("why", meta={"allow": "GET"})


def body(response: Response[bytes]) -> Any:
    return msgspec.json.decode(response.content)


def below(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    for each in refusal.__subclasses__():
        yield each
        yield from below(each)


def test_every_refusal_has_a_row() -> None:
    assert set(below(Refusal)) == set(PROBLEMS)


PHRASES = {413: "Content Too Large", 414: "URI Too Long"}
"""Newer than those of Python 3.11 (RFC 9110, section 15.5)."""


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_title_is_the_phrase_of_its_status(refusal: type[Refusal]) -> None:
    status, _, title = PROBLEMS[refusal]
    phrase = HTTPStatus(status).phrase
    if status == 422:
        phrase = "Unprocessable Entity"  # as SECA writes it, also under a Python with RFC 9110's
    assert title == PHRASES.get(status, phrase)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_has_the_status_and_title_of_its_row(refusal: type[Refusal]) -> None:
    status, slug, title = PROBLEMS[refusal]
    response = refused(made(refusal), context())
    assert (response.status_code, response.media_type) == (status, "application/problem+json")
    assert body(response) == {
        "type": f"http://secapi.cloud/errors/{slug}",
        "title": title,
        "status": status,
        "detail": "why",
        "instance": "urn:secaplane:request:r-1",
        "sources": [],
        "meta": {"allow": "GET"},
    }


@pytest.mark.parametrize(
    "sources",
    [
        (),
        (ProblemSource(pointer="/spec/zone"),),
        (ProblemSource(parameter="limit"), ProblemSource("/a", "b")),
    ],
)
def test_sources_are_objects_with_pointer_and_parameter(sources: tuple[ProblemSource, ...]) -> None:
    shown = body(refused(errors.Invalid("why", sources=sources), context()))["sources"]
    assert shown == [{"pointer": s.pointer, "parameter": s.parameter} for s in sources]


def test_a_refusal_without_meta_shows_none() -> None:
    assert "meta" not in body(refused(errors.NotFound("why"), context()))


def test_every_broken_rule_is_in_sources_and_detail() -> None:
    broken = [BrokenRule("is required", "/spec/zone"), BrokenRule("takes a number", "", "limit")]
    with pytest.raises(errors.Invalid) as raised:
        refuse_broken(broken)
    shown = body(refused(raised.value, context()))
    assert shown["detail"] == "/spec/zone: is required; limit: takes a number"
    assert shown["sources"] == [
        {"pointer": "/spec/zone", "parameter": ""},
        {"pointer": "", "parameter": "limit"},
    ]


def test_no_broken_rule_is_no_refusal() -> None:
    refuse_broken([])


def test_the_size_of_a_problem_is_bounded() -> None:
    sources = [ProblemSource(f"/{n}") for n in range(SOURCES_MAX + 1)]
    shown = body(refused(errors.Invalid("x" * 50_000, sources=sources), context()))
    assert (len(shown["detail"]), len(shown["sources"])) == (DETAIL_LENGTH_MAX, SOURCES_MAX)


def test_a_pointer_that_is_too_long_names_an_ancestor() -> None:
    key = "k" * LENGTH_MAX
    sources = [
        ProblemSource(f"/spec/{key}"),
        ProblemSource("/spec/zone"),
        ProblemSource(parameter=key),
        ProblemSource(key),
    ]
    shown = body(refused(errors.Invalid("no", sources=sources), context()))["sources"]
    assert [each["pointer"] for each in shown] == ["/spec", "/spec/zone", "", key]
    assert shown[2]["parameter"] == key[:PARAMETER_LENGTH_MAX]


@pytest.mark.parametrize(
    ("refusal", "header"),
    [
        (errors.Unauthenticated("who"), {"WWW-Authenticate": 'Bearer realm="secaplane"'}),
        (errors.Unavailable("later"), {"Retry-After": "1"}),
        (errors.RateLimited("later", retry_after_s=7), {"Retry-After": "7"}),
        (errors.MethodNotAllowed("no", meta={"allow": "GET, PUT"}), {"Allow": "GET, PUT"}),
        (errors.Conflict("no"), {}),
    ],
)
def test_some_refusals_have_a_header_that_says_what_to_do(
    refusal: Refusal, header: dict[str, str]
) -> None:
    assert refused(refusal, context()).headers == header


def test_a_defect_reveals_only_the_request_id() -> None:
    response = defect(context(request_id="r-7"))
    assert response.status_code == 500
    assert body(response) == {
        "type": "http://secapi.cloud/errors/internal-server-error",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "an internal error; it has been logged under this request id",
        "instance": "urn:secaplane:request:r-7",
        "sources": [],
    }


# --- the second dialect


@pytest.mark.parametrize("method", ["GET", "HEAD", *WRITES])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_dialects_differ_only_in_the_status_of_refused_writes(
    refusal: type[Refusal], method: str
) -> None:
    softened = method in WRITES and issubclass(refusal, errors.Conflict | errors.Invalid)
    homeless = method == "PUT" and refusal is errors.NotFound
    spec, secatest = worn(refusal, method, "spec"), worn(refusal, method, "secatest")
    assert spec == PROBLEMS[refusal][0]
    assert secatest == (412 if softened or homeless else spec)


def test_the_second_dialect_keeps_the_blockers() -> None:
    blocked = errors.Conflict("in use", meta={"blockers": ["x"], "count": 1})
    shown = body(refused(blocked, context("DELETE"), "secatest"))
    assert shown["type"].endswith("/precondition-failed")
    assert (shown["status"], shown["meta"]) == (412, {"blockers": ["x"], "count": 1})


def worn(refusal: type[Refusal], method: str, dialect: Dialect) -> object:
    response = refused(made(refusal), context(method), dialect)
    assert body(response)["status"] == response.status_code
    return response.status_code


# --- the request id


@pytest.mark.parametrize("sent", ["a", "A-Z-0-9", "x" * 64])
def test_a_valid_request_id_is_kept(sent: str) -> None:
    assert context(request_id=sent).request_id == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a_b", "<script>", "a\n", "é"])
def test_any_other_request_id_is_replaced(sent: str) -> None:
    kept = context(request_id=sent).request_id
    assert kept != sent
    assert len(kept) == 32


def test_a_context_is_stored_in_its_scope() -> None:
    here = context()
    assert request_context({KEY: here}) is here
