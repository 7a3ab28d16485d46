"""The SQL of label selectors finds the same resources as a plain matcher (property test)."""

import re
from decimal import Decimal
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secaplane.model.events import Created, Deleted, DeletionRequested
from secaplane.query import selectors
from secaplane.query.selectors import NUMBER, Pattern, Term, literal, pattern
from secaplane.readmodel import questions
from tests.flows.rows_by_hand import at, rows_in
from tests.flows.simulated_site import SMALL

LETTERS = "ab1.%_*\\é-"
_number, _positions = count(1), count(1)

keys = st.text("ab%_*\\é", min_size=1, max_size=3)
values = st.text(LETTERS, max_size=3) | st.integers(-20, 20).map(str) | st.just("1.50")
numbers = st.sampled_from(["-1.5", "0", "1", "+2", "10", "1.500"])
label_sets = st.lists(st.dictionaries(keys, values, max_size=3), min_size=1, max_size=8)


def wild(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts with a star before, after, around or between their parts."""
    star = st.sampled_from(["*", "{}*", "*{}", "*{}*", "{}*{}"])
    return st.builds(lambda shape, a, b: shape.format(a, b), star, texts, texts)


def patterns(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Pattern]:
    return st.builds(literal, texts) | st.builds(pattern, wild(texts))


terms = st.lists(
    st.builds(Term, patterns(keys), st.sampled_from(["=", "!="]), patterns(values))
    | st.builds(
        Term,
        st.builds(literal, keys),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.builds(literal, numbers),
    ),
    min_size=1,
    max_size=3,
)


def matches(term: Term, labels: dict[str, str]) -> bool:
    """The semantics of the standard in plain Python."""
    if term.op in ("=", "!="):
        matched = any(like(term.key, key) and like(term.value, labels[key]) for key in labels)
        return matched is (term.op == "=")
    (key,), (number,) = term.key.parts, term.value.parts
    value = labels.get(key)
    if value is None or not NUMBER.fullmatch(value):
        return False
    left, right = Decimal(value), Decimal(number)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[term.op]


def like(searched: Pattern, text: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, searched.parts)), text, re.DOTALL))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(label_sets, terms)
async def test_sql_finds_what_a_plain_matcher_finds(
    database_url: str, labels: list[dict[str, str]], chosen: list[Term]
) -> None:
    workspace = f"w{next(_number)}"
    refs = [at("block-storage", f"v{n}", workspace=workspace) for n in range(len(labels))]
    expected = {
        ref.name
        for ref, own in zip(refs, labels, strict=True)
        if all(matches(term, own) for term in chosen)
    }
    async with rows_in(database_url, _positions) as made:
        await made.take((at("workspace", workspace), Created(spec={})))
        for ref, own in zip(refs, labels, strict=True):
            await made.take((ref, Created(spec=SMALL, labels=own)))
        await made.take((refs[0], DeletionRequested()), (refs[0], Deleted()))
        for deleted in (False, True, None):
            candidates = {None: refs, True: refs[:1], False: refs[1:]}[deleted]
            found = await questions.page(
                made.pool,
                refs[0].kind,
                refs[0].collection,
                after=("", 0),
                limit=100,
                deleted=deleted,
                selection=selectors.selection(chosen),
            )
            assert [row.name for row in found] == [r.name for r in candidates if r.name in expected]
