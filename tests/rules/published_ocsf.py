"""The schema that OCSF publishes, as an oracle: the package `ocsf-json-schema`, a dependency of the
tests alone. Neither the schema nor the program that makes a JSON schema of it is ours."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from secaplane.audit.siem.formats import OCSF_VERSION

CONSTRAINTS: dict[str, Callable[[list[bool]], bool]] = {
    "at_least_one": any,
    "just_one": lambda present: sum(present) == 1,
}


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


def enum(definition: Any, attribute: str) -> Any:
    return definition["attributes"][attribute]["enum"]
