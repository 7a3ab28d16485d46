"""A position in a stream that the log does not have is refused: no rows will ever reach it."""

import pytest

from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Malformed
from secaplane.model.position import BEGINNING, Position
from secaplane.query.answers import at_least, refuse_other_streams

STREAMS = ("SECA", "SECA-GLOBAL")


def sent(text: str) -> RequestContext:
    headers = [(b"secaplane-at-least", text.encode())]
    return RequestContext({"method": "GET", "path": "/p", "headers": headers})


def test_positions_of_each_stream_are_taken() -> None:
    assert at_least(sent("SECA:7, SECA-GLOBAL:2"), STREAMS) == (
        Position("SECA", 7),
        Position("SECA-GLOBAL", 2),
    )
    assert at_least(sent("SECA:0"), STREAMS) == (BEGINNING,)


@pytest.mark.parametrize("text", ["ELSEWHERE:7", "SECA:7,ELSEWHERE:7", "seca:7", "SECA-audit:1"])
def test_a_stream_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        at_least(sent(text), STREAMS)
    assert refused.value.sources[0].parameter == "Secaplane-At-Least"
    assert "SECA, SECA-GLOBAL" in refused.value.detail


def test_the_parameter_is_named() -> None:
    with pytest.raises(Malformed) as refused:
        refuse_other_streams([Position("ELSEWHERE", 1)], STREAMS, "seen")
    assert refused.value.sources[0].parameter == "seen"
