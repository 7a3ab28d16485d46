"""Label selectors: their grammar, and the SQL conditions that they become."""

import time

import pytest

from secaplane.model.errors import Malformed
from secaplane.query.selectors import (
    PATTERNS_MAX,
    SELECTOR_LENGTH_MAX,
    TERMS_MAX,
    Term,
    selection,
    terms,
)
from secaplane.readmodel.selection import Selection


@pytest.mark.parametrize(
    ("selector", "read"),
    [
        ("env=prod", [Term("env", "=", "prod")]),
        ("env!=prod", [Term("env", "!=", "prod")]),
        ("a=1,b=2", [Term("a", "=", "1"), Term("b", "=", "2")]),
        (" env = prod , b != c ", [Term("env", "=", "prod"), Term("b", "!=", "c")]),
        ("cpu>4,cpu<=8", [Term("cpu", ">", "4"), Term("cpu", "<=", "8")]),
        ("cpu>=-1.5,cpu<+2", [Term("cpu", ">=", "-1.5"), Term("cpu", "<", "+2")]),
        ("*env*=*prod*", [Term("*env*", "=", "*prod*")]),
        ("*=*", [Term("*", "=", "*")]),
        ("billing:team=a", [Term("billing:team", "=", "a")]),
        ("seca.cloud/x_y-z=1", [Term("seca.cloud/x_y-z", "=", "1")]),
        ("env=", [Term("env", "=", "")]),
        ("env!=", [Term("env", "!=", "")]),
        ("motto=two words", [Term("motto", "=", "two words")]),
        ("größe=ganz groß", [Term("größe", "=", "ganz groß")]),
        ("q='; drop table resources--", [Term("q", "=", "'; drop table resources--")]),
    ],
)
def test_a_selector_is_read_term_by_term(selector: str, read: list[Term]) -> None:
    assert terms(selector) == read


@pytest.mark.parametrize(
    ("selector", "term"),
    [
        ("", 1),
        ("env", 1),
        ("=prod", 1),
        ("env==prod", 1),
        ("env=>1", 1),
        ("a=b=c", 1),
        ("a!b", 1),
        ("two words=x", 1),
        ("a=1,", 2),
        ("a=1,,b=2", 2),
        ("a=1, ,b=2", 2),
        ("env in (prod)", 1),
        ("cpu>four", 1),
        ("a=1,cpu<", 2),
        ("cpu>1e3", 1),
        ("cpu>*", 1),
        ("cpu>0x10", 1),
        ("cpu>٤", 1),
        ("cpu>" + "9" * 65, 1),
    ],
)
def test_a_malformed_selector_is_refused_and_says_where(selector: str, term: int) -> None:
    with pytest.raises(Malformed, match=f"term {term},") as raised:
        terms(selector)
    assert [source.parameter for source in raised.value.sources] == ["labels"]


@pytest.mark.parametrize(
    "selector",
    ["a=\0", "a=" + "b" * SELECTOR_LENGTH_MAX, ",".join(["a=b"] * (TERMS_MAX + 1))],
)
def test_a_selector_has_its_limits(selector: str) -> None:
    with pytest.raises(Malformed):
        terms(selector)


def test_the_longest_selectors_are_read() -> None:
    assert len(terms(",".join(["a=b"] * TERMS_MAX))) == TERMS_MAX
    assert len(terms("a=" + "b" * (SELECTOR_LENGTH_MAX - 2))) == 1


def test_a_selector_that_scans_has_few_patterns() -> None:
    scanning = ",".join([f"a{n}=x*" for n in range(PATTERNS_MAX)])
    assert selection(terms(scanning)).scans
    for more in ("b=*", "*=b", "b!=x*"):
        with pytest.raises(Malformed, match=f"at most {PATTERNS_MAX} terms take"):
            terms(f"{scanning},{more}")
        assert len(terms(f"{scanning},{more},env=prod")) == PATTERNS_MAX + 2
        assert len(terms(f"{scanning},env!=prod,cpu>1")) == PATTERNS_MAX + 2


def test_a_list_in_the_order_of_an_index_does_not_scan() -> None:
    assert not selection([]).scans
    assert not selection(terms("env=prod")).scans
    for selector in ("env=prod,tier=1", "env!=prod", "env=p*", "cpu>1"):
        assert selection(terms(selector)).scans


@pytest.mark.parametrize(
    "selector",
    ["a=" + " " * 4000 + "=", " " * 4000 + "=", "a" * 2000 + " " * 2000 + "!", "a>" + "1" * 4000],
)
def test_a_selector_made_to_be_slow_is_refused_at_once(selector: str) -> None:
    began = time.perf_counter()
    with pytest.raises(Malformed):
        terms(selector)
    assert time.perf_counter() - began < 0.1


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
            found = selection([Term(hostile + star, op, hostile)])
            assert "drop" not in found.indexed + found.conditions
            assert any("drop" in str(argument) for argument in found.arguments)


def test_no_terms_select_everything() -> None:
    assert selection([]) == Selection(arguments=[])
