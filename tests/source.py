"""The source tree as the tests of style read it: files, syntax trees, prose."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
LAYERS = (
    "model",
    "kinds",
    "sealing",
    "eventlog",
    "audit",
    "readmodel",
    "policy",
    "edge",
    "plugins",
    "command",
    "query",
    "projector",
    "reconcilers",
    "cli",
)
"""The top-level folders that are installed, from the lowest layer to the highest."""
SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CORE = (
    "model/events.py",
    "model/evolve.py",
    "command/rules/decide.py",
    "command/handle.py",
    "command/attempt.py",
    "kinds/storage/block_storage.py",
    "projector/projections/resources.py",
    "reconcilers/reconcile.py",
)
"""The path of one write, from the command to the row and the cloud."""
TEXTS = {".py", ".toml", ".md", ".txt", ".yaml", ".yml", ".json", ".conf", ".sh", ".in", ""}
VENDORED = ROOT / "edge" / "documents" / "swagger" / "swagger"
GOLDEN = ROOT / "tests" / "golden"
CODE = re.compile(r"```.*?```|``.*?``|`[^`\n]*`", re.S)
LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical"}


class Passage(NamedTuple):
    """A piece of prose and the place where it begins."""

    path: Path
    line: int
    text: str

    def at(self, offset: int) -> str:
        return f"{named(self.path)}:{self.line + self.text.count(chr(10), 0, offset)}"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def texts() -> list[Path]:
    """Every text file that is written by hand; hidden folders are left out."""
    shown = [path for path in ROOT.iterdir() if path.name[0] != "."]
    inside = [each for path in shown if path.is_dir() for each in path.rglob("*")]
    return sorted(
        path
        for path in (*shown, *inside)
        if path.is_file() and path.suffix in TEXTS and not generated(path)
    )


def generated(path: Path) -> bool:
    folders = {"__pycache__", "build", "dist", "bench.json"}  # git ignores them
    return bool(folders & set(path.parts)) or path.is_relative_to(VENDORED)


def core_lines() -> dict[str, int]:
    return {name: lines_of_code(ROOT / name) for name in CORE}


def lines_of_code(path: Path) -> int:
    """Lines without blank lines, comments and docstrings."""
    strings = {
        line
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Expr) and _text_of(node.value) is not None
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(
        1
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if number not in strings and line.strip() and not line.strip().startswith("#")
    )


# --- prose


def prose() -> Iterator[Passage]:
    """Docstrings, comments, messages and test names of the Python files; pages and comments of the
    others. What is quoted as code (in backticks, in fenced blocks) is blanked out."""
    for path in (*SOURCES, *TESTS, ROOT / "__init__.py"):
        yield from docstrings(path)
        yield from _comments(path)
        yield from _messages(path)
        yield from _test_names(path)
    for path in texts():
        if path.suffix == ".md":
            yield Passage(path, 1, without_code(path.read_text()))
        elif path.suffix in {".toml", ".yaml", ".conf", ".sh"} or path.name in UNSUFFIXED:
            lines = (line.partition("#") for line in path.read_text().splitlines())
            yield Passage(path, 1, "\n".join(without_code(comment) for _, _, comment in lines))


UNSUFFIXED = {"Makefile", "Dockerfile", "Caddyfile", ".dockerignore"}


def docstrings(path: Path) -> Iterator[Passage]:
    """Of modules, classes, functions and attributes: every string that is a statement."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and (text := _text_of(node.value)) is not None:
            yield Passage(path, node.lineno, without_code(text))


def _comments(path: Path) -> Iterator[Passage]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield Passage(path, token.start[0], without_code(token.string))


def _messages(path: Path) -> Iterator[Passage]:
    """The texts of log records and exceptions, of assertions and of printed lines."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and _speaks(node.func):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Assert) and node.msg is not None:
            parts = [node.msg]
        else:
            continue
        for part in (each for argument in parts for each in ast.walk(argument)):
            if isinstance(part, ast.expr) and (text := _text_of(part)) is not None:
                yield Passage(path, part.lineno, without_code(text))


def _speaks(function: ast.expr) -> bool:
    """True for log methods, `print`, `help=` of command lines, and exceptions by their names."""
    name = ast.unparse(function).rpartition(".")[2]
    return name in LOG_CALLS | {"print", "add_argument", "add_parser"} or name[:1].isupper()


def _test_names(path: Path) -> Iterator[Passage]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            yield Passage(path, node.lineno, node.name.replace("_", " "))


def _text_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def without_code(text: str) -> str:
    """The text with code replaced by spaces; line breaks stay, so that lines can be counted."""
    return CODE.sub(lambda quoted: re.sub(r"[^\n]", " ", quoted[0]), text)
