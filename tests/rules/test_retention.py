"""Which person keys and secret keys are over."""

from datetime import UTC, date, datetime, timedelta

import pytest

from secaplane.sealing.keys.data_key import (
    SECRET,
    KeyName,
    body_key,
    key_name,
    person_key,
    secret_key,
)
from secaplane.sealing.keys.retention import SeenLives, UnusedKey, ended, expired, never_used

TODAY = date(2026, 2, 27)


def months(*names: KeyName) -> list[str]:
    return [each.owner for each in names]


def test_the_present_month_and_so_many_before_it_are_kept() -> None:
    names = [person_key("a", each) for each in ("2025-10", "2025-11", "2025-12", "2026-02")]
    assert months(*expired(names, TODAY, 2)) == ["a.2025-10", "a.2025-11"]
    assert months(*expired(names, TODAY, 1)) == ["a.2025-10", "a.2025-11", "a.2025-12"]
    assert not expired(names, TODAY, 24)


def test_tenants_under_legal_hold_and_other_keys_are_kept() -> None:
    names = [person_key("a", "2020-01"), person_key("b", "2020-01"), body_key("a")]
    names.append(KeyName(SECRET, "a.2020-01"))
    assert expired(names, TODAY, 1, held=["a"]) == [person_key("b", "2020-01")]


def test_a_name_of_a_key_is_read_as_it_is_written() -> None:
    for each in (person_key("a", "2020-01"), body_key("a")):
        assert key_name(str(each)) == each
    for wrong in ("body", "body.", "other.x"):
        with pytest.raises(ValueError, match="names no key"):
            key_name(wrong)


NOW = datetime(2026, 2, 27, tzinfo=UTC)
SECRETS = [secret_key("a", each) for each in ("gone", "lately", "living", "never")]
SEEN = SeenLives(
    {"gone": NOW - timedelta(days=30), "lately": NOW - timedelta(days=29)}, {"living"}, True
)


def over(days: int, seen: SeenLives = SEEN, held: str = "", age: timedelta = timedelta(0)) -> str:
    unused = [UnusedKey(each, NOW - age) for each in never_used(SECRETS, seen)]
    names = [*SECRETS, body_key("a"), person_key("a", "2020-01")]
    keys = ended(names, unused, seen, now=NOW, days=days, held=[held])
    return " ".join(each.owner.partition(".")[2] for each in keys)


def test_a_secret_key_is_over_when_its_resource_is_gone_for_so_many_days() -> None:
    assert over(30) == "gone"
    assert over(29) == "gone lately"
    assert over(31) == ""


def test_no_secret_key_of_a_tenant_under_legal_hold_is_over() -> None:
    assert over(0, held="a", age=timedelta(days=400)) == ""
    assert over(30, held="b") == "gone"


def test_a_key_that_sealed_nothing_is_over_after_the_same_time() -> None:
    assert over(30, age=timedelta(days=30)) == "gone never"
    assert over(0, age=timedelta(minutes=59)) == "gone lately"
    assert over(0, age=timedelta(minutes=60)) == "gone lately never"


def test_a_log_with_a_hole_says_of_no_key_that_it_sealed_nothing() -> None:
    assert over(0, SEEN._replace(complete=False), age=timedelta(days=400)) == "gone lately"
