"""Heads that two readers could understand differently are refused."""

import pytest

from secaplane.edge.requests import framing
from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Malformed, Refusal, UnsupportedMediaType

HOST = (b"host", b"a.example.org:8080")
BODY = (b"content-length", b"3")


def fault(*headers: tuple[bytes, bytes], version: str = "1.1") -> Refusal | None:
    context = RequestContext({"method": "PUT", "path": "/", "headers": headers})
    return framing.fault(context, version)


@pytest.mark.parametrize(
    "host",
    [
        b"a",
        b"a.b-c",
        b"10.0.0.1",
        b"10.0.0.1:80",
        b"[::1]",
        b"[fd00::1]:8080",
        b"A.Example:",
        b"a_b",
    ],
)
def test_a_valid_host_is_accepted(host: bytes) -> None:
    assert fault((b"host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            b"",
            b" ",
            b"a b",
            b"a,b",
            b"a/b",
            b"a@b",
            b"http://a",
            b"a:b",
            b"a:123456",
            b"[::1",
            b"::1",
        ),
        *(b"a\x00b", b"a" * 400, b"a?b", b"a#b", "\u00e9".encode()),
    ],
)
def test_an_invalid_host_is_refused(host: bytes) -> None:
    refusal = fault((b"host", host))
    if host == b"a,b":  # a comma is allowed in a registered name
        assert refusal is None
    else:
        assert isinstance(refusal, Malformed)
        assert refusal.sources[0].parameter == "Host"


def test_http_1_1_needs_exactly_one_host() -> None:
    assert isinstance(fault(), Malformed)
    assert fault(version="1.0") is None
    assert isinstance(fault(HOST, (b"a", b"b"), HOST), Malformed)
    assert fault(HOST, (b"a", b"b"), (b"a", b"c")) is None


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity, gzip", b"x"])
def test_a_compressed_body_is_refused(coding: bytes) -> None:
    encoded = (b"content-encoding", coding)
    assert isinstance(fault(HOST, BODY, encoded), UnsupportedMediaType)
    assert isinstance(
        fault(HOST, (b"transfer-encoding", b"chunked"), encoded), UnsupportedMediaType
    )
    assert fault(HOST, encoded) is None, "there is no body"
    assert fault(HOST, (b"content-length", b"0"), encoded) is None, "there is no body"


def test_identity_is_no_compression() -> None:
    assert fault(HOST, BODY, (b"content-encoding", b"Identity ")) is None
    twice = (b"content-encoding", b"identity")
    assert isinstance(fault(HOST, BODY, twice, twice), UnsupportedMediaType)


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity", b"chunked, chunked"])
def test_a_transfer_coding_but_chunked_is_refused(coding: bytes) -> None:
    assert fault(HOST, (b"transfer-encoding", b"Chunked")) is None
    assert isinstance(fault(HOST, (b"transfer-encoding", coding)), Malformed)


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_other_versions_of_http_are_refused(version: str) -> None:
    assert isinstance(fault(HOST, version=version), Malformed)


def test_http_1_0_knows_no_transfer_coding() -> None:
    chunked = (b"transfer-encoding", b"chunked")
    assert fault(HOST, chunked) is None
    assert isinstance(fault(HOST, chunked, version="1.0"), Malformed)
    assert fault(HOST, BODY, version="1.0") is None


def test_headers_of_one_name_are_one_list() -> None:
    """A reader of the last one alone would ignore what another reader follows."""
    sent = ((b"accept", b"text/html"), (b"host", b"a"), (b"accept", b"application/json"))
    context = RequestContext({"method": "GET", "path": "/", "headers": sent})
    assert context.listed(b"accept") == "text/html, application/json"
    assert context.listed(b"host") == "a"
    assert context.listed(b"content-type") is None
