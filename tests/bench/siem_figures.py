"""The export to a SIEM: lines of random records that are valid against OCSF's published schema."""

import secrets
from random import Random

import msgspec

from secaplane.audit.siem.formats import ExportingSite, line
from tests.bench.figures import Figure, figure
from tests.rules.published_ocsf import faults
from tests.rules.siem_records import random_record

RECORDS = 10_000
SITE = ExportingSite("eu-1", "0.1.0")


def measure() -> dict[str, Figure]:
    """Each run has records of its own."""
    random = Random(secrets.randbits(64))
    lines = (line("ocsf", random_record(random), SITE) for _ in range(RECORDS))
    valid = sum(not faults(msgspec.json.decode(each)) for each in lines)
    return {"ocsf_valid": figure([valid], "events")}
