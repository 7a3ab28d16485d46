"""Quotas of a tenant: amounts, limits, and the two checks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import hypothesis
import msgspec
from hypothesis import strategies as st

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.quota_usage import quota_violation, reverting
from secaplane.command.rules.commands import Put, Revert
from secaplane.command.rules.quotas import (
    Change,
    QuotaUsage,
    QuotaViolation,
    amounts,
    excess,
    kinds_weighing_alike,
    limits,
    needs_recheck,
    refusal,
    unreturned,
)
from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.kinds.shares import QuotaShare, quota_share
from secaplane.model.errors import QuotaExceeded
from secaplane.model.events import Created, Deleted, DeletionRequested, RecordedEvent, Updated
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.projector.folding import fold
from secaplane.projector.projections.usage import Usage
from secaplane.readmodel.schema.resources import NEVER_ENDED
from secaplane.reconcilers.plan import Plan, RelatedResources, Step, plan
from tests.positions import nth
from tests.scenario import JANE, NOON, from_catalogue, given

SMALL = KINDS["instance-sku"].ref({"tenant": SHARED_TENANT}, "small")
SKUS = {SMALL: {"vCPU": 2, "ram": 8}}
ONE = QuotaShare("instance", "small", 1, 0)


def volume(size: int) -> Json:
    return {"sizeGB": size, "skuRef": {"resource": "skus/fast"}}


# --- amounts


def test_the_share_of_a_resource_is_read_from_its_spec() -> None:
    ref = KINDS["block-storage"].ref({"tenant": "t", "workspace": "w"}, "v")
    for said in ("skus/fast", "seca.storage/v1/tenants/seca/skus/fast", "fast"):
        spec = {"sizeGB": 7, "skuRef": {"resource": said}}
        assert quota_share(ref, spec) == QuotaShare("block-storage", "fast", 1, 7)
    assert quota_share(ref, {"sizeGB": 7, "skuRef": "fast"}).sku == "fast"
    address = KINDS["public-ip"].ref({"tenant": "t", "workspace": "w"}, "a")
    assert quota_share(address, {"version": "IPv4"}) == QuotaShare("public-ip", "", 1, 0)


def test_cores_and_memory_are_those_of_the_sku() -> None:
    found = amounts(
        [ONE, QuotaShare("instance", "small", 3, 0), QuotaShare("instance", "odd", 1, 0)], SKUS
    )
    assert found == {"instance": 5, "instance/small": 4, "instance/odd": 1, "cores": 8, "ramGB": 32}


def test_the_limits_of_a_kind_are_the_quotas_that_concern_it() -> None:
    quotas = {"cores": 4, "volumeGB": 9, "resources": {"instance": 1, "nic": 2, "instance/x": 0}}
    tenant: Json = {"administrators": ["a"], "quotas": quotas}
    assert limits(tenant, KINDS["instance"]) == {"cores": 4, "instance": 1, "instance/x": 0}
    assert limits(tenant, KINDS["block-storage"]) == {"volumeGB": 9}
    assert limits(tenant, KINDS["subnet"]) == {}
    assert limits({"administrators": ["a"]}, KINDS["instance"]) == {}


def test_every_writable_kind_of_a_tenant_is_counted_and_no_other() -> None:
    for kind in KINDS.values():
        inside = kind.collection.startswith("tenants/{tenant}/")
        assert kind.counted is (inside and kind.writable)
        assert sum(not weight.of_sku for weight in kind.quota) <= 1
        assert kind.sku is not None or not any(weight.of_sku for weight in kind.quota)
        assert kind.name in kinds_weighing_alike(kind.name)


# --- the check before the append


def usage_of(used: dict[str, int], **allowed: int) -> QuotaUsage:
    names = {"instances": "instance", "volumes": "block-storage"}
    return QuotaUsage({names.get(k, k): n for k, n in allowed.items()}, used, SKUS)


def putting(scene: given, quota: QuotaUsage | None, spec: Json) -> given:
    scene.context = msgspec.structs.replace(scene.context, quota=quota)
    return scene.with_targets(from_catalogue("storage-sku", "fast")).when(Put(spec=spec))


def test_a_put_within_the_quota_is_accepted_and_a_refusal_shows_how_much_is_left() -> None:
    spec = volume(40)
    quota = usage_of({"volumeGB": 60, "block-storage": 3}, volumeGB=100, volumes=4)
    putting(given("block-storage"), quota, spec).then(Created(spec=spec))
    full = usage_of({"volumeGB": 61, "block-storage": 4}, volumeGB=100, volumes=4)
    refused = putting(given("block-storage"), full, spec).then_refused(QuotaExceeded)
    assert "volumeGB: 61 of 100 used, 40 more requested, 39 left" in refused.detail
    assert "block-storage: 4 of 4 used, 1 more requested, 0 left" in refused.detail
    first = {"what": "volumeGB", "used": 61, "asked": 40, "limit": 100, "left": 39}
    assert refused.meta == {"quota": first}


def test_of_an_update_only_the_growth_counts() -> None:
    quota = usage_of({"volumeGB": 100, "block-storage": 9}, volumeGB=105, volumes=1)
    scene = given("block-storage", Created(spec=volume(10)))
    putting(scene, quota, volume(15)).then(Updated(spec=volume(15)))
    putting(scene, quota, volume(16)).then_refused(QuotaExceeded)
    much = usage_of({"volumeGB": 500, "block-storage": 9}, volumeGB=105, volumes=1)
    putting(scene, much, volume(10)).then(Updated(spec=volume(10)))


def test_an_exceeded_quota_has_nothing_left() -> None:
    (found,) = excess({"cores": 4}, {"cores": 9}, amounts([ONE], SKUS))
    assert (found.left, refusal([found]).meta["quota"]["left"]) == (0, 0)


# --- reverts


def test_a_revert_deletes_the_resource_or_restores_its_former_spec() -> None:
    scene = given("block-storage", Created(spec=volume(10)), Updated(spec=volume(20)))
    scene.when(Revert(expected=2)).then(DeletionRequested())
    back = Revert(to=Put(spec=volume(10)), expected=2)
    scene.when(back).then(Updated(spec=volume(10)))
    scene.when(Revert(expected=1)).then_nothing()
    scene.referred_to_by(SMALL).when(Revert(expected=2)).then(DeletionRequested())
    given("block-storage").when(Revert(expected=1)).then_nothing()
    terminating = given("block-storage", Created(spec=volume(10)), DeletionRequested())
    terminating.when(Revert(expected=2)).then_nothing()


def test_a_resource_over_quota_is_reverted_before_any_other_step() -> None:
    resource = given("block-storage", Created(spec=volume(10))).resource
    too_much = QuotaViolation(nth(1), QuotaExceeded("no"))
    around = RelatedResources(over=too_much, targets={SMALL: None})
    assert plan(resource, around) == Plan(Step.REVERT)


def test_an_update_without_growth_needs_no_second_check() -> None:
    settled = given("block-storage", Created(spec=volume(10))).resource
    seen = msgspec.structs.replace(
        settled, observed_position=settled.last_intent, state=State.ACTIVE
    )
    same = msgspec.structs.replace(seen, spec=dict(volume(10)))
    assert not needs_recheck(seen, same)
    assert needs_recheck(seen, msgspec.structs.replace(seen, spec=volume(11)))
    assert needs_recheck(settled, same)
    assert needs_recheck(None, settled)


def test_a_growth_that_was_reverted_does_not_count() -> None:
    def took(n: int, amount: int, number: int = 0, sku: str = "") -> tuple[Position, QuotaShare]:
        return nth(n), QuotaShare("x", sku, number, amount)

    life, first, second = took(1, 10, 1), took(2, 5), took(3, 7)
    assert unreturned([life, first, second, took(4, -7), took(5, -5)]) == [
        Change(nth(1), (life[1],))
    ]
    found = unreturned([life, first, second, took(4, -7)])
    assert [each.position for each in found] == [nth(1), nth(2)]
    moved = [took(2, 0, -1), took(2, 0, 1, "s")]
    back = [took(3, 0, -1, "s"), took(3, 0, 1)]
    assert [each.position for each in unreturned([life, *moved, *back])] == [nth(1)]
    assert [each.position for each in unreturned([life, *moved])] == [nth(1), nth(2)]


# --- the check after the append

TENANT = Ref("tenant", "tenants/t")
LIMIT = 30


@dataclass
class Ledger:
    """A log and its read model in memory: appends are not checked."""

    resources: dict[Ref, Resource] = field(default_factory=dict)
    history: list[RecordedEvent] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)

    def append(self, name: str, event: Any) -> Resource:
        ref = KINDS["block-storage"].ref({"tenant": "t", "workspace": "w"}, name)
        position, before = nth(len(self.history) + 1), self.resources.get(ref)
        recorded = RecordedEvent(
            ref=ref,
            uid="u",
            position=position,
            previous=before.position if before else BEGINNING,
            time=NOON,
            request="r",
            actor=JANE,
            event=event,
        )
        self.history.append(recorded)
        ended, came = Usage().rows(fold({ref: before} if before else {}, [recorded], "eu-1"))
        for *place, end in ended:
            for row in self.rows:
                if row[:4] == list(place) and row[-1] == NEVER_ENDED:
                    row[-1] = end
        self.rows += map(list, came)
        now = self.resources[ref] = evolve(before, recorded)
        return now

    def dependencies(self) -> CommandDependencies:
        return cast(CommandDependencies, SimpleNamespace(usage=self, log=self))

    async def read(self, ref: Ref, *, after: Position) -> list[RecordedEvent]:
        return [each for each in self.history if each.ref == ref and each.position > after]

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> list[QuotaShare]:
        when = NEVER_ENDED - 1 if at is None else at.sequence
        rows = [row for row in self.rows if row[4] <= when < row[-1]]
        return [QuotaShare(row[1], row[5], row[6], row[7]) for row in rows]

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> list[tuple[Position, QuotaShare]]:
        rows = [r for r in self.rows if r[3] == life.sequence and r[4] <= up_to.sequence]
        return [(nth(r[4]), QuotaShare(r[1], r[5], r[6], r[7])) for r in rows]

    async def specs(self, refs: Sequence[Ref], at: Position) -> dict[Ref, Json]:
        return {TENANT: {"quotas": {"volumeGB": LIMIT}}}


STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), min_size=1, max_size=60)


@hypothesis.given(steps=STEPS, late=st.randoms(use_true_random=False))
def test_in_every_order_of_events_the_accepted_resources_fit_the_quota(
    steps: list[tuple[int, int]], late: Any
) -> None:
    """Resources are created and grow at any time. Reconcilers are late; only resources that they
    accept are in the cloud; two checks of the same resource have the same result."""
    asyncio.run(_lived(steps, late))


async def _lived(steps: list[tuple[int, int]], late: Any) -> None:
    ledger, cloud = Ledger(), dict[str, int]()
    for number, size in steps:
        name = f"v{number}"
        here = next((r for ref, r in ledger.resources.items() if ref.name == name), None)
        if here is None or here.gone:
            ledger.append(name, Created(spec=volume(size)))
        elif here.deleted_at is None and size % 4:
            ledger.append(name, Updated(spec=volume(here.spec["sizeGB"] + size)))
        elif here.deleted_at is None:
            ledger.append(name, DeletionRequested())
        for resource in late.sample(sorted(ledger.resources.values(), key=lambda r: r.life), 1):
            await _reconciled(ledger, cloud, resource)
            assert sum(cloud.values()) <= LIMIT
    while unsettled := [
        r for r in ledger.resources.values() if r.observed_position < r.last_intent
    ]:
        await _reconciled(ledger, cloud, unsettled[0])
        assert sum(cloud.values()) <= LIMIT
    sizes = {r.ref.name: r.spec["sizeGB"] for r in ledger.resources.values() if not r.gone}
    assert sizes == cloud


async def _reconciled(ledger: Ledger, cloud: dict[str, int], resource: Resource) -> None:
    name = resource.ref.name
    if resource.gone or resource.observed_position >= resource.last_intent:
        return
    if resource.deleted_at:
        cloud.pop(name, None)
        now = ledger.append(name, Deleted())
        ledger.resources[resource.ref] = msgspec.structs.replace(
            now, observed_position=now.position
        )
        return
    found = await quota_violation(ledger.dependencies(), resource)
    assert (await quota_violation(ledger.dependencies(), resource) is None) is (found is None)
    if found is None:
        cloud[name] = resource.spec["sizeGB"]
        ledger.resources[resource.ref] = msgspec.structs.replace(
            resource, observed_position=resource.position
        )
        return
    command = await reverting(ledger.dependencies(), resource, found)
    former = Updated(spec=command.to.spec) if command.to else DeletionRequested()
    ledger.append(name, former)


def test_the_second_check_has_the_same_result_at_any_later_time() -> None:
    async def judged() -> None:
        ledger = Ledger()
        ledger.append("a", Created(spec=volume(LIMIT)))
        late = ledger.append("b", Created(spec=volume(1)))
        assert await quota_violation(ledger.dependencies(), late) is not None
        ledger.append("a", DeletionRequested())
        ledger.append("a", Deleted())
        found = await quota_violation(ledger.dependencies(), late)
        assert found is not None
        assert found.refusal.meta["quota"]["used"] == LIMIT
        assert await reverting(ledger.dependencies(), late, found) == Revert(expected=1)
        again = ledger.append("c", Created(spec=volume(LIMIT - 1)))
        assert await quota_violation(ledger.dependencies(), again) is None

    asyncio.run(judged())


def test_rows_do_not_depend_on_batches() -> None:
    spans = [Created(spec=volume(5)), Updated(spec=volume(8)), DeletionRequested(), Deleted()]
    one = Ledger()
    for event in spans:
        one.append("v", event)
    events = list(one.history)
    _, came = Usage().rows(fold({}, events, "eu-1"))
    assert [list(row) for row in came] == one.rows
    assert {row[-1] for row in one.rows} == {4}
