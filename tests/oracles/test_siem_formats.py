"""Libraries of others accept the events of the export to a SIEM, and refuse what is none."""

import subprocess
from functools import cache
from pathlib import Path
from random import Random

import msgspec
import pytest

from secaplane.audit.siem.formats import ExportingSite, FormatName, line
from tests.oracles import siem_judge
from tests.rules.siem_records import random_record

SITE = ExportingSite("eu-1", "0.1.0")
EVENTS, SEED, JUDGED_S_MAX = 2_000, 12, 120
PYTHON = Path(__file__).parents[2] / ".venv-oracles/bin/python"


@cache
def events(format_name: FormatName) -> tuple[bytes, ...]:
    random = Random(SEED)
    return tuple(line(format_name, random_record(random), SITE).strip() for _ in range(EVENTS))


def judged(format_name: FormatName, lines: tuple[bytes, ...]) -> str:
    if not PYTHON.exists():
        pytest.skip("the libraries are not installed: make oracles")
    argv = (PYTHON, "-W", "ignore", siem_judge.__file__, format_name)
    done = subprocess.run(
        argv, input=b"\n".join(lines), capture_output=True, timeout=JUDGED_S_MAX, env={}
    )
    return (done.stdout if done.returncode == 0 else done.stderr).decode().strip()


@pytest.mark.parametrize("format_name", ["cadf", "cloudevents"])
def test_random_events_are_accepted(format_name: FormatName) -> None:
    assert judged(format_name, events(format_name)) == f"valid: {EVENTS}"


@pytest.mark.parametrize(
    ("format_name", "change"),
    [
        ("cadf", {"action": "no such action"}),
        ("cadf", {"outcome": "perhaps"}),
        ("cadf", {"eventType": "party"}),
        ("cadf", {"eventTime": 5}),
        ("cadf", {"typeURI": "another"}),
        ("cloudevents", {"specversion": "7"}),
        ("cloudevents", {"id": ""}),
        ("cloudevents", {"type": None}),
        ("cloudevents", {"time": "noon"}),
        ("cloudevents", {"source": ""}),
    ],
)
def test_what_is_no_event_is_refused(format_name: FormatName, change: dict[str, object]) -> None:
    """So that the judgement means something."""
    wrong = msgspec.json.encode(msgspec.json.decode(events(format_name)[0]) | change)
    assert "Error" in judged(format_name, (wrong,))
