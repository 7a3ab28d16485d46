"""The reason of an exception, for logs and for what operators see: never a value. Pure.

PostgreSQL quotes rows in messages and details (`Failing row contains ...`), msgspec quotes values
and keys, and so do built-in exceptions (`invalid literal for int() with base 10: ...`). All of them
may be contents of a tenant.
"""

import re
from types import TracebackType

import msgspec

PRODUCT = "secaplane."
LENGTH_MAX = 500
WITH_VALUES = ("22", "23", "44", "P0", "XX")
"""Classes of SQLSTATE whose messages may quote rows: data, integrity, check option, code of the
schema, internal errors."""
NAMED = ("table_name", "column_name", "constraint_name", "data_type_name")
"""Fields that PostgreSQL sends beside the message."""
WITHOUT_VALUES = (
    "Expected ",
    "Object missing ",
    "JSON is malformed",
    "Input data ",
    "Invalid RFC3339",
    "Invalid base64",
)
"""Beginnings of those messages of msgspec that quote nothing of the input."""
_ARGUMENT = re.compile(r"query argument \$[0-9]+")


def reason_of(error: BaseException) -> str:
    """The type of an exception, and its message where that quotes no value; else what it names
    (SQLSTATE, table, column, constraint), or the line of the product that raised it."""
    name = type(error).__name__
    said = _message(error)
    return f"{name}: {said}"[:LENGTH_MAX] if said else name


def _message(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _of_database(error, state)
    if isinstance(error, msgspec.MsgspecError):
        text = str(error)
        return text if text.startswith(WITHOUT_VALUES) else _raised_at(error)
    if type(error).__module__ == "builtins" and not isinstance(error, OSError):
        return _raised_at(error)
    return str(error)


def _of_database(error: BaseException, state: str) -> str:
    if not state.startswith(WITH_VALUES):
        return f"SQLSTATE {state}: {getattr(error, 'message', None) or error}"
    named = [
        f"{each.removesuffix('_name').replace('_', ' ')} {value}"
        for each in NAMED
        if (value := getattr(error, each, None))
    ]
    argument = _ARGUMENT.search(str(error))
    return ", ".join([f"SQLSTATE {state}", *named, *([argument[0]] if argument else [])])


def _raised_at(error: BaseException) -> str:
    """The innermost line of the product in the traceback."""
    at, traceback = "", error.__traceback__
    while isinstance(traceback, TracebackType):
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(PRODUCT):
            at = f"at {module}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return at
