"""Every record of the export is valid against the schema that OCSF publishes, and so are 2,000 at
random; `make bench` takes 10,000 others each time (figure `ocsf_valid`)."""

import os
from importlib.util import find_spec
from random import Random
from typing import Any

import msgspec
import pytest

from secaplane.audit.siem.formats import ExportingSite, line
from secaplane.audit.siem.mapping import ACTIVITIES, CLASSES, ROWS, SEVERITIES
from secaplane.audit.siem.records import SiemRecord
from tests.rules.published_ocsf import class_of, enum, faults
from tests.rules.siem_records import random_record

SITE = ExportingSite("eu-1", "0.1.0")
RECORDS = 2_000
SEED = int(os.environ.get("SECAPLANE_TEST_SEED", "12"))

pytestmark = pytest.mark.skipif(
    find_spec("ocsf_json_schema") is None, reason="ocsf-json-schema is not installed: make install"
)


def event_of(record: SiemRecord) -> Any:
    return msgspec.json.decode(line("ocsf", record, SITE))


def test_random_records_are_valid() -> None:
    random, types = Random(SEED), set[str]()
    for number in range(RECORDS):
        record = random_record(random)
        types.add(record.type)
        event = event_of(record)
        assert faults(event) == [], (number, event)
    assert types == set(ROWS)


def test_the_validator_refuses_what_the_schema_refuses() -> None:
    event = event_of(random_record(Random(1)))
    for change in ({"severity_id": 77}, {"status_id": "1"}, {"time": "noon"}, {"unheard_of": 1}):
        assert faults(event | change), change
    for name in ("metadata", "time", "type_uid", "activity_id"):
        assert faults({key: value for key, value in event.items() if key != name}), name
    assert faults(event | {"metadata": event["metadata"] | {"product": {}}})


def test_classes_activities_and_severities_are_those_of_the_schema() -> None:
    for uid, (_, caption) in CLASSES.items():
        known = class_of(uid)
        assert known["caption"] == caption
        names = {each["caption"]: int(n) for n, each in enum(known, "activity_id").items()}
        assert ACTIVITIES[uid].items() <= names.items()
        severities = {int(n): each["caption"] for n, each in enum(known, "severity_id").items()}
        assert SEVERITIES.items() <= severities.items()
