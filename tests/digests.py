"""Digests of what is stored: they change with tables, stored types, and the code that fills them.

Comments, docstrings and imports do not count.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from hashlib import blake2b
from types import ModuleType
from typing import Any

import msgspec

from secaplane.eventlog import snapshots
from secaplane.kinds import located, references, shares
from secaplane.model import authors, closing, document, evolve, explained, past
from secaplane.model.actor import Actor
from secaplane.model.shape import Resource
from secaplane.projector import columns, folding
from secaplane.projector.entries import rows
from secaplane.projector.projection import ProjectionGroup
from secaplane.readmodel.schema.group import HOUSEKEEPING

FILLS: dict[str, tuple[ModuleType, ...]] = {
    "resources": (
        columns,
        folding,
        authors,
        evolve,
        closing,
        explained,
        document,
        references,
        shares,
    ),
    "history": (columns, folding, authors, evolve, closing, explained),
    "activity": (columns, rows, located),
}
"""By group: the modules whose results are stored, beside those of its projections."""
BYTES = 8


def layout_digest(group: ProjectionGroup) -> str:
    """Of a group's layout, tables and projections."""
    own = dict.fromkeys(inspect.getmodule(type(each)) for each in group.projections)
    modules = [module for module in own if module is not None]
    return _digest(
        [
            f"{group.name} {group.tables.layout}",
            _sql(HOUSEKEEPING),
            _sql(group.tables.tables),
            *map(_code, (*modules, *FILLS.get(group.name, ()))),
            _shape(Resource),
            _shape(Actor),
        ]
    )


def snapshot_digest() -> str:
    """Of the snapshots' format: the fields of a resource and of its past, and their folds."""
    code = [_code(each) for each in (evolve, closing, explained, past)]
    return _digest([str(snapshots.FORMAT), _shape(Resource), *code])


def _sql(text: str) -> str:
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


def _code(module: ModuleType) -> str:
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_prose(each)]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_prose(node: ast.AST) -> bool:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Import | ast.ImportFrom)


def _shape(type_: type[msgspec.Struct]) -> str:
    """The fields of a type, and of the types in them."""
    schema = msgspec.json.schema(type_)
    return msgspec.json.encode(_without_prose(schema), order="deterministic").decode()


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _without_prose(value)
            for key, value in schema.items()
            if key not in ("title", "description") or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [_without_prose(each) for each in schema]
    return schema


def _digest(parts: Iterable[str]) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=BYTES).hexdigest()
