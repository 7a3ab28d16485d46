"""Layout, packages, sizes, names, and rules that no linter knows, read from the source."""

import ast
import re
import tomllib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import grimp
import pytest

from secaplane.kinds import KINDS
from tests.source import GOLDEN, LAYERS, ROOT, SOURCES, TESTS, core_lines, named, parsed, texts

LINES_PER_FUNCTION_MAX = 50
LINES_PER_FILE_MAX = 400
CORE_LINES_MAX = 700

BANNED = (
    (
        r"datetime\.(now|utcnow|today)\(",
        ("cli/processes/connections.py",),
        "take the time from the event or from the clock that was passed",
    ),
    (
        r"\basyncio\.(create_task|ensure_future)\(",
        (),
        "use a TaskGroup, so that the task is awaited",
    ),
    (r"\b(TODO|FIXME|XXX)\b", (), "finish it or write an issue"),
    (r"\bprint\(", ("cli/",), "log it; only `cli` writes to a terminal"),
    (r"\bos\.(environ|getenv)\b", ("cli/",), "configuration is read in `cli` and passed on"),
    (r"\blog\.append\(", ("command/attempt.py",), "only `command.attempt` appends events"),
    (r"\"seca-audit", ("audit/entries.py",), "only `audit.entries` names the audit stream"),
    (r"\bAuditStream\(", ("cli/",), "only `cli` opens the audit stream"),
)
"""(pattern, places where it is allowed, what to do instead)"""

OUTSIDE = ("aiohttp", "asyncpg", "casbin", "jwt", "litestar", "nats")
"""Packages that reach a network, a database or a framework."""
CATCH_ALL = ("Exception", "BaseException")
MAY_CATCH_ALL = ("projector/run.py", "reconcilers/run.py")
STATUSES = {status.value for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}
MAY_KNOW_STATUSES = (
    "audit/tlog/witness_protocol.py",
    "edge/problem_table.py",
    "edge/documents/openapi/operations.py",
    "edge/serving/health.py",
    "edge/serving/app.py",
    "edge/serving/exceptions.py",
)
"""The protocol of witnesses, which other software speaks; the table of refusals; the document that
repeats it; unreadiness; refusals of the framework."""

PACKAGE = "secaplane"
FORBIDDEN_NAME = re.compile(
    r"(Manager|Helper|Util|Utils|Service|Handler|Base|Impl|Info|Data)s?$|^_?(Abstract|Base)[A-Z]"
)
FORBIDDEN_MODULES = {"utils", "common", "core", "helpers", "services", "managers", "interfaces"}
REGISTRY = re.compile(
    r"\b(pyp[i]\.org|python[h]osted\.org|npm[j]s\.(org|com)|docke[r]\.(io|com)|(ghc|gc)[r]\.io"
    r"|qua[y]\.io|registry\.[a-z0-9-]+\.[a-z]+)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.}])/(work|root|home|Users)/[\w.-]+")


# --- every file


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=named)
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LINES_PER_FILE_MAX, "split it: it has two subjects"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LINES_PER_FUNCTION_MAX, f"{node.name} is {length} lines long"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_has_no_banned_expression(path: Path) -> None:
    for phrase, allowed, instead in BANNED:
        if not named(path).startswith(allowed or ("-",)):
            found = re.search(phrase, path.read_text())
            assert found is None, f"{found[0]}: {instead}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_only_two_places_catch_everything(path: Path) -> None:
    """Other places may, to clean up, if they raise the exception again or hand it on."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler) and named(path) not in MAY_CATCH_ALL:
            caught = {ast.unparse(node.type)} if node.type else {"everything"}
            if caught & {*CATCH_ALL, "everything"}:
                assert handed_on(node), f"line {node.lineno}: name the exceptions that are handled"


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
        assert wrong == set(), "raise a refusal; edge/problem_table.py maps it to a status"


def is_limit(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_MAX")


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in FORBIDDEN_MODULES
    words = "".join(word.capitalize() for word in path.stem.split("_"))
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in (*classes, words) if FORBIDDEN_NAME.search(name)] == []


def test_every_struct_declares_that_it_is_frozen() -> None:
    """mypy does not see an inherited `frozen`."""
    loose = [
        f"{named(path)}: {node.name}"
        for path, node in structs()
        if not any(k.arg == "frozen" and ast.unparse(k.value) == "True" for k in node.keywords)
    ]
    assert loose == []


def structs() -> Iterator[tuple[Path, ast.ClassDef]]:
    """Direct and indirect subclasses of msgspec's Struct."""
    classes = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    known, more = set[str](), {"Struct"}
    while more:
        known |= more
        more = {node.name for _, node in classes if inherits(node, known)} - known
    yield from ((path, node) for path, node in classes if inherits(node, known))


def inherits(node: ast.ClassDef, names: set[str]) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] in names for base in node.bases)


# --- the tree


def test_only_one_file_appends_to_the_log() -> None:
    appending = [path for path in SOURCES if re.search(r"\blog\.append\(", path.read_text())]
    assert [named(path) for path in appending] == ["command/attempt.py"]


def test_the_core_path_is_short() -> None:
    lines = core_lines()
    assert sum(lines.values()) <= CORE_LINES_MAX, lines


def test_every_kind_file_is_in_the_catalogue() -> None:
    files = [path for path in (ROOT / "kinds").glob("*/*.py") if path.stem != "__init__"]
    assert len(files) == len(KINDS)


def test_every_folder_at_the_top_is_a_layer() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders == set(LAYERS)


def test_every_package_on_disk_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    on_disk = {path.parent.relative_to(ROOT) for path in SOURCES}
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(
        [PACKAGE, *(".".join((PACKAGE, *folder.parts)) for folder in on_disk)]
    )


def test_every_folder_with_sources_is_a_package() -> None:
    folders = {path.parent for path in SOURCES}
    assert [named(each) for each in folders if not (each / "__init__.py").exists()] == []


def test_rooms_are_imported_by_the_name_of_the_package() -> None:
    """`import policy` would find another distribution's package where Secaplane is installed."""
    wrong = [
        f"{named(path)}:{line}: {module} -> {PACKAGE}.{module}"
        for path in (*SOURCES, *TESTS)
        for line, module in imports(path)
        if module.partition(".")[0] in LAYERS
    ]
    assert wrong == []


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = [
        f"{named(path)}: {hit[0]}"
        for path in texts()
        if path != Path(__file__) and not path.is_relative_to(GOLDEN)
        for pattern in (REGISTRY, MACHINE_PATH)
        if (hit := pattern.search(path.read_text()))
    ]
    assert found == []


# --- dependencies


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-fuzz.txt",
        "requirements-openstack.txt",
    ],
)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for line in filter(None, lines):
        assert re.fullmatch(r"[a-z0-9.-]+==\S+( ;.+?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line


def test_every_dependency_is_in_the_requirements_and_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for some in project["optional-dependencies"].values() for each in some]
    declared = {re.split(r"[\[<>=~; ]", each)[0] for each in (*project["dependencies"], *extras)}
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements-dev.txt").read_text(), re.M))
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    assert declared <= pinned
    assert {each for each in declared if each not in explained} == set()


def test_modules_that_say_that_they_are_pure_reach_nothing_outside_them() -> None:
    """Directly or through what they import."""
    graph = grimp.build_graph("secaplane", include_external_packages=True)
    claims = [
        path for path in SOURCES if re.search(r"\bPure\b", ast.get_docstring(parsed(path)) or "")
    ]
    assert len(claims) > 50
    broken = [
        chain
        for path in claims
        for package in OUTSIDE
        if package in graph.modules
        and (chain := graph.find_shortest_chain(_module(path), package)) is not None
    ]
    assert broken == []


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("secaplane", *(part for part in parts if part != "__init__")))
