"""Reasons of exceptions quote no value: logs and the quarantine are read by others than tenants."""

import json
import logging
import sys

import asyncpg
import msgspec
import pytest

from secaplane.cli.processes.logs import ValuelessFormatter
from secaplane.eventlog.codec import Undecodable, decode
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.position import parse
from secaplane.model.reasons import LENGTH_MAX, reason_of
from secaplane.model.shape import State
from tests.positions import nth

SECRET = "hunter2-never-in-a-log"


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    state: State = State.ACTIVE
    size: int = 0


def of_database(**fields: str) -> asyncpg.PostgresError:
    fields = {
        "S": "ERROR",
        "M": f"row ({SECRET})",
        "D": f"Failing row contains ({SECRET})",
    } | fields
    error: asyncpg.PostgresError = asyncpg.PostgresError.new(fields)
    return error


def raised(call: object, *arguments: object) -> Exception:
    try:
        call(*arguments)  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


QUOTING: list[Exception] = [
    of_database(C="23514", t="resources", n="no_secrets"),
    of_database(C="23502", t="resources", c="uid"),
    of_database(C="22P02"),
    of_database(C="XX000"),
    asyncpg.DataError(f"invalid input for query argument $5: '{SECRET}' (an integer is required)"),
    raised(lambda: msgspec.json.decode(f'{{"state":"{SECRET}"}}', type=Choice)),
    raised(lambda: msgspec.json.decode(f'{{"{SECRET}":1}}', type=Choice)),
    raised(int, SECRET),
    raised(parse, SECRET),
    raised({"a": 1}.__getitem__, SECRET),
    raised(lambda: f"{SECRET}\ud800".encode()),
]


@pytest.mark.parametrize("error", QUOTING, ids=lambda each: type(each).__name__)
def test_no_reason_and_no_traceback_quotes_a_value(error: Exception) -> None:
    assert SECRET not in reason_of(error)
    assert reason_of(error).startswith(type(error).__name__)
    for shown in (error, _caused_by(error), ExceptionGroup("some", [error])):
        line = _logged(shown)
        assert SECRET not in line
        assert type(error).__name__ in line


def _caused_by(error: Exception) -> Exception:
    def fail() -> None:
        try:
            raise error
        except Exception:
            raise LogUnavailable("no answer")  # noqa: B904 (its context is what is shown)

    return raised(fail)


def _logged(error: Exception) -> str:
    try:
        raise error
    except Exception:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "defect", (), sys.exc_info())
    line: str = ValuelessFormatter("%(message)s").format(record)
    assert json.loads(line)["message"] == "defect"
    return line


def test_a_row_that_cannot_be_stored_is_named_by_what_the_database_calls_it() -> None:
    assert reason_of(QUOTING[0]) == (
        "CheckViolationError: SQLSTATE 23514, table resources, constraint no_secrets"
    )
    assert reason_of(QUOTING[1]).endswith("SQLSTATE 23502, table resources, column uid")
    assert reason_of(QUOTING[4]) == "DataError: SQLSTATE 22000, query argument $5"


def test_messages_that_quote_no_value_are_kept() -> None:
    assert reason_of(LogUnavailable("no responders")) == "LogUnavailable: no responders"
    assert reason_of(ConnectionRefusedError("refused")) == "ConnectionRefusedError: refused"
    missing = of_database(C="42P01", M="relation labels does not exist")
    assert "42P01: relation labels does not exist" in reason_of(missing)
    wrong = raised(lambda: msgspec.json.decode('{"size":"x"}', type=Choice))
    assert reason_of(wrong) == "ValidationError: Expected `int`, got `str` - at `$.size`"
    assert len(reason_of(LogUnavailable("x" * 9999))) <= LENGTH_MAX


def test_a_built_in_exception_names_the_line_of_the_product_that_raised_it() -> None:
    reason = reason_of(raised(parse, SECRET))
    assert reason.startswith("ValueError: at secaplane.model.position, line ")


def test_an_event_that_cannot_be_decoded_quotes_nothing_of_it() -> None:
    for data in (f'{{"v":2,"type":7,"x":"{SECRET}"}}', f'"{SECRET}"', f'{{"v":"{SECRET}"}}'):
        with pytest.raises(Undecodable) as refused:
            decode(data.encode(), nth(1))
        assert SECRET not in str(refused.value)
