"""Reading a request costs no more than its bytes, whatever it holds: counted in steps."""

from contextlib import suppress
from typing import Any

import pytest

from secaplane.command.body import BodyReader
from secaplane.edge.requests import strict_json
from secaplane.edge.requests.strict_json import BROKEN_MAX
from secaplane.kinds import KINDS
from secaplane.model.errors import Refusal
from secaplane.model.pointer import LENGTH_MAX, pointer_to
from tests.body_shapes import PLACES, SHAPES, bodies
from tests.steps import steps

BODIES = BodyReader(region="eu-1")
SMALL, LARGE = 8 * 1024, 32 * 1024
STEPS_PER_BYTE = 16
LISTING = 700_000
"""Steps that the list of broken rules may add: it ends at a number of values."""
NAMES = [f"{shape} as {place}" for shape in SHAPES for place in PLACES]


def read(kind: str, body: bytes) -> str:
    """Reads a body as a PUT does; the detail of its refusal."""
    try:
        BODIES.read(KINDS[kind], strict_json.read(body))
    except Refusal as refusal:
        return refusal.detail
    return ""


@pytest.fixture(scope="module")
def by_name() -> dict[str, tuple[str, bytes]]:
    for _, kind, body in bodies(64):  # the library of JSON Schema is loaded by the first refusal
        read(kind, body)
    return {name: (kind, body) for name, kind, body in bodies(2 * SMALL)}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_steps_of_parsing_grow_with_the_bytes(shape: str) -> None:
    def taken(size: int) -> int:
        body = SHAPES[shape](size).encode()

        def parse() -> None:
            with suppress(Refusal):
                strict_json.read(body)

        return steps(parse)

    assert taken(LARGE) - taken(SMALL) <= STEPS_PER_BYTE * (LARGE - SMALL)


@pytest.mark.parametrize("name", NAMES)
def test_reading_a_body_takes_a_bounded_number_of_steps(
    by_name: dict[str, tuple[str, bytes]], name: str
) -> None:
    kind, body = by_name[name]
    assert steps(lambda: read(kind, body)) <= STEPS_PER_BYTE * len(body) + LISTING


def test_pointers_are_made_for_faults_only_and_are_short(
    by_name: dict[str, tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(path: Any) -> str:
        made.append(pointer_to(path))
        return made[-1]

    monkeypatch.setattr(strict_json, "pointer_to", counted)
    for name, (kind, body) in by_name.items():
        made.clear()
        detail = read(kind, body)
        assert len(made) <= BROKEN_MAX, name
        assert all(len(each) <= LENGTH_MAX for each in made), name
        assert len(detail) <= BROKEN_MAX * (LENGTH_MAX + 400), name
