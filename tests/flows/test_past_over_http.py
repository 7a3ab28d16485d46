"""A running control plane answers with `asOf`, by name and in lists, what a fold of its log from
the beginning says: also after resources and their workspace were deleted and made again."""

import random
from collections.abc import Sequence

import msgspec

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.events import RecordedEvent
from secaplane.model.position import Position
from secaplane.model.shape import Json
from secaplane.query.history.points import AsOf
from tests.flows.client import INSTANCE, SKU, Answer, Client, at
from tests.flows.past_scene import Folded, folded, recorded

QUESTIONS = 200
KIND, NAMES = ("block-storage", "instance", "public-ip"), ("disk", "one", "ip")
SECRET = "Wq7-never-in-an-answer-of-then-Zp3"


def body(luck: random.Random, kind: str) -> Json:
    labels = {"labels": {"env": luck.choice(("dev", "prod"))}} if luck.random() < 0.7 else {}
    if kind == "block-storage":
        return labels | {"spec": {"sizeGB": luck.randint(10, 30), "skuRef": SKU}}
    if kind == "instance":
        return labels | {"spec": INSTANCE["spec"] | {"userData": f"{SECRET}{luck.randint(1, 3)}"}}
    return labels | {"spec": {"version": "IPv4"}}


async def written(client: Client, luck: random.Random, workspace: str, number: int) -> None:
    """Random writes; some are refused, because what they need is not there, or is in use."""
    await client.put(at("workspace", workspace), {})
    for kind, name in (("block-storage", "disk"), ("instance", "one"), ("public-ip", "ip")):
        answer = await client.put(at(kind, name, workspace=workspace), body(luck, kind))
        assert answer.status == 201, answer
    for _ in range(number):
        kind = luck.choice(KIND)
        address = at(kind, luck.choice(NAMES), workspace=workspace)
        if luck.random() < 0.25:
            await client.delete(address)
        else:
            await client.put(address, body(luck, kind))
        if luck.random() < 0.4:
            await client.until(address, lambda answer: answer.status == 404 or settled(answer))


def settled(answer: Answer) -> bool:
    return answer.status == 200 and answer.state in ("active", "error")


async def emptied(client: Client, workspace: str) -> None:
    for kind in ("instance", "block-storage", "public-ip"):
        for name in NAMES:
            address = at(kind, name, workspace=workspace)
            await client.delete(address)
            await client.gone(address)
    await client.delete(at("workspace", workspace))
    await client.gone(at("workspace", workspace))


def plain(value: object) -> object:
    return msgspec.json.decode(encode(value))


async def test_every_answer_of_then_is_that_of_a_fold_from_the_beginning(
    client: Client, log: JetStreamLog, workspace: str
) -> None:
    luck = random.Random(7)
    await written(client, luck, workspace, 10)
    former = str((await recorded(log, "demo", workspace))[-1].position)
    await emptied(client, workspace)
    await written(client, luck, workspace, 40)
    for kind, name in ((kind, name) for kind in KIND for name in NAMES):
        address = at(kind, name, workspace=workspace)
        await client.until(address, lambda answer: answer.status == 404 or settled(answer))
    for kind in KIND:
        address = at(kind, workspace=workspace)
        assert (await client.get(f"{address}?asOf={former}")).json["items"] == []
    past = PastOfPlane(await recorded(log, "demo", workspace))
    shown = list[Json]()
    for _ in range(QUESTIONS):
        shown += await past.asked(client, luck)
    assert len(shown) > QUESTIONS // 2
    assert any("attachedTo" in each["status"] for each in shown)
    assert any("resourceCount" in each["status"] for each in shown)


class PastOfPlane:
    """The events of a workspace, and questions about them."""

    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self._events, self._now = events, folded(events)
        self._refs = sorted(each for each in self._now if each.kind != "tenant")

    async def asked(self, client: Client, luck: random.Random) -> Sequence[Json]:
        """One resource and its collection as of one moment; every resource that was shown."""
        chosen, ref = luck.choice(self._events), luck.choice(self._refs)
        moment: AsOf = chosen.position if luck.random() < 0.5 else chosen.time
        text = str(moment) if isinstance(moment, Position) else msgspec.to_builtins(moment)
        then, kind = Folded(self._events, moment, self._now), KINDS[ref.kind]
        collection = kind.url.format_map(kind.ids(ref.path))
        answer = await client.get(f"{collection}/{ref.name}?asOf={text}")
        expected = then.answer(ref)
        assert answer.status == (404 if expected is None else 200), (answer, ref, text)
        assert SECRET.encode() not in answer.body
        shown = [] if expected is None else [answer.json]
        assert shown == plain([expected] if expected else []), (ref, text)
        if ref.kind == "workspace":  # other tests have workspaces, too
            return shown
        labels = luck.choice(("", "env=dev", "env!=dev", "env=p*"))
        own = [
            one for one in self._refs if (one.kind, one.collection) == (ref.kind, ref.collection)
        ]
        items = [item for one in own if (item := then.listed(one, labels))]
        limit = luck.choice(("&limit=1", ""))
        listed = await pages(client, f"{collection}?asOf={text}&labels={labels}{limit}")
        assert listed == plain(items), (ref, text, labels)
        return [*shown, *listed]


async def pages(client: Client, address: str) -> Sequence[Json]:
    items, token = list[Json](), ""
    while True:
        answer = await client.get(address + (f"&skipToken={token}" if token else ""))
        assert answer.status == 200, answer
        assert SECRET.encode() not in answer.body
        items += answer.json["items"]
        token = answer.json["metadata"].get("skipToken", "")
        if not token:
            return items
