"""A resource pattern of a role that can match nothing is refused, and the refusal names the nearest
one that can; so is a verb that no request has."""

import pytest

from secaplane.command.rules.commands import Put
from secaplane.kinds import KINDS, patterns
from secaplane.kinds.patterns import is_pattern, nearest_pattern
from secaplane.model.errors import BrokenRule
from secaplane.model.events import Created
from secaplane.model.kind import Kind
from secaplane.model.shape import Json
from tests.scenario import IDS, given

STANDARD = [kind for kind in KINDS.values() if kind.provider.name.startswith("seca.")]


def broken(provider: str, pattern: str, *verbs: str) -> list[BrokenRule]:
    permission: Json = {"provider": provider, "resources": [pattern], "verb": verbs or ["get"]}
    check = KINDS["role"].rules.check
    assert check is not None
    return list(check({"permissions": [permission]}))


@pytest.mark.parametrize("kind", STANDARD, ids=lambda kind: kind.name)
def test_every_collection_of_a_provider_has_its_patterns(kind: Kind) -> None:
    nested = kind.resource(kind.collection.format_map(IDS))
    collection = nested.rpartition("/")[2]
    for path in (nested, collection):
        for pattern in (path, f"{path}/*", f"{path}/one", f"{path}/one.two-3"):
            assert is_pattern(kind.provider.name, pattern), pattern
            assert broken(kind.provider.full_name, pattern) == []
    for pattern in (f"{collection}/", f"/{collection}", f"{collection}/one/*/x", f"{collection}/-"):
        assert not is_pattern(kind.provider.name, pattern)
        assert is_pattern(kind.provider.name, nearest_pattern(kind.provider.name, pattern))


@pytest.mark.parametrize(
    ("provider", "pattern", "nearest"),
    [
        ("seca.compute", "instances/web-*", "instances/*"),
        ("seca.compute", "*/*", "*"),
        ("seca.compute", "**", "*"),
        ("seca.compute", "instance/*", "instances/*"),
        ("seca.compute", "INSTANCES/*", "instances/*"),
        ("seca.compute", "/instances/*", "instances/*"),
        ("seca.compute", "instances/", "instances/*"),
        ("seca.compute", "instances/One", "instances/*"),
        ("seca.compute", "workspaces/w/instances/*", "instances/*"),
        ("seca.compute", "workspaces/w/instances/one", "instances/one"),
        ("seca.compute", "instances/one/*", "instances/one"),
        ("seca.compute", "images/*", "instances/*"),
        ("seca.network", "networks/n/nics/x", "nics/x"),
        ("seca.network", "networks/n/subnet/s", "networks/n/subnets/s"),
        ("seca.network", "subnet/s", "subnets/s"),
        ("seca.network", "networks/*/subnets/s", "subnets/s"),
        ("seca.network", "networks/n/m", "networks/n"),
        ("seca.workspace", "workspaces/w/*", "workspaces/w"),
        ("seca.kubernetes", "clusters/c/node-pool/*", "clusters/c/node-pools/*"),
    ],
)
def test_any_other_pattern_is_refused_with_the_nearest_one(
    provider: str, pattern: str, nearest: str
) -> None:
    (rule,) = broken(provider, pattern)
    assert rule.pointer == "/spec/permissions/0/resources/0"
    assert rule.detail.endswith(f"the nearest pattern is {nearest}")
    assert is_pattern(provider, nearest)


@pytest.mark.parametrize("pattern", ["*", "networks/n/*", "networks/n", "skus/N10K", "subnets"])
def test_everything_below_a_parent_and_the_names_of_the_catalogue_are_patterns(
    pattern: str,
) -> None:
    assert broken("seca.network/v1", pattern) == []


@pytest.mark.parametrize("verb", ["get", "GET", "List", "put", "delete", "post", "post.Start", "*"])
def test_a_verb_of_the_standard_is_accepted_in_either_case(verb: str) -> None:
    assert broken("seca.compute", "instances/*", verb) == []


@pytest.mark.parametrize(
    ("verb", "advice"),
    [
        ("create", "most likely put"),
        ("UPDATE", "most likely put"),
        ("read", "most likely get"),
        ("start", "most likely post.<action>"),
        ("CONNECT", "use get, list, put (creates and updates)"),
        ("post.fly", "the actions are restart, start, stop"),
        ("post.", "the actions are restart, start, stop"),
        ("get.start", "is no verb"),
    ],
)
def test_any_other_verb_is_refused_in_words(verb: str, advice: str) -> None:
    (rule,) = broken("seca.compute", "instances/*", "get", verb)
    assert rule.pointer == "/spec/permissions/0/verb/1"
    assert advice in rule.detail


def test_the_parts_that_are_named_at_once_are_bounded() -> None:
    permission: Json = {"provider": "seca.compute", "resources": ["x/y"] * 256, "verb": ["get"]}
    check = KINDS["role"].rules.check
    assert check is not None
    assert len(list(check({"permissions": [permission] * 30}))) == 100


def test_a_role_for_one_collection_with_one_verb_is_created() -> None:
    spec: Json = {
        "permissions": [{"provider": "seca.storage/v1", "resources": ["images"], "verb": ["get"]}]
    }
    given("role").when(Put(spec=spec)).then(Created(spec=spec))


@pytest.mark.parametrize(
    "verb", ["", "patch", "get ", "get\n", "post.", "get.start", "post.1", "**"]
)
def test_a_role_takes_no_other_verb(verb: str) -> None:
    assert [rule.pointer for rule in broken("seca.compute", "*", "get", verb)] == [
        "/spec/permissions/0/verb/1"
    ]


def test_a_long_text_is_compared_in_its_first_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def none_close(step: str, *_: object) -> list[str]:
        compared.append(step)
        return ["subnets"] if len(_) == 3 and _[2] == 0.0 else []

    monkeypatch.setattr(patterns, "get_close_matches", none_close)
    assert nearest_pattern("seca.network", "tsbneu/" * 36) == "subnets/*"
    assert len(compared) <= patterns.STEPS_MAX + 1
