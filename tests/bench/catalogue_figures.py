"""Operations served, and sizes of the source: they are counted, not measured."""

from pathlib import Path

from secaplane import kinds
from secaplane.edge.documents import openapi
from secaplane.kinds import KINDS
from tests.bench.figures import Figure, figure
from tests.kinds import standard
from tests.source import core_lines, lines_of_code


def measure() -> dict[str, Figure]:
    return {
        "operations": _operations(),
        "kind_lines": _kind_lines(),
        "core_lines": figure([sum(core_lines().values())], "lines"),
    }


def _operations() -> Figure:
    """Operations of the standard in the OpenAPI document; tests compare it with the routes."""
    described = standard.described(openapi.document(KINDS.values(), ""))
    return figure([len(standard.operations() & set(described))], "of 89")


def _kind_lines() -> Figure:
    files = [p for p in Path(kinds.__path__[0]).glob("*/*.py") if p.stem != "__init__"]
    return figure([lines_of_code(file) for file in files], "lines")
