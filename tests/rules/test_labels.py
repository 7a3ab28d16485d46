"""Label selectors: their grammar, and the SQL conditions that they become."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.errors import Malformed
from secaplane.query.selectors import (
    PATTERNS_MAX,
    SCANNING_PATTERNS_MAX,
    SELECTOR_LENGTH_MAX,
    STARS_MAX,
    TERMS_MAX,
    Pattern,
    Term,
    literal,
    pattern,
    selection,
    terms,
)
from secaplane.readmodel.selection import Selection


def term(key: str, op: str, value: str) -> Term:
    """A term as it is read from unquoted text."""
    return Term(pattern(key), op, pattern(value))


@pytest.mark.parametrize(
    ("selector", "read"),
    [
        ("env=prod", [term("env", "=", "prod")]),
        ("env!=prod", [term("env", "!=", "prod")]),
        ("a=1,b=2", [term("a", "=", "1"), term("b", "=", "2")]),
        (" env = prod ,\tb != c ", [term("env", "=", "prod"), term("b", "!=", "c")]),
        ("cpu>4,cpu<=8", [term("cpu", ">", "4"), term("cpu", "<=", "8")]),
        ("cpu>=-1.5,cpu<+2", [term("cpu", ">=", "-1.5"), term("cpu", "<", "+2")]),
        ("*env*=*prod*", [Term(Pattern(("", "env", "")), "=", Pattern(("", "prod", "")))]),
        ("*=**", [Term(Pattern(("", "")), "=", Pattern(("", "")))]),
        ("a=b***c", [Term(literal("a"), "=", Pattern(("b", "c")))]),
        ("billing:team=a", [term("billing:team", "=", "a")]),
        ("seca.cloud/x_y-z=1", [term("seca.cloud/x_y-z", "=", "1")]),
        ("env=", [term("env", "=", "")]),
        ("env!=", [term("env", "!=", "")]),
        ("motto=two words", [term("motto", "=", "two words")]),
        ("two words=x", [term("two words", "=", "x")]),
        ("größe=ganz groß", [term("größe", "=", "ganz groß")]),
        ("q='; drop table resources--", [term("q", "=", "'; drop table resources--")]),
        ("env==prod", [term("env", "=", "=prod")]),
        ("a=b=c", [term("a", "=", "b=c")]),
        ("a!=<b>", [term("a", "!=", "<b>")]),
        ('a=b"c\\', [term("a", "=", 'b"c\\')]),
    ],
)
def test_a_selector_is_read_term_by_term(selector: str, read: list[Term]) -> None:
    assert terms(selector) == read


@pytest.mark.parametrize(
    ("selector", "key", "value"),
    [
        ('a="b,c"', "a", "b,c"),
        ('a = " b "', "a", " b "),
        ('a="*"', "a", "*"),
        ('a=""', "a", ""),
        (r'a="\"\\\"\\"', "a", r'"\"' + "\\"),
        (r'a="\n"', "a", r"\n"),
        ('"a=b,c!<>*"=x', "a=b,c!<>*", "x"),
        (' "a" ="b" ', "a", "b"),
    ],
)
def test_quoted_text_is_literal(selector: str, key: str, value: str) -> None:
    (read,) = terms(selector)
    assert read == Term(literal(key), "=", literal(value))
    assert terms(f"{selector},x=y") == [read, term("x", "=", "y")]


def test_a_quoted_number_can_be_compared() -> None:
    assert terms('"cpu">="4"') == [term("cpu", ">=", "4")]


@pytest.mark.parametrize(
    ("selector", "number"),
    [
        ("", 1),
        ("env", 1),
        ("=prod", 1),
        ("env=>1,env=>1,env<>1", 3),
        ("a!b", 1),
        ("a=1,", 2),
        ("a=1,,b=2", 2),
        ("a=1, ,b=2", 2),
        ("env in (prod)", 1),
        ("cpu>four", 1),
        ("a=1,cpu<", 2),
        ("cpu>1e3", 1),
        ("cpu>*", 1),
        ("c*>1", 1),
        ("cpu>0x10", 1),
        ("cpu>٤", 1),
        ("cpu>" + "9" * 65, 1),
        ('a=1,b="', 2),
        ('a=1,b="\\"', 2),
        ('a=1,"b=2', 2),
        ('a="1"2', 1),
        ('"a"b=2', 1),
        ("a=" + "x*" * (STARS_MAX + 1), 1),
    ],
)
def test_a_malformed_selector_is_refused_and_says_where(selector: str, number: int) -> None:
    with pytest.raises(Malformed, match=f"term {number},") as raised:
        terms(selector)
    assert [source.parameter for source in raised.value.sources] == ["labels"]


@pytest.mark.parametrize(
    "selector",
    [
        "a=\0",
        "a=" + "b" * SELECTOR_LENGTH_MAX,
        ",".join(["a=b"] * (TERMS_MAX + 1)),
        ",".join(["a=b*"] * (PATTERNS_MAX + 1)),
    ],
)
def test_a_selector_has_its_limits(selector: str) -> None:
    with pytest.raises(Malformed):
        terms(selector)


def test_the_longest_selectors_are_read() -> None:
    assert len(terms(",".join(["a=b"] * TERMS_MAX))) == TERMS_MAX
    assert len(terms(",".join(["*a=b*"] * PATTERNS_MAX + ["a=b"]))) == PATTERNS_MAX + 1
    assert len(terms("a=" + "b" * (SELECTOR_LENGTH_MAX - 2))) == 1


def test_a_selector_that_scans_has_few_patterns() -> None:
    scanning = ",".join([f"a{n}=x*" for n in range(SCANNING_PATTERNS_MAX)])
    assert selection(terms(scanning)).scans
    for more in ("b=*", "*=b", "b!=x*"):
        with pytest.raises(Malformed, match=f"at most {SCANNING_PATTERNS_MAX} terms take"):
            terms(f"{scanning},{more}")
        assert len(terms(f"{scanning},{more},env=prod")) == SCANNING_PATTERNS_MAX + 2
        assert len(terms(f"{scanning},env!=prod,cpu>1")) == SCANNING_PATTERNS_MAX + 2


def test_a_list_in_the_order_of_an_index_does_not_scan() -> None:
    assert not selection([]).scans
    assert not selection(terms("env=prod")).scans
    for selector in ("env=prod,tier=1", "env!=prod", "env=p*", "cpu>1"):
        assert selection(terms(selector)).scans


# --- every stored label can be found and excluded

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=63)
TRICKY = st.text('ab*"\\=!<>, \t\n%_é', max_size=8)
LABELS = st.dictionaries(TEXTS | TRICKY, TEXTS | TRICKY, min_size=1, max_size=4)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def matches(term: Term, labels: dict[str, str]) -> bool:
    """The semantics of `=` and `!=` in plain Python."""
    hit = any(like(term.key, key) and like(term.value, value) for key, value in labels.items())
    return hit is (term.op == "=")


def like(searched: Pattern, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, searched.parts)), text, re.DOTALL) is not None


@given(LABELS, st.booleans())
def test_every_label_is_found_by_equality_and_excluded_by_inequality(
    labels: dict[str, str], padded: bool
) -> None:
    space = " " if padded else ""
    for key, value in labels.items():
        other = {k: v for k, v in labels.items() if k != key}
        for op, found in (("=", True), ("!=", False)):
            (read,) = terms(f"{space}{quoted(key)}{space}{op}{space}{quoted(value)}{space}")
            assert matches(read, labels) is found
            assert matches(read, other) is not found


@given(LABELS)
def test_text_without_a_meaning_of_its_own_needs_no_quotes(labels: dict[str, str]) -> None:
    for key, value in labels.items():
        plain = not set(key) & set('=!<>,*" \t') and not set(value) & set(',*" \t') and key
        if plain:
            assert terms(f"{key}={value}") == [Term(literal(key), "=", literal(value))]


# --- the SQL: its shape only, PostgreSQL has the word on what it finds

ALSO = (
    "exists (select from labels as also where also.kind = $1 and also.collection = $2"
    " and also.name = l.name and also.life = l.life and"
)
OWN = "exists (select from jsonb_each_text(r.labels) as own (key, value) where"
NUMERIC = "'^[+-]?[0-9]{1,64}([.][0-9]{1,64})?$'"


@pytest.mark.parametrize(
    ("selector", "indexed", "ordered", "conditions", "arguments"),
    [
        ("env=prod", "l.key = $6 and l.value = $7", True, "", ["env", "prod"]),
        (
            "a>1,b=2,c=3",
            "l.key = $6 and l.value = $7",
            True,
            f"and case when r.labels ->> $8::text ~ {NUMERIC}"
            " then (r.labels ->> $8::text)::numeric > $9::text::numeric end"
            f" and {ALSO} also.key = $10 and also.value = $11)",
            ["b", "2", "a", "1", "c", "3"],
        ),
        (
            "env!=prod",
            "",
            False,
            "and (r.labels ->> $6::text) is distinct from $7::text",
            ["env", "prod"],
        ),
        (
            "env!=p*",
            "",
            False,
            f"and not {OWN} own.key = $6 and own.value like $7)",
            ["env", "p%"],
        ),
        (
            "*env*=100%_\\*",
            "l.key like $6 and l.value like $7",
            False,
            "",
            ["%env%", "100\\%\\_\\\\%"],
        ),
        (
            "*x=y,env=*",
            "l.key = $6 and true",
            False,
            f"and {OWN} own.key like $7 and own.value = $8)",
            ["env", "%x", "y"],
        ),
        ("cpu>=4", "l.key = $6 and l.number >= $7::text::numeric", False, "", ["cpu", "4"]),
    ],
)
def test_a_selector_becomes_a_selection(
    selector: str, indexed: str, ordered: bool, conditions: str, arguments: list[object]
) -> None:
    found = selection(terms(selector))
    assert " ".join(found.conditions.split()) == conditions
    assert (found.indexed, found.ordered, found.arguments) == (indexed, ordered, arguments)


def test_text_of_a_caller_is_an_argument_and_never_part_of_the_sql() -> None:
    hostile = "x'; drop table resources--"
    for op in ("=", "!="):
        for star in ("", "*"):
            found = selection([term(hostile + star, op, hostile)])
            assert "drop" not in found.indexed + found.conditions
            assert any("drop" in str(argument) for argument in found.arguments)


def test_no_terms_select_everything() -> None:
    assert selection([]) == Selection(arguments=[])
