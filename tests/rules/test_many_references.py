"""Resources that refer to very many others: the work grows with their number and no faster, counted
in steps, and the number is bounded."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Put
from secaplane.command.rules.decide import decide
from secaplane.command.rules.references import REFERENCES_MAX
from secaplane.kinds import KINDS
from secaplane.kinds.authorization.role import LINES_MAX, has_an_effect
from secaplane.kinds.patterns import is_pattern
from secaplane.kinds.references import number_of_references
from secaplane.model.errors import BROKEN_MAX, Invalid, Refusal
from secaplane.model.events import Created
from secaplane.model.shape import Json
from tests.scenario import given
from tests.steps import steps

Listed = Callable[[str, int], Json]
"""(beginning of the names, number) -> a spec with so many references."""


def rules_with_sources(name: str, number: int) -> Json:
    sources = [{"resource": f"instances/{name}{n}"} for n in range(number)]
    parts = [sources[n : n + 32] for n in range(0, number, 32)]
    return {"rules": [{"direction": "ingress", "sourceRef": part} for part in parts]}


def rules_with_addresses(name: str, number: int) -> Json:
    first = sum(map(ord, name)) % 200
    sources = [{"resource": f"10.{first}.{n // 256}.{n % 256}"} for n in range(number)]
    parts = [sources[n : n + 32] for n in range(0, number, 32)]
    return {"rules": [{"direction": "ingress", "sourceRef": part} for part in parts]}


def routes(name: str, number: int) -> Json:
    targets = [{"resource": f"instances/{name}{n}"} for n in range(number)]
    return {"routes": [{"destinationCidrBlock": "10.0.0.0/8", "targetRef": t} for t in targets]}


def members(name: str, number: int) -> Json:
    listed = [{"resource": f"nics/{name}{n}"} for n in range(number)]
    target = {"members": listed}
    frontends = [{"protocol": "tcp", "port": 80, "target": target}]
    return {"nicRef": {"resource": "nics/one"}, "frontends": frontends}


CASES: list[tuple[str, Listed]] = [
    ("security-group", rules_with_sources),
    ("security-group", rules_with_addresses),
    ("routing-table", routes),
    ("network-load-balancer", members),
]


@pytest.mark.parametrize(("kind", "listed"), CASES, ids=lambda each: getattr(each, "__name__", ""))
def test_the_work_of_an_update_grows_with_the_number_of_references(
    kind: str, listed: Listed
) -> None:
    def taken(number: int) -> int:
        context = given(kind, Created(spec=listed("old", number))).context

        def update() -> None:
            with suppress(Refusal):
                decide(context, Put(spec=listed(f"new{number}", number)))

        return steps(update)

    few, many = taken(128), taken(1024)
    assert many <= 8.5 * few


def test_more_references_than_the_limit_are_refused_with_their_number() -> None:
    bodies = BodyReader(region="eu-1")
    spec = rules_with_sources("i", REFERENCES_MAX)
    assert number_of_references("security-group", spec) == REFERENCES_MAX
    bodies.read(KINDS["security-group"], {"spec": spec})
    more = {"spec": rules_with_sources("i", REFERENCES_MAX + 1)}
    with pytest.raises(Invalid) as refused:
        bodies.read(KINDS["security-group"], more)
    assert f"holds {REFERENCES_MAX + 1} references" in refused.value.detail
    assert [each.pointer for each in refused.value.sources] == ["/spec"]


def test_a_refusal_lists_the_first_of_very_many_broken_rules() -> None:
    missing = members("absent", 1000)
    refusal = given("network-load-balancer").when(Put(spec=missing)).then_refused(Invalid)
    assert len(refusal.sources) == BROKEN_MAX
    assert refusal.detail.endswith(f"and {1001 - BROKEN_MAX} more")


def test_a_role_over_its_limit_is_refused_without_reading_its_patterns() -> None:
    def taken(*patterns: str) -> int:
        permission = {"provider": "secaplane.audit", "resources": patterns, "verb": ["get"]}
        spec = {"permissions": [permission] * 256}
        return steps(lambda: list(has_an_effect(spec)))

    over = ["history/subnets/*"] * 256
    assert taken(*over) <= 10_000
    assert len(over) * 256 > LINES_MAX


def test_a_pattern_of_the_history_is_compared_with_the_providers_of_its_collection_alone() -> None:
    assert is_pattern("secaplane.audit", "history/subnets/*")
    assert is_pattern("secaplane.audit", "history/*")
    assert not is_pattern("secaplane.audit", "history/nonsense/*")
    assert steps(lambda: is_pattern("secaplane.audit", "history/networks/n/subnets/s")) <= 150
    assert steps(lambda: is_pattern("secaplane.audit", "history/a/b/c/d")) <= 60
