"""What schemathesis is told before each request: names that exist, so that the rest of the request
is looked at. It runs in an environment of its own, without the house's packages.

All choices come from a sum of the request, so that a seed repeats a run.
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

AIMS = json.loads(Path(os.environ["FUZZ_AIMS"]).read_text())
COUNTS = Path(os.environ["FUZZ_COUNTS"])
IDS = {"tenant": "demo", "workspace": "fuzz", "network": "one", "cluster": "one"}
NAMES = ("a", "b", "c", "d.e", "f-1")
CIDR4 = st.builds("10.{}.0.0/{}".format, st.integers(0, 255), st.integers(8, 30))
CIDR6 = st.builds("fd00:{:x}::/{}".format, st.integers(0, 65535), st.integers(8, 64))
IP = st.ip_addresses().map(str)
FORMATS = {
    "ipv4-cidr": CIDR4,
    "ipv6-cidr": CIDR6,
    "cidr": CIDR4 | CIDR6,
    "ip": IP,
    "ip-or-empty": IP | st.just(""),
    "ip-or-cidr": IP | CIDR4 | CIDR6,
}
OTHERS = {"304", "405", "406", "413", "415", "429"}
"""For these the document's `default` stands; schemathesis would let it stand for anything."""
counted: Counter[str] = Counter()


def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Leaves one in ten good requests alone, and one in two bad ones."""
    luck = zlib.crc32(repr((case.path_parameters, case.query, str(case.body))).encode())
    good = case.meta is not None and case.meta.generation.mode.is_positive
    if luck % 10 == 0 or (not good and luck % 2):
        return
    for key in case.path_parameters or {}:
        case.path_parameters[key] = IDS.get(key, NAMES[luck % len(NAMES)])
    if luck % 3 and case.headers:
        case.headers.pop("if-unmodified-since", None)
    if good and luck % 3 and case.query:
        case.query.pop("skipToken", None)
    if good and isinstance(case.body, dict):
        case.body.pop("extensions", None)
        for place, values in AIMS.get(case.operation.path, {}).items():
            if values:
                _aim(case.body.get("spec"), place.split("/")[1:], values, luck)


def _aim(value: Any, steps: list[str], values: list[Any], luck: int) -> None:
    """Puts one of the values wherever something stands at that place."""
    first, *rest = steps
    if first == "*" and isinstance(value, list):
        for n, each in enumerate(value):
            if rest:
                _aim(each, rest, values, luck)
            else:
                value[n] = values[(luck + n) % len(values)]
    elif isinstance(value, dict) and first in value:
        if rest:
            _aim(value[first], rest, values, luck)
        else:
            value[first] = values[luck % len(values)]


def after_call(context: Any, case: Any, response: Any) -> None:
    counted[f"{case.method} {response.status_code}"] += 1


def status_is_described(context: Any, response: Any, case: Any) -> None:
    described = set(case.operation.definition.raw["responses"])
    status = str(response.status_code)
    assert status in described | OTHERS, f"{status} is not among the answers of this operation"


def keep() -> None:
    COUNTS.write_text(json.dumps(counted))


for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
schemathesis.hook(before_call)
schemathesis.hook(after_call)
schemathesis.check(status_is_described)
atexit.register(keep)
