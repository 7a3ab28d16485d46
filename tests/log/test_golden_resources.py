"""The events of every format that was ever written make the same resources: golden files of events
are folded, and each resource is compared with its golden document, as a GET answers it."""

import re

import msgspec
import pytest

from secaplane.eventlog.codec import VERSION, decode
from secaplane.kinds import KINDS
from secaplane.model.document import document
from secaplane.model.evolve import evolve
from secaplane.model.shape import Resource
from tests.positions import nth
from tests.source import GOLDEN

FIRST_VERSION = 2
"""No log was ever kept in format 1."""
VERSIONS = sorted(
    {int(re.sub(r".*\.v(\d+).*", r"\1", path.stem)) for path in GOLDEN.glob("*.json")}
)
HISTORY = (
    (1, "created", ".whole"),
    (7, "updated", ".whole"),  # the position that the golden reports have observed
    (8, "status-reported", ".whole"),
    (9, "updated", ""),
    (10, "action-requested", ""),
    (11, "status-reported", ""),
    (12, "deletion-requested", ""),
    (13, "deleted", ""),
    (14, "created", ""),
    (15, "closed", ".whole"),
)
"""Positions, and the golden events at them."""


def resources(version: int) -> dict[int, Resource]:
    """By position: the resource after each event of the history, in one format."""
    resource, found = None, {}
    for position, type_, variant in HISTORY:
        stored = (GOLDEN / f"{type_}.v{version}{variant}.json").read_bytes()
        resource = evolve(resource, decode(stored, nth(position)))
        found[position] = resource
    return found


def test_every_format_since_the_first_one_has_golden_events() -> None:
    assert list(range(FIRST_VERSION, VERSION + 1)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_the_events_of_a_format_make_the_golden_resources(version: int) -> None:
    kind = KINDS["instance"]
    for position, resource in resources(version).items():
        shown = msgspec.json.encode(document(kind, resource, region="eu-1"))
        golden = (GOLDEN / "documents" / f"instance.{position}.json").read_bytes()
        assert msgspec.json.decode(shown) == msgspec.json.decode(golden), position


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resource_is_the_same_from_the_events_of_every_format(version: int) -> None:
    """Also what no document shows: positions, author, secrets."""
    assert resources(version) == resources(VERSION)
