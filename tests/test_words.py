"""Plain words: prose uses the field's terms, and identifiers have one name each.

Each test lists every hit as `file:line: text -> advice`.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pytest

from tests.source import ROOT, SOURCES, TESTS, Passage, docstrings, named, parsed, prose

FIGURES_OF_SPEECH = {
    r"houses?": "Secaplane, control plane; in tests: plane",
    r"wish(es|ed|ful)?": "desired state, command",
    r"somebody('s)?|someone": "name the subject: a caller, another process, a client",
    r"nobody('s)?|no one": "name the subject: no caller, no process",
    r"whoever|whomever|anybody|everybody": "name the subject: a caller, every process",
    r"(un)?believ(e|es|ed|ing|able)": "cached, trusted, accepted",
    r"brood": "owned resources",
    r"lookout": "children",
    r"(is|are|was|were|be|been|being|gets?) told( of)?|told of": "notified, informed",
    r"hears?|heard": "notified; receives",
    r"lies? in|lay in": "is contained in; is in",
    r"com(e|es|ing) to (?!an end)": "amounts to; reaches; name the result",
    r"stands? (there|in|on|at|beside|for itself)|stood (there|in|on|at)": "is in, is on, exists",
    r"(be|is|are|was|it is|becomes?) so(?=[.,;:)]|$)": "say what is true",
    r"what is wanted|what was wanted": "the desired state",
    r"what was found|what is found": "the observed status",
    r"who may what": "the authorization policy; grants",
    r"tak(e|es|en|ing) back|took back|takeback": "revert, reverted",
    r"a moment ago": "say how many seconds",
    r"(front )?door": "entry point, application service, API",
    r"neighbours?": "dependents",
    r"knocks?|knocking|riddle|at home": "no figures of speech",
}
ALLOWED = (
    ("tests/test_words.py", ""),
    ("docs/glossary.md", ""),
)
"""(beginning of the path, what the hit contains): quotations that are not ours."""

OLD_IDENTIFIERS = {
    "Blank": "UndecodableEvent",
    "Raced": "VersionConflict",
    "Unanswered": "LogUnavailable",
    "Unreadable": "Undecodable",
    "Folds": "ResourceCache",
    "Situation": "DecisionContext",
    "Door": "CommandDependencies",
    "Bench": "ReconcileDependencies",
    "Writer": "SubmitDependencies",
    "Reader": "ReadDependencies",
    "Ground": "ProcessDependencies",
    "Wish": "CommandEnvelope",
    "Handled": "CommandResult",
    "Lookout": "ChildrenReader",
    "Turns": "KeyedLock",
    "TakeBack": "Revert",
    "Brood": "OwnedResources",
    "Companion": "CompanionResource",
    "Neighbours": "Dependents",
    "Surroundings": "RelatedResources",
    "Around": "ParentsByKind",
    "Settled": "Ready",
    "Working": "InProgress",
    "Refused": "TerminalError",
    "Offer": "CatalogueEntry",
    "Visit": "RequestContext",
    "Witness": "AuditRecorder",
    "Sort": "EntryType",
    "Wide": "ShardedDict",
    "Book": "AssignmentIndex",
    "Keeper": "ProjectorSupervisor",
    "Together": "BatchedReads",
    "Vitals": "HealthProbe",
    "Pace": "Throttle",
    "Judge": "GrantEnforcer",
    "Standing": "QuotaUsage, CallerGrants, ProjectorStatus",
    "RefusalStream": "AuditStream",
    "House": "DevPlane",
    "DevHouse": "DevProcess",
    "Stand": "RunningPlane",
    "LOST": "CONNECTION_ERRORS",
    "AWAY": "DATABASE_UNAVAILABLE",
}
OLD_MODULES = {
    "situation": "load",
    "lookout": "children",
    "across": "related",
    "second_look": "post_append",
    "accompany": "companions",
    "turns": "keyed_lock",
    "folds": "resource_cache",
    "believing": "resource_cache",
    "neighbours": "dependents",
    "around": "related",
    "raised": "owned",
    "wide": "sharded",
    "book": "assignments",
    "keep": "supervisor",
    "parts": "columns",
    "together": "batching",
    "garbage": "gc_tuning",
    "people": "operate",
    "doors": "wiring",
    "vitals": "health",
    "pace": "token_bucket",
    "stand": "plane",
    "house": "plane",
    "workers": "reconcilers, cloud",
}
FIRST_WORDS = {"What", "Who", "How", "It", "Where", "Whether", "Whoever", "Whatever"}


def test_prose_has_no_figures_of_speech() -> None:
    none_of(hits())


def hits() -> Iterator[str]:
    pattern = re.compile(
        "|".join(rf"(?P<w{n}>\b(?:{each})\b)" for n, each in enumerate(FIGURES_OF_SPEECH)), re.I
    )
    advice = list(FIGURES_OF_SPEECH.values())
    for passage in prose():
        for found in pattern.finditer(passage.text):
            if not allowed(passage, found[0]):
                number = int((found.lastgroup or "w0")[1:])
                yield f"{passage.at(found.start())}: {around(found)} -> {advice[number]}"


def allowed(passage: Passage, text: str) -> bool:
    path = named(passage.path)
    return any(path.startswith(start) and part in text for start, part in ALLOWED)


def around(found: re.Match[str]) -> str:
    """The hit with a few words on each side."""
    text = found.string[max(0, found.start() - 25) : found.end() + 20]
    return " ".join(text.split())


def none_of(lines: Iterable[str]) -> None:
    """Fails with every line, so that the list can be worked off."""
    found = list(lines)
    if found:
        pytest.fail("\n".join([f"{len(found)} hits", *found]), pytrace=False)


def test_identifiers_are_the_current_ones() -> None:
    none_of(old_identifiers())


def old_identifiers() -> Iterator[str]:
    for path in (*SOURCES, *TESTS):
        if path.stem in OLD_MODULES:
            yield f"{named(path)}:1: module {path.stem} -> {OLD_MODULES[path.stem]}"
        if named(path) == "tests/test_words.py":
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.NAME and token.string in OLD_IDENTIFIERS:
                new = OLD_IDENTIFIERS[token.string]
                yield f"{named(path)}:{token.start[0]}: {token.string} -> {new}"
        for passage in docstrings(path):
            for found in re.finditer(r"\b(Unanswered|Raced|Unreadable|TakeBack)\b", passage.text):
                new = OLD_IDENTIFIERS[found[0]]
                yield f"{passage.at(found.start())}: {found[0]} -> {new}"


def test_a_public_class_name_occurs_once() -> None:
    places = defaultdict[str, list[str]](list)
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and node.name[0] != "_":
                places[node.name].append(f"{named(path)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    none_of(f"{', '.join(where)}: {name} -> rename" for name, where in twice.items())


def test_docstrings_name_their_subject_first() -> None:
    none_of(wrong_beginnings())


def wrong_beginnings() -> Iterator[str]:
    for path in (*SOURCES, *TESTS, ROOT / "__init__.py"):
        for passage in docstrings(path):
            first = re.match(r"\s*(\w+)", passage.text)
            if first is not None and first[1] in FIRST_WORDS:
                line = passage.text.strip().partition("\n")[0][:70]
                yield f"{passage.at(0)}: {line} -> name the subject, or begin with a verb"
