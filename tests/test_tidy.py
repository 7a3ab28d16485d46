"""The house keeps itself tidy: its own rules, read from its own source."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path

import pytest

from secaplane.kinds import KINDS

ROOT = Path(__file__).parent.parent
FLOORS = (
    "model",
    "kinds",
    "eventlog",
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
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ITSELF = Path(__file__)
LINES_PER_FUNCTION_MAX = 50
LINES_PER_FILE_MAX = 400

BANNED = (
    (
        r"datetime\.(now|utcnow|today)\(",
        ("cli/connect.py",),
        "take the time from the event or the clock you were given",
    ),
    (
        r"\basyncio\.(create_task|ensure_future)\(",
        (),
        "use a TaskGroup, so that somebody waits for it",
    ),
    (r"\b(TODO|FIXME|XXX)\b", (), "finish it or write an issue"),
    (r"\bprint\(", ("cli/",), "log it; only `cli` speaks to a terminal"),
    (r"\bos\.(environ|getenv)\b", ("cli/",), "configuration is read in `cli` and handed in"),
    (r"\blog\.append\(", ("command/handle.py",), "there is one door to the log"),
    (r"seca-refusals", ("eventlog/entries.py",), "the stream of refusals has a door of its own"),
    (r"\bRefusalStream\(", ("cli/refusals.py",), "the stream of refusals has a door of its own"),
)
"""(phrase, where it may stand all the same, what to do instead)"""

CATCH_ALL = ("Exception", "BaseException")
MAY_CATCH_ALL = ("projector/run.py", "reconcilers/run.py")
STATUSES = {status.value for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}
MAY_KNOW_STATUSES = (
    "edge/problem.py",
    "edge/openapi/operations.py",
    "edge/health.py",
    "edge/app.py",
)
"""The table; the document that repeats it; not being ready; what the framework itself refuses."""

FORBIDDEN_NAME = re.compile(
    r"(Manager|Helper|Util|Utils|Service|Handler|Base|Impl|Info|Data)s?$|^_?(Abstract|Base)[A-Z]"
)
FORBIDDEN_MODULES = {"utils", "common", "core", "helpers", "services", "managers", "interfaces"}
REGISTRY = re.compile(
    r"\b(pyp[i]\.org|python[h]osted\.org|npm[j]s\.(org|com)|docke[r]\.(io|com)|(ghc|gc)[r]\.io"
    r"|qua[y]\.io|registry\.[a-z0-9-]+\.[a-z]+)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.}])/(work|root|home|Users)/[\w.-]+")
TEXTS = {".py", ".toml", ".md", ".txt", ".yaml", ".yml", ".json", ".conf", ".sh", ""}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def texts() -> list[Path]:
    """Everything a person wrote, hidden folders and their like left out."""
    shown = [path for path in ROOT.iterdir() if path.name[0] != "."]
    inside = [each for path in shown if path.is_dir() for each in path.rglob("*")]
    return sorted(
        path
        for path in (*shown, *inside)
        if path.is_file() and path.suffix in TEXTS and path != ITSELF
    )


# --- every file


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=named)
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_PER_FILE_MAX, "it has two nouns in it"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LINES_PER_FUNCTION_MAX, f"{node.name} is {length} lines long"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_says_nothing_that_is_banned(path: Path) -> None:
    for phrase, allowed, instead in BANNED:
        if not named(path).startswith(allowed or ("-",)):
            found = re.search(phrase, path.read_text())
            assert found is None, f"{found[0]}: {instead}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_only_two_places_catch_everything(path: Path) -> None:
    """Elsewhere one may, to tidy up or to hand it on, if it is raised again."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler) and named(path) not in MAY_CATCH_ALL:
            caught = {ast.unparse(node.type)} if node.type else {"everything"}
            if caught & {*CATCH_ALL, "everything"}:
                assert handed_on(node), f"line {node.lineno}: name what you can repair"


def handed_on(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Attribute) and node.attr == "set_exception")
        for node in ast.walk(handler)
    )


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_only_the_edge_knows_http_error_statuses(path: Path) -> None:
    if named(path) not in MAY_KNOW_STATUSES:
        numbers = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)]
        found = {n.lineno for n in numbers if type(n.value) is int and n.value in STATUSES}
        wrong = found - {node.lineno for node in parsed(path).body if is_limit(node)}
        assert wrong == set(), "raise a refusal; edge/problem.py knows which status it wears"


def is_limit(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_MAX")


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in FORBIDDEN_MODULES
    words = "".join(word.capitalize() for word in path.stem.split("_"))
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in (*classes, words) if FORBIDDEN_NAME.search(name)] == []


def test_every_struct_says_that_it_is_frozen() -> None:
    """mypy does not see it inherited."""
    loose = [
        f"{named(path)}: {node.name}"
        for path, node in structs()
        if not any(k.arg == "frozen" and ast.unparse(k.value) == "True" for k in node.keywords)
    ]
    assert loose == []


def structs() -> Iterator[tuple[Path, ast.ClassDef]]:
    """Every class that stands on msgspec's Struct, however many steps below."""
    classes = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    known, more = set[str](), {"Struct"}
    while more:
        known |= more
        more = {node.name for _, node in classes if stands_on(node, known)} - known
    yield from ((path, node) for path, node in classes if stands_on(node, known))


def stands_on(node: ast.ClassDef, names: set[str]) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] in names for base in node.bases)


# --- the whole


def test_there_is_one_door_to_the_log() -> None:
    doors = [path for path in SOURCES if re.search(r"\blog\.append\(", path.read_text())]
    assert [named(path) for path in doors] == ["command/handle.py"]


def test_every_kind_file_is_in_the_catalogue() -> None:
    files = [path for path in (ROOT / "kinds").glob("*/*.py") if path.stem != "__init__"]
    assert len(files) == len(KINDS)


def test_every_floor_is_there_and_packed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = project["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == set(FLOORS) == {each.rstrip("*") for each in packed}


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    found = [
        f"{named(path)}: {hit[0]}"
        for path in texts()
        for pattern in (REGISTRY, MACHINE_PATH)
        if (hit := pattern.search(path.read_text()))
    ]
    assert found == []


# --- what it stands on


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-fuzz.txt"]
)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for line in filter(None, lines):
        assert re.fullmatch(r"[a-z0-9.-]+==\S+( ;.+?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line


def test_every_dependency_is_in_the_requirements_and_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for some in project["optional-dependencies"].values() for each in some]
    wanted = {re.split(r"[\[<>=~; ]", each)[0] for each in (*project["dependencies"], *extras)}
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements-dev.txt").read_text(), re.M))
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    assert wanted <= pinned
    assert {each for each in wanted if each not in explained} == set()
