"""`secaplane audit entries`: its arguments and output, and the settings of [audit]."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secaplane.audit.entries import EntryCaller, entry
from secaplane.audit.stream import AuditLimits
from secaplane.cli.config import Config, read
from secaplane.cli.operate.audit import moment, printable, text
from secaplane.cli.processes.audit import difference, limits
from secaplane.cli.processes.connections import now
from secaplane.cli.settings import BadConfig

WHEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_since_is_an_age(since: str, ago: timedelta) -> None:
    before = now()
    assert before - ago <= moment(since) <= now() - ago


@pytest.mark.parametrize("since", ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00"])
def test_since_is_a_time(since: str) -> None:
    assert moment(since) == WHEN


@pytest.mark.parametrize(
    "since", ["1", "h", "1w", "-1h", "yesterday", "2026-01-01", "999999d", "9999999s"]
)
def test_since_is_nothing_else(since: str) -> None:
    with pytest.raises(BadConfig, match="--since takes"):
        moment(since)


def test_a_line_holds_every_field_without_control_characters() -> None:
    made = entry(
        "forbidden",
        time=WHEN,
        request="r",
        client_address="203.0.113.9",
        caller=EntryCaller("i", "jané", "t"),
        verb="get",
        path="/\x1b[2J\n/x\u202e",
        reason="not you",
    )
    assert text(made) == (
        "2026-01-01T12:00:00.000+00:00 forbidden jané from 203.0.113.9 get "
        "/\\u001b[2J\\u000a/x\\u202e (not you)"
    )


def test_an_unknown_caller_is_shown_as_unknown() -> None:
    made = entry("unauthenticated", time=WHEN, request="", client_address="", verb="get", path="/x")
    assert text(made).endswith("unauthenticated unknown-caller from unknown-address get /x")


def test_printable_characters_stay() -> None:
    assert printable("ä 😀 <token>") == "ä 😀 <token>"


# --- settings


def test_the_example_has_the_defaults() -> None:
    example = Path(__file__).parents[2] / "examples" / "site.toml"
    found = read(example, {})
    assert (found.audit, found.http) == (Config().audit, Config().http)


def test_a_stream_with_other_limits_causes_a_remark() -> None:
    configured = limits(Config())
    assert difference("S", configured, configured) == ""
    assert "S differs from" in difference(
        "S", AuditLimits(entries_per_caller=1, bytes_max=2, days=3), configured
    )


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("SECAPLANE_AUDIT_PRIVILEGED", "role,rolle", "unknown kind rolle"),
        ("SECAPLANE_AUDIT_DAYS", "0", "days"),
        ("SECAPLANE_AUDIT_BYTES_MAX", "1000", "bytes_max"),
        ("SECAPLANE_HTTP_TRUSTED_PROXIES", "10.0.0.1,proxy", "'proxy' does not appear"),
    ],
)
def test_invalid_settings_are_refused(variable: str, value: str, complaint: str) -> None:
    with pytest.raises(BadConfig, match=complaint):
        read(None, {variable: value})


def test_variables_set_lists() -> None:
    environment = {
        "SECAPLANE_AUDIT_PRIVILEGED": "role,role-assignment",
        "SECAPLANE_HTTP_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8",
    }
    found = read(None, environment)
    assert found.audit.privileged == ("role", "role-assignment")
    assert found.http.trusted_proxies == ("127.0.0.1", "10.0.0.0/8")
