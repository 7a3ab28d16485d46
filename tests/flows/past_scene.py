"""A log of random lives, projected into a history, and the answers of then by a fold from zero."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from msgspec.structs import replace

from secaplane.cli.processes.shown_actors import erased, shown_actor
from secaplane.eventlog.event_seals import ClearEvents
from secaplane.eventlog.log import Log
from secaplane.eventlog.memory import MemoryLog
from secaplane.kinds import KINDS, children, parents
from secaplane.kinds.references import targets_of
from secaplane.model.desired import with_secrets_hidden
from secaplane.model.document import document
from secaplane.model.events import (
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.query.history.points import AsOf
from secaplane.query.history.read import HistoryDependencies
from secaplane.readmodel.history_share import HistoryShare
from tests.flows.read_models import ReadModels
from tests.log.new_events import NOON, REGION, new_event

IDS = {"tenant": "acme", "workspace": "web", "network": "net"}
ACME, WEB = KINDS["tenant"].ref({}, "acme"), KINDS["workspace"].ref(IDS, "web")
OTHER = KINDS["workspace"].ref(IDS, "other")
INSIDE = ("instance", "block-storage", "nic", "public-ip", "internet-gateway")
PAGE_KEY = b"k" * 32


def inside(kind: str) -> list[Ref]:
    return [
        KINDS[kind].ref(IDS | {"workspace": workspace.name}, name)
        for workspace in (WEB, OTHER)
        for name in ("one", "two")
    ]


ADDRESSES = [ACME, WEB, OTHER, *(ref for kind in INSIDE for ref in inside(kind))]


class PastScene:
    """Appends events and knows what each resource was after each of them."""

    def __init__(self, log: MemoryLog, models: ReadModels) -> None:
        self.log, self.models = log, models
        self.events: list[RecordedEvent] = []
        self.now: dict[Ref, Resource] = {}
        self._lives = count(1)

    def living(self, ref: Ref) -> Resource | None:
        found = self.now.get(ref)
        return None if found is None or found.gone else found

    async def append(self, ref: Ref, event: AnyEvent) -> Resource:
        former = self.now.get(ref)
        begins = isinstance(event, Created)
        uid = f"u{next(self._lives)}" if begins or former is None else former.uid
        previous = former.position if former else BEGINNING
        tenant = self.now.get(KINDS["tenant"].ref({}, ref.scope("tenants")))
        made = replace(
            new_event(ref, event, uid=uid, previous=previous, request=f"r{len(self.events)}"),
            tenant=uid if ref.kind == "tenant" else tenant.uid if tenant else "",
            time=NOON + timedelta(seconds=len(self.events)),
        )
        recorded = await self.log.append(made)
        self.events.append(recorded)
        self.now[ref] = evolve(former, recorded)
        return self.now[ref]

    async def create(self, *refs: Ref, spec: Json | None = None) -> None:
        for ref in refs:
            await self.append(ref, Created(spec=spec or {"sizeGB": 1}))

    async def end(self, *refs: Ref) -> None:
        for ref in refs:
            await self.append(ref, DeletionRequested())
            await self.append(ref, Deleted())

    async def happen(self, luck: random.Random, number: int) -> None:
        """That many random events, each of which `decide` could have made."""
        while len(self.events) < number:
            ref = luck.choice(ADDRESSES)
            event = self._random_event(luck, ref)
            if event is not None:
                await self.append(ref, event)

    def _random_event(self, luck: random.Random, ref: Ref) -> AnyEvent | None:
        present = self.living(ref)
        if present is None:
            above = [self.living(each) for each in parents(ref)]
            going = any(each is None or each.terminating for each in above)
            return None if going else Created(spec=_spec(luck, ref), labels=_labels(luck))
        contains = any(not each.gone and ref in parents(each.ref) for each in self.now.values())
        if present.terminating:
            return None if contains else Deleted()
        likes = luck.random()
        if likes < 0.5:
            return Updated(spec=_spec(luck, ref), labels=_labels(luck))
        if likes < 0.8:
            state = luck.choice((State.ACTIVE, State.ERROR))
            return StatusReported(state=state, observed_position=present.last_intent)
        seldom = ref.kind in ("tenant", "workspace") and luck.random() < 0.8
        return None if contains or seldom else DeletionRequested()

    async def project(self) -> None:
        for each in self.models.projectors(self.log):
            await each.begin()
            own = [one for one in self.events if one.position.stream == each.stream.name]
            await each.project([one for one in own if each.position < one.position])
            found = await each.pool.fetch("select * from quarantine")
            assert not found, found

    def dependencies(self) -> HistoryDependencies:
        ends = dict[str, Position]()
        for each in self.events:
            ends[each.position.stream] = each.position

        async def newest(_named: Sequence[Position]) -> Sequence[Position]:
            return [*ends.values()]

        return HistoryDependencies(
            share=HistoryShare(lambda: self.models.history),
            stream=self.log.streams.of,
            streams=self.log.streams.names,
            newest=newest,
            page_keys=[PAGE_KEY],
            region=REGION,
            clock=lambda: NOON + timedelta(days=1),
            open_actor=partial(shown_actor, ClearEvents()),
            erased=partial(erased, ClearEvents()),
        )


def _spec(luck: random.Random, ref: Ref) -> Json:
    spec: Json = {"sizeGB": luck.randint(1, 9)}
    if ref.kind == "instance":
        spec = {"bootVolume": {"deviceRef": _reference(luck, "block-storages")}}
        spec |= {"primaryNicRef": _reference(luck, "nics")} if luck.random() < 0.7 else {}
        spec |= {"userData": f"sealed:k1:d{luck.randint(1, 3)}:{luck.random()}"}
    if ref.kind == "nic" and luck.random() < 0.8:
        spec |= {"publicIpRefs": [_reference(luck, "public-ips")]}
    return spec


def _reference(luck: random.Random, collection: str) -> Json:
    return {"resource": f"{collection}/{luck.choice(('one', 'two'))}"}


def _labels(luck: random.Random) -> dict[str, str]:
    return {"env": luck.choice(("dev", "prod"))} if luck.random() < 0.7 else {}


# --- the answers of then


async def recorded(log: Log, tenant: str, workspace: str) -> Sequence[RecordedEvent]:
    """The events of a tenant, a workspace and all in it, from the beginning of a log of one
    stream."""
    (stream,) = log.streams.names
    end, events = await log.end(stream), list[RecordedEvent]()
    above = KINDS["tenant"].ref({}, tenant)
    place = KINDS["workspace"].ref({"tenant": tenant}, workspace)
    async for batch in log.follow(stream, after=BEGINNING):
        for each in batch:
            inside = each.ref in (above, place) or each.ref.path.startswith(f"{place.path}/")
            if inside and isinstance(each, RecordedEvent):
                events.append(each)
        if batch and batch[-1].position >= end:
            return events
    raise AssertionError("a follower of a stream has no end")


def folded(events: Iterable[RecordedEvent]) -> dict[Ref, Resource]:
    """Every resource after some events."""
    found = dict[Ref, Resource]()
    for each in events:
        found[each.ref] = evolve(found.get(each.ref), each)
    return found


class Folded:
    """Every resource as of then, by a fold of the log from its beginning."""

    def __init__(self, events: Iterable[RecordedEvent], as_of: AsOf, now: dict[Ref, Resource]):
        self._now = now
        self.then = folded(each for each in events if _is_by(each, as_of))

    def listed(self, ref: Ref, labels: str) -> Json | None:
        """The item of a list, without what was being deleted."""
        shown, resource = self.answer(ref), self.then.get(ref)
        if shown is None or resource is None or resource.terminating:
            return None
        env = (resource.labels or {}).get("env")
        chosen = {"": True, "env=dev": env == "dev", "env!=dev": env != "dev"}
        return shown if chosen.get(labels, env == "prod") else None

    def answer(self, ref: Ref) -> Json | None:
        """None where a GET is 404."""
        resource = self.then.get(ref)
        if resource is None or resource.gone or not self._is_shown(resource):
            return None
        kind = KINDS[ref.kind]
        shown = document(kind, with_secrets_hidden(kind, resource), region=REGION)
        if kind.derived.resource_count:
            below = {each.name for each in children(kind)}
            shown["status"]["resourceCount"] = sum(
                1
                for each in self._living()
                if each.ref.kind in below and each.ref.path.startswith(f"{ref.path}/")
            )
        if kind.derived.attached_to and (path := self._attached(ref)):
            steps = path.split("/")
            shown["status"]["attachedTo"] = {
                "resource": "/".join(steps[4:]),
                "provider": "seca.compute/v1",
                "tenant": steps[1],
                "workspace": steps[3],
            }
        return shown

    def _is_shown(self, resource: Resource) -> bool:
        """True for the newest life of its name, if it began in the present lives around it."""
        newest = self._now[resource.ref]
        if newest.uid != resource.uid:
            return False
        for each in parents(resource.ref):
            parent = self._now[each]
            outer = parent.gone or (each.kind == "tenant" and parent.uid != newest.tenant)
            if outer or (each.kind != "tenant" and parent.life > newest.life):
                return False
        return True

    def _living(self) -> Sequence[Resource]:
        return [each for each in self.then.values() if not each.gone]

    def _attached(self, ref: Ref) -> str | None:
        users = {ref} | {
            each.ref
            for each in self._living()
            if each.ref.kind == "nic" and ref in targets_of(each.ref, each.spec)
        }
        instances = [
            each
            for each in self._living()
            if each.ref.kind == "instance"
            and each.ref.path.split("/")[:4] == ref.path.split("/")[:4]
            and users & targets_of(each.ref, each.spec)
        ]
        return min(instances, key=lambda each: each.life.sequence).ref.path if instances else None


def _is_by(event: RecordedEvent, as_of: AsOf) -> bool:
    if isinstance(as_of, Position):
        return event.position.stream == as_of.stream and event.position <= as_of
    return event.time <= as_of


def random_moment(luck: random.Random, scene: PastScene, stream: str) -> AsOf:
    own = [each for each in scene.events if each.position.stream == stream]
    chosen = luck.choice(own)
    if luck.random() < 0.5:
        return chosen.position
    later: datetime = chosen.time + timedelta(milliseconds=luck.choice((0, 500)))
    return later
