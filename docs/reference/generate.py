"""Writes the settings reference from the structs of `cli/settings.py` and their docstrings.

    python docs/reference/generate.py > docs/reference/settings.md

`make docs` runs it; `tests/test_docs.py` fails when the committed page differs.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from textwrap import dedent
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import inspect as types

from secaplane.cli.config import Config
from secaplane.policy.tokens.issuer import Issuer

INTRODUCTION = """\
# Settings

Generated from `cli/settings.py` by `make docs`; edit the docstrings there.

Settings come from a TOML file (`--config FILE`) and from environment variables, which override the
file. An unknown name or a value out of range stops a process at its start with one line.
[examples/site.toml](../../examples/site.toml) is a file to start from. A list in a variable is
separated by commas. `secaplane dev` reads the file only; unset the variables before you start it.
"""
FILE_ONLY = ("dev", "auth.issuers", "cloud.faults", "cloud.settings")
"""Sections and settings without a variable."""


class Setting(NamedTuple):
    name: str
    variable: str
    type: str
    default: str
    meaning: str


def page() -> str:
    parts = [INTRODUCTION]
    for section, struct in get_type_hints(Config).items():
        parts.append(_section(f"[{section}]", struct, list(settings(section, struct))))
        if section == "auth":
            parts.append(
                _section("[[auth.issuers]]", Issuer, list(settings("auth.issuers", Issuer)))
            )
    return "\n".join(parts)


def settings(section: str, struct: type[msgspec.Struct]) -> Iterator[Setting]:
    documented = meanings(struct)
    for field in types.type_info(struct).fields:  # type: ignore[attr-defined]
        name = f"{section}.{field.name}"
        without = any(name == each or name.startswith(f"{each}.") for each in FILE_ONLY)
        variable = "" if without else f"`SECAPLANE_{name.upper().replace('.', '_')}`"
        yield Setting(
            field.encode_name,
            variable,
            _shown(field.type),
            _default(field),
            documented.get(field.name, ""),
        )


def meanings(struct: type[Any]) -> dict[str, str]:
    """The string below each field of a struct."""
    (definition,) = ast.parse(dedent(inspect.getsource(struct))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    previous: ast.stmt | None = None
    for node in definition.body:
        if (
            isinstance(previous, ast.AnnAssign)
            and isinstance(previous.target, ast.Name)
            and isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
        ):
            found[previous.target.id] = " ".join(str(node.value.value).split())
        previous = node
    return found


def _section(title: str, struct: type[Any], rows: list[Setting]) -> str:
    own = struct.__dict__.get("__doc__") or ""
    about = " ".join(own.partition("Raises:")[0].split())
    lines = [f"## `{title}`", "", *([about, ""] if about else [])]
    lines += ["| Setting | Variable | Value | Default | Meaning |", "|---|---|---|---|---|"]
    for each in rows:
        cells = (f"`{each.name}`", each.variable, each.type, each.default, each.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _default(field: types.Field) -> str:
    value = field.default
    if value is msgspec.NODEFAULT:
        if field.default_factory is msgspec.NODEFAULT:
            return "required"
        value = field.default_factory()
    if value is None or value == "" or value == () or value == {}:
        return "none"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return ", ".join(f"`{each}`" for each in (value if isinstance(value, tuple) else (value,)))


def _shown(type_: Any) -> str:
    match type_:
        case types.BoolType():
            return "true, false"
        case types.StrType():
            longest = f", at most {type_.max_length} characters" if type_.max_length else ""
            return f"text{longest}"
        case types.IntType() | types.FloatType():
            return _bounded("integer" if isinstance(type_, types.IntType) else "number", type_)
        case types.LiteralType():
            return ", ".join(f"`{each}`" for each in type_.values)
        case types.VarTupleType():
            inner = "tables" if isinstance(type_.item_type, types.StructType) else "texts"
            return f"list of {inner}"
        case types.UnionType():
            return " or ".join(
                _shown(each) for each in type_.types if not isinstance(each, types.NoneType)
            )
        case types.DictType():
            return "table"
        case _:
            return type(type_).__name__


def _bounded(word: str, type_: Any) -> str:
    if type_.ge is not None and type_.le is not None:
        return f"{word}, {_number(type_.ge)} to {_number(type_.le)}"
    limits = (("from", type_.ge), ("above", type_.gt), ("at most", type_.le))
    return ", ".join([word, *(f"{bound} {_number(n)}" for bound, n in limits if n is not None)])


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


if __name__ == "__main__":
    sys.stdout.write(page())
