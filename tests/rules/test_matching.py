"""Label selectors on labels at hand mean what they mean in the query of a list."""

import pytest

from secaplane.query.matching import matches
from secaplane.query.selectors import terms

LABELS = {"env": "prod", "size": "10", "a,b": "x=y", "path": "one/two/one"}


@pytest.mark.parametrize(
    "selector",
    [
        *("env=prod", "env!=dev", "other!=prod", "env=p*", "e*=prod", "*=*", "env=*od", "env=p*d"),
        *("size>9", "size>=10", "size<10.5", "size<=+10", '"a,b"="x=y"', "env=prod,size=10"),
        *("path=one*one", "path=*two*", "path=one*two*one", "env!=d*", "size=10"),
    ],
)
def test_a_selector_that_matches(selector: str) -> None:
    assert matches(terms(selector), LABELS)


@pytest.mark.parametrize(
    "selector",
    [
        *(
            "env=dev",
            "env!=prod",
            "other=prod",
            "env=d*",
            "env!=p*",
            "env=prod*d",
            "path=one*one*one*",
        ),
        *(
            "size>10",
            "size<10",
            "env>1",
            "other<5",
            "env=prod,size=9",
            "path=one*three*one",
            '"*"=prod',
        ),
    ],
)
def test_a_selector_that_does_not(selector: str) -> None:
    assert not matches(terms(selector), LABELS)


def test_a_pattern_with_many_stars_costs_no_backtracking() -> None:
    assert not matches(terms("k=*a*a*a*a*a*a*a*b"), {"k": "a" * 63})
