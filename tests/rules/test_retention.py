"""Which person keys are over."""

from datetime import date

import pytest

from secaplane.sealing.keys.data_key import SECRET, KeyName, body_key, key_name, person_key
from secaplane.sealing.keys.retention import expired

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
