"""Hooks for schemathesis that put existing names into a request, so that the rest of it is reached.
They run in an environment of their own, without Secaplane's packages.

All choices depend on a checksum of the request, so that a seed repeats a run.
"""

import atexit
import json
import os
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

TARGETS = json.loads(Path(os.environ["FUZZ_TARGETS"]).read_text())
COUNTS = Path(os.environ["FUZZ_COUNTS"])
IDS = {"tenant": "demo", "workspace": "fuzz", "network": "one", "cluster": "one"}
NAMES = ("a", "b", "c", "d.e", "f-1")
CIDR4 = st.builds("10.{}.0.0/{}".format, st.integers(0, 255), st.integers(8, 30))
CIDR6 = st.builds("fd00:{:x}::/{}".format, st.integers(0, 65535), st.integers(8, 64))
IP = st.ip_addresses().filter(lambda each: not getattr(each, "ipv4_mapped", None)).map(str)
FORMATS = {
    "ipv4-cidr": CIDR4,
    "ipv6-cidr": CIDR6,
    "cidr": CIDR4 | CIDR6,
    "ip": IP,
    "ip-or-empty": IP | st.just(""),
    "ip-or-cidr": IP | CIDR4 | CIDR6,
}
BY_DEFAULT = {"304", "405", "406", "413", "415", "429"}
"""Statuses covered by the document's `default`, which schemathesis would accept for any status."""
counted: Counter[str] = Counter()


def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Insert existing names; one in ten valid and one in two invalid requests stay unchanged."""
    checksum = zlib.crc32(repr((case.path_parameters, case.query, str(case.body))).encode())
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if checksum % 10 == 0 or (not valid and checksum % 2):
        return
    for key in case.path_parameters or {}:
        case.path_parameters[key] = IDS.get(key, NAMES[checksum % len(NAMES)])
    if checksum % 3 and case.headers:
        case.headers.pop("if-unmodified-since", None)
    if valid and checksum % 3 and case.query:
        case.query.pop("skipToken", None)
    if valid and isinstance(case.body, dict):
        case.body.pop("extensions", None)
        for pointer, values in TARGETS.get(case.operation.path, {}).items():
            if values:
                _insert(case.body.get("spec"), pointer.split("/")[1:], values, checksum)


def _insert(value: Any, steps: list[str], values: list[Any], checksum: int) -> None:
    """Put one of the values wherever the body already has a value at those steps."""
    first, *rest = steps
    if first == "*" and isinstance(value, list):
        for n, each in enumerate(value):
            if rest:
                _insert(each, rest, values, checksum)
            else:
                value[n] = values[(checksum + n) % len(values)]
    elif isinstance(value, dict) and first in value:
        if rest:
            _insert(value[first], rest, values, checksum)
        else:
            value[first] = values[checksum % len(values)]


def after_call(context: Any, case: Any, response: Any) -> None:
    counted[f"{case.method} {response.status_code}"] += 1


def status_is_described(context: Any, response: Any, case: Any) -> None:
    described = set(case.operation.definition.raw["responses"])
    status = str(response.status_code)
    assert status in described | BY_DEFAULT, f"{status} is not documented for this operation"


def save_counts() -> None:
    COUNTS.write_text(json.dumps(counted))


for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
schemathesis.hook(before_call)
schemathesis.hook(after_call)
schemathesis.check(status_is_described)
atexit.register(save_counts)
