"""A page of a list ends early by bytes, with at least one item; the next page goes on after it."""

from itertools import count

import pytest

from secaplane.model.events import Created
from secaplane.query import builtin, selectors
from secaplane.readmodel import questions
from secaplane.readmodel.questions import resources
from secaplane.readmodel.questions.resources import Row
from secaplane.readmodel.selection import ALL_RESOURCES
from tests.flows.client import VOLUME, Client
from tests.flows.client import at as url
from tests.flows.rows_by_hand import Rows, at, rows_in
from tests.flows.simulated_site import SMALL

NAMES = [f"v{n}" for n in range(6)]
SIZES = [2000, 10, 10, 5000, 10, 10]
_positions = count(1)


async def listed(
    made: Rows, workspace: str, *, limit: int = 100, selector: str = ""
) -> list[list[str]]:
    """The names of every page."""
    collection = at("block-storage", "-", workspace=workspace).collection
    selection = selectors.selection(selectors.terms(selector)) if selector else ALL_RESOURCES
    pages, after = list[list[str]](), ("", 0)
    while True:
        rows = await questions.page(
            made.pool,
            "block-storage",
            collection,
            after=after,
            limit=limit + 1,
            deleted=False,
            selection=selection,
        )
        shown = [row for row in rows[:limit] if row.document is not None]
        pages.append([row.name for row in shown])
        if len(rows) == len(shown):
            return pages
        after = (shown[-1].name, shown[-1].life)


async def test_every_item_is_on_one_page_whatever_the_bytes_allow(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rows_in(database_url, _positions) as made:
        for name, size in zip(NAMES, SIZES, strict=True):
            note = {"a": "x" * min(size, 1000), "b": "x" * max(0, size - 1000)}
            event = Created(spec=SMALL, labels={"all": "1"}, annotations=note)
            await made.take((at("block-storage", name, workspace="bytes"), event))
        for selector in ("", "all=1", "all=*"):
            for bytes_max, pages in (
                (10**6, [NAMES]),
                (1, [[name] for name in NAMES]),
                (4000, [NAMES[:3], [NAMES[3]], NAMES[4:]]),
            ):
                monkeypatch.setattr(resources, "PAGE_BYTES_MAX", bytes_max)
                found = await listed(made, "bytes", selector=selector)
                assert [name for page in found for name in page] == NAMES
                assert len(found) == len(pages) or bytes_max == 4000
                assert all(found)
            assert await listed(made, "bytes", limit=2, selector=selector)


async def test_a_list_over_http_goes_on_where_the_bytes_ended(
    client: Client, workspace: str
) -> None:
    await client.put(url("workspace", workspace), {})
    large = VOLUME | {"annotations": {f"k{n}": "x" * 1024 for n in range(64)}}
    names = [f"large-{n:02}" for n in range(70)]  # 66 KB each, 4.6 MB together
    for name in names:
        made = await client.put(url("block-storage", name, workspace=workspace), large)
        assert made.status == 201
    collection = url("block-storage", workspace=workspace)
    first = await client.get(collection)
    assert 4 * 1024 * 1024 < len(first.body) < 4.2 * 1024 * 1024
    token = first.json["metadata"]["skipToken"]
    second = await client.get(f"{collection}?skipToken={token}")
    assert first.names + second.names == names
    assert "skipToken" not in second.json["metadata"]


def test_builtin_resources_after_the_end_of_a_page_are_on_the_next_one() -> None:
    found = [Row("{}", "a", 1), Row(None, "m", 2)]
    builtins = [Row("{}", name, 0) for name in ("b", "n")]
    page = builtin.page(found, builtins, after=("", 0), limit=10)
    assert [(row.name, row.document) for row in page] == [("a", "{}"), ("b", "{}"), ("m", None)]
    rest = builtin.page([Row("{}", "m", 2)], builtins, after=("b", 0), limit=10)
    assert [row.name for row in rest] == ["m", "n"]
