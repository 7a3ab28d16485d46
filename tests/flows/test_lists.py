"""Collections: pages without gap or repeat, label selectors, and deleted resources."""

import re

import pytest

from secaplane.model.shape import Json
from tests.flows.client import SKU, VOLUME, Answer, Client, at

NAMES = ["a", "a-b", "a.b", "ab", "b1", "b10", "b2"]
ONLY, TRUE = "application/json; deleted=only", "application/json; deleted=true"
MADE: dict[str, dict[str, str]] = {
    "prod-1": {"env": "prod", "tier": "1", "billing:team": "red"},
    "prod-2": {"env": "prod", "tier": "20"},
    "test": {"env": "test", "tier": "gold"},
    "odd": {"e_v": "p%", "size": "-1.5"},
    "plain": {},
}


@pytest.fixture
async def volumes(client: Client, workspace: str) -> str:
    """The URL path of an empty collection."""
    await client.put(at("workspace", workspace), {"spec": {}})
    return at("block-storage", workspace=workspace)


def labelled(labels: dict[str, str]) -> Json:
    return {"labels": labels, "spec": {"sizeGB": 1, "skuRef": SKU}}


async def pages(client: Client, collection: str, query: str = "", **headers: str) -> list[Answer]:
    """All pages of one item each."""
    answers = [await client.get(f"{collection}?limit=1{query}", **headers)]
    while "skipToken" in answers[-1].json["metadata"]:
        token = answers[-1].json["metadata"]["skipToken"]
        assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
        following = f"{collection}?limit=1&skipToken={token}{query}"
        answers.append(await client.get(following, **headers))
        assert len(answers) <= len(NAMES), "the pages do not end"
    return answers


async def test_pages_have_no_gap_and_no_repeat(client: Client, volumes: str) -> None:
    for name in reversed(NAMES):
        await client.put(f"{volumes}/{name}", VOLUME)
    whole = await client.get(volumes)
    assert whole.names == NAMES
    assert whole.json["metadata"] == {
        "provider": "seca.storage/v1",
        "resource": "block-storages",
        "verb": "GET",
    }
    single = await pages(client, volumes)
    assert [page.names for page in single] == [[name] for name in NAMES]
    exact = await client.get(f"{volumes}?limit={len(NAMES)}")
    assert "skipToken" not in exact.json["metadata"]


async def test_a_page_may_be_larger_than_the_one_before(client: Client, volumes: str) -> None:
    for name in NAMES:
        await client.put(f"{volumes}/{name}", VOLUME)
    token = (await client.get(f"{volumes}?limit=2")).json["metadata"]["skipToken"]
    rest = await client.get(f"{volumes}?skipToken={token}")
    assert rest.names == NAMES[2:]
    await client.put(f"{volumes}/aa", VOLUME)
    await client.put(f"{volumes}/a-a", VOLUME)
    after = await client.get(f"{volumes}?skipToken={token}")
    assert after.names == ["a.b", "aa", *NAMES[3:]]


async def test_label_selectors_apply_before_paging(client: Client, volumes: str) -> None:
    for number, name in enumerate(NAMES):
        await client.put(f"{volumes}/{name}", labelled({"odd": str(number % 2)}))
    found = await pages(client, volumes, "&labels=odd%3D1")
    assert [page.names for page in found] == [["a-b"], ["ab"], ["b10"]]


async def test_a_skip_token_is_valid_only_for_its_own_list(client: Client, volumes: str) -> None:
    for name in NAMES[:3]:
        await client.put(f"{volumes}/{name}", VOLUME)
    token = (await client.get(f"{volumes}?limit=1")).json["metadata"]["skipToken"]
    elsewhere = at("block-storage", workspace="another")
    for path, accept in (
        (f"{elsewhere}?skipToken={token}", "application/json"),
        (f"{volumes}?skipToken={token}&labels=env%3Ddemo", "application/json"),
        (f"{volumes}?skipToken={token}", ONLY),
        (f"{volumes}?skipToken={token}", TRUE),
        (f"{volumes}?skipToken={token[:-2]}", "application/json"),
        (f"{volumes}?skipToken=A{token}", "application/json"),
    ):
        refused = await client.get(path, Accept=accept)
        assert refused.status == 400, path
        assert refused.json["sources"] == [{"pointer": "", "parameter": "skipToken"}]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("env=prod", ["prod-1", "prod-2"]),
        ("env=prod,tier=1", ["prod-1"]),
        ("env!=prod", ["odd", "plain", "test"]),
        ("env=pr*", ["prod-1", "prod-2"]),
        ("env=*", ["prod-1", "prod-2", "test"]),
        ("env!=*o*", ["odd", "plain", "test"]),
        ("*e*=*o*", ["prod-1", "prod-2", "test"]),
        ("billing:team=red", ["prod-1"]),
        ("e_v=p%", ["odd"]),
        ("e_v=p*", ["odd"]),
        ("tier>1", ["prod-2"]),
        ("tier>=1", ["prod-1", "prod-2"]),
        ("tier<20", ["prod-1"]),
        ("tier<=20.0", ["prod-1", "prod-2"]),
        ("size<0", ["odd"]),
        ("env=", []),
        ("absent=x", []),
        ("", ["odd", "plain", "prod-1", "prod-2", "test"]),
    ],
)
async def test_a_label_selector_filters_a_list(
    client: Client, labelled_volumes: str, selector: str, names: list[str]
) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in selector.encode())
    answer = await client.get(f"{labelled_volumes}?labels={encoded}")
    assert (answer.status, answer.names) == (200, names)


@pytest.fixture
async def labelled_volumes(client: Client) -> str:
    """One collection for all selectors; created once."""
    await client.put(at("workspace", "selectors"), {"spec": {}})
    collection = at("block-storage", workspace="selectors")
    for name, labels in MADE.items():
        await client.put(f"{collection}/{name}", labelled(labels), **{"if-unmodified-since": "0"})
    return collection


async def test_deleted_resources_are_listed_on_request(client: Client, volumes: str) -> None:
    for name in ("gone", "kept"):
        await client.made(f"{volumes}/{name}", VOLUME)
    for _ in range(2):
        await client.delete(f"{volumes}/gone")
        await client.gone(f"{volumes}/gone")
        await client.put(f"{volumes}/gone", VOLUME)
    await client.active(f"{volumes}/gone")

    assert (await client.get(volumes)).names == ["gone", "kept"]
    only = await client.get(volumes, Accept=ONLY)
    assert only.names == ["gone", "gone"]
    assert all("deletedAt" in item["metadata"] for item in only.json["items"])
    assert {item["status"]["state"] for item in only.json["items"]} == {"deleting"}
    both = await client.get(volumes, Accept=TRUE)
    assert both.names == ["gone", "gone", "gone", "kept"]
    versions = [item["metadata"]["resourceVersion"] for item in both.json["items"][:3]]
    assert versions == sorted(set(versions))
    one_by_one = await pages(client, volumes, Accept=TRUE)
    assert [page.json["items"][0] for page in one_by_one] == both.json["items"]


async def test_a_list_in_a_missing_workspace_is_empty(client: Client) -> None:
    answer = await client.get(at("block-storage", workspace="nowhere"))
    assert (answer.status, answer.json["items"]) == (200, [])


async def test_an_unchanged_list_is_not_sent_again(client: Client, volumes: str) -> None:
    await client.made(f"{volumes}/a", VOLUME)
    etag = (await client.get(volumes)).headers["ETag"]
    assert (await client.get(volumes, If_None_Match=etag)).status == 304
    await client.made(f"{volumes}/b", VOLUME)
    assert (await client.get(volumes, If_None_Match=etag)).status == 200
