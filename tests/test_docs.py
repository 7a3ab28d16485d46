"""Documentation names files, settings, metrics and commands that exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from runpy import run_path

import pytest
from msgspec.structs import asdict, replace

from secaplane.cli.config import read
from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from tests.source import ROOT, SOURCES

PAGES = sorted(
    path
    for folder in (".", "docs", "deploy", "examples")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
WALK_LINES_MAX = 60
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
SPAN = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.-]+(/[\w.*-]+)+/?|[\w-]+\.(py|toml|md|sh|conf|yaml)")
WARNING = re.compile(r'(?:\blog\.(?:warning|error|critical)|self\._stop)\(\s*"([^"]+)"')
SUFFIXES = (".py", ".md", ".toml", ".sh", ".conf", ".yaml", "/")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def source() -> str:
    return "\n".join(path.read_text() for path in SOURCES)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    targets = [target for target, _ in LINK.findall(page.read_text()) if "://" not in target]
    assert [each for each in targets if not (page.parent / each).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    paths = [
        span
        for span in SPAN.findall(page.read_text())
        if FILE.fullmatch(span) and span.endswith(SUFFIXES) and span.split("/")[0] in folders
    ]
    assert [each for each in paths if not any(ROOT.glob(each.rstrip("/")))] == []


def test_the_map_names_files_of_its_folders() -> None:
    rows = [line.split("|")[1:-1] for line in section("The map").splitlines() if "|" in line]
    tops = {cells[0].strip(" `") for cells in rows if cells[0].strip(" `").endswith("/")}
    absent = [
        f"{folder}{span}"
        for cells in rows
        if (folder := cells[0].strip(" `")) in tops
        for span in SPAN.findall(cells[2])
        if not (ROOT / folder / span).exists()
    ]
    assert absent == []
    assert tops == {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} - {"tests/"}


def test_the_walk_is_short() -> None:
    assert len(section("A walk").splitlines()) <= WALK_LINES_MAX


def test_the_commands_of_the_readme_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    commands = set(re.findall(r"^make ([\w-]+)", (ROOT / "README.md").read_text(), re.M))
    assert commands == {"dev", "test"}
    assert commands <= targets


def section(title: str) -> str:
    text = (ROOT / "README.md").read_text()
    _, _, rest = text.partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0].strip()


# --- settings


def test_the_page_of_requirements_is_generated_from_its_rows() -> None:
    generate = run_path(str(ROOT / "docs" / "compliance" / "generate.py"))
    page = (ROOT / "docs" / "compliance" / "requirements.md").read_text()
    assert page == generate["page"](), "run `make docs`"


def test_the_settings_page_is_generated_from_the_code() -> None:
    generate = run_path(str(ROOT / "docs" / "reference" / "generate.py"))
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert page == generate["page"](), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_example_of_a_site_names_every_setting() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    example = (ROOT / "examples" / "site.toml").read_text()
    names = re.findall(r"^\| `(\w+)`", page, re.M)
    assert [
        name for name in names if not re.search(rf"^(# )?\[?{name}\b|\.{name}\]", example, re.M)
    ] == []


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / "examples" / name for name in ("site.toml", "secatest.toml")),
        ROOT / "examples" / "secatest-deferred.toml",
        ROOT / "deploy" / "secaplane.toml",
    ],
    ids=named,
)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert read(path, {}).site.region


def test_the_two_configurations_for_the_conformance_runner_differ_in_the_references_only() -> None:
    strict = read(ROOT / "examples" / "secatest.toml", {})
    deferred = read(ROOT / "examples" / "secatest-deferred.toml", {})
    assert set(asdict(deferred.references).values()) == {"deferred"}
    assert replace(deferred, references=strict.references) == strict


# --- operate.md


def test_documented_metrics_exist() -> None:
    documented = {stem(name) for name in re.findall(r"`secaplane_(\w+)", operate())}
    assert {each for each in documented if not exists(each)} == set()


def exists(metric: str) -> bool:
    """True if the code names it, whole or without a first word that several have in common."""
    return any(f'"{name}"' in source() for name in (metric, f"secaplane_{metric}", short(metric)))


def stem(metric: str) -> str:
    return metric.removesuffix("_total")


def short(metric: str) -> str:
    return metric.partition("_")[2]


def test_the_troubleshooting_table_has_every_message_that_needs_attention() -> None:
    table = operate().partition("### By log line")[2].partition("###")[0]
    listed = [name for row in rows_of(table) for name in SPAN.findall(row.split("|")[1])]
    assert set(WARNING.findall(source())) - set(listed) == set()
    assert [each for each in listed if f'"{each}"' not in source()] == []


def rows_of(table: str) -> Iterator[str]:
    return (line for line in table.splitlines() if line.startswith("| `"))


@cache
def operate() -> str:
    return (ROOT / "docs" / "operate.md").read_text()


def test_the_rules_of_the_standard_are_enforced_by_code_that_exists() -> None:
    """Each row names the place that enforces its sentence, or says why nothing does."""
    text = (ROOT / "docs" / "standard-rules.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert all(len(row) >= 2 and row[1].strip(" |") for row in rows)
    spans = [span for span in SPAN.findall(text) if re.fullmatch(r"[A-Za-z_.]+", span)]
    names = {
        part for span in spans for part in span.split(".") if "_" in part or part != part.lower()
    }
    words = set(re.findall(r"\w+", source()))
    assert names - words == set()


def test_every_rule_in_the_code_of_a_kind_of_the_standard_is_on_the_page() -> None:
    """By the name of the function, or `kind /field`; also lists that are read in another way."""
    spans = set(SPAN.findall((ROOT / "docs" / "standard-rules.md").read_text()))
    of_standard = [kind for kind in KINDS.values() if kind.provider.name.startswith("seca.")]
    rules = {name for kind in of_standard for name in _rules_of(kind)}
    assert len(rules) > 20
    assert rules - spans == set()
    fields = {each for each in spans if re.fullmatch(r"[a-z-]+ /\S+", each)}
    assert fields - rules == set()


def _rules_of(kind: Kind) -> Iterator[str]:
    rules = kind.rules
    if rules.check is not None:
        yield rules.check.__name__
    yield from (each.check.__name__ for each in rules.compared)
    yield from (each.uses.__name__ for each in rules.in_use)
    changing = (*rules.immutable, *rules.set_once)
    accepted = (each.at for each in rules.absent_means_all if each.accepted)
    yield from (f"{kind.name} {field}" for field in (*changing, *accepted))
