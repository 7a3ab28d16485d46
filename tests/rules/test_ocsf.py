"""Every record of the export is valid against the schema that OCSF publishes, and so are 10,000 at
random (figure `ocsf_valid`).

The schema and the program that makes a JSON schema of it are not ours: the package
`ocsf-json-schema`, a dependency of the tests alone.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any

import jsonschema
import msgspec
import pytest
from jsonschema.protocols import Validator

from secaplane.audit.siem.formats import OCSF_VERSION, ExportingSite, line
from secaplane.audit.siem.mapping import ACTIVITIES, CLASSES, ROWS, SEVERITIES
from secaplane.audit.siem.records import SiemRecord
from tests.rules.siem_records import random_record

SITE = ExportingSite("eu-1", "0.1.0")
RECORDS = 10_000
SEED = int(os.environ.get("SECAPLANE_TEST_SEED", "12"))
CONSTRAINTS: dict[str, Callable[[list[bool]], bool]] = {
    "at_least_one": any,
    "just_one": lambda present: sum(present) == 1,
}

pytestmark = pytest.mark.skipif(
    find_spec("ocsf_json_schema") is None, reason="ocsf-json-schema is not installed: make install"
)


@cache
def published() -> Any:
    return import_module("ocsf_json_schema").get_ocsf_schema(OCSF_VERSION)


@cache
def validator(class_uid: int) -> Validator:
    package: Any = import_module("ocsf_json_schema")
    schemas: Any = package.OcsfJsonSchemaEmbedded(package.OcsfJsonSchema(published()))
    schema = schemas.get_class_schema(schemas.lookup_class_name_from_uid(class_uid))
    made: Validator = jsonschema.Draft202012Validator(schema)
    return made


def event_of(record: SiemRecord) -> Any:
    return msgspec.json.decode(line("ocsf", record, SITE))


def faults(event: Any) -> list[str]:
    """Reasons of the JSON schema, and broken constraints, which a JSON schema leaves out."""
    found = [each.message for each in validator(event["class_uid"]).iter_errors(event)]
    return [*found, *broken(event, class_of(event["class_uid"]), "")]


def class_of(uid: int) -> Any:
    return next(each for each in published()["classes"].values() if each["uid"] == uid)


def broken(value: Any, definition: Any, at: str) -> list[str]:
    """Constraints of a class or object, and of the objects in it."""
    found = [
        f"{at or '/'}: {name} of {members}"
        for name, members in (definition.get("constraints") or {}).items()
        if not CONSTRAINTS[name]([each in value for each in members])
    ]
    for name, each in value.items():
        type_ = definition["attributes"].get(name, {}).get("object_type")
        if type_ and type_ != "object":
            inner = published()["objects"][type_]
            for item in each if isinstance(each, list) else [each]:
                found += broken(item, inner, f"{at}/{name}")
    return found


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


def enum(definition: Any, attribute: str) -> Any:
    return definition["attributes"][attribute]["enum"]
