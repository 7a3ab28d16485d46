"""How much of the standard is served, and what a kind costs to write down. Read off the source, so
it takes no time."""

import ast
from pathlib import Path

from secaplane import kinds
from secaplane.edge.documents import openapi
from secaplane.kinds import KINDS
from tests.bench.figures import Figure, figure
from tests.kinds import standard


def measure() -> dict[str, Figure]:
    return {"operations": _operations(), "kind_lines": _kind_lines()}


def _operations() -> Figure:
    """Those of the standard that the document describes; tests hold it to the routes."""
    described = standard.described(openapi.document(KINDS.values(), ""))
    return figure([len(standard.operations() & set(described))], "of 89")


def _kind_lines() -> Figure:
    files = [p for p in Path(kinds.__path__[0]).glob("*/*.py") if p.stem != "__init__"]
    return figure([_lines_of_code(file) for file in files], "lines")


def _lines_of_code(file: Path) -> int:
    """Without blank lines, comments and docstrings."""
    text = file.read_text()
    said = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        1
        for number, line in enumerate(text.splitlines(), 1)
        if number not in said and line.strip() and not line.strip().startswith("#")
    )
