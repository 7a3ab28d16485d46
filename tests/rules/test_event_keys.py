"""Events are sealed under random keys of their tenant's life, and are read as empty ones once that
key is destroyed."""

import asyncio
from datetime import UTC, datetime
from itertools import chain

import msgspec
import pytest

from secaplane.eventlog import event_seals
from secaplane.eventlog.codec import NewEvent, Undecodable, context, decode
from secaplane.eventlog.event_seals import ClearEvents, EnvelopesAlone, KeyedEvents
from secaplane.eventlog.log import LogUnavailable, RawEvent, UndecodableEvent
from secaplane.eventlog.memory import MemoryLog
from secaplane.kinds import KINDS
from secaplane.model.actor import RECONCILER, Actor, ShownActor
from secaplane.model.document import document
from secaplane.model.events import (
    ActionRequested,
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Author, Ref, Resource, State
from secaplane.projector.folding import fold as fold_all
from secaplane.projector.groups import groups
from secaplane.sealing.keys.data_key import DataKey, body_key, person_key
from secaplane.sealing.keys.key_store import DestroyedKey, KeysUnavailable, MemoryKeyStore
from secaplane.sealing.sealer import Keyring
from tests.key_scene import KeyScene
from tests.source import GOLDEN

REGION = "eu-1"
LIFE = "0123456789abcdef0123456789abcdef"
IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k8s"}
DISK = KINDS["block-storage"].ref(IDS, "disk")
JANE = Actor(issuer="https://id.example.org", sub="jane@example.org", client_address="192.0.2.7")
MARKS = ("marked-label", "marked-note", "marked-spec", "marked-message", "jane", "192.0.2.7")
CREATED = Created(
    spec={"sizeGB": 10, "note": "marked-spec"},
    labels={"env": "marked-label"},
    annotations={"note": "marked-note"},
)
DESTROYED = DestroyedKey("", datetime(2026, 11, 30, tzinfo=UTC), "operator")


def event(
    event: AnyEvent,
    previous: Position = BEGINNING,
    *,
    ref: Ref = DISK,
    actor: Actor = JANE,
    tenant: str = LIFE,
    month: int = 11,
    uid: str = "u1",
) -> NewEvent:
    return NewEvent(
        ref=ref,
        uid=uid,
        tenant=tenant,
        time=datetime(2026, month, 20, tzinfo=UTC),
        request="r",
        previous=previous,
        salt=bytes(16),
        actor=actor,
        event=event,
    )


async def life(log: MemoryLog, ref: Ref = DISK, uid: str = "u1") -> Position:
    """One whole life of a resource."""
    at = await log.last(ref)
    reported = StatusReported(
        state=State.ACTIVE,
        observed_position=Position("SECA", at.sequence + 1),
        status={},
        message="marked-message",
    )
    actions = [ActionRequested(action="start")] if ref.kind == "instance" else []
    some: tuple[AnyEvent, ...] = (
        CREATED,
        reported,
        *actions,
        CREATED_AGAIN,
        DeletionRequested(),
        Deleted(),
    )
    for each in some:
        actor = RECONCILER if isinstance(each, StatusReported | Deleted) else JANE
        at = (await log.append(event(each, at, ref=ref, actor=actor, uid=uid))).position
    return at


CREATED_AGAIN = Updated(spec=CREATED.spec, labels=CREATED.labels)


async def stored(log: MemoryLog) -> list[RawEvent]:
    async for batch in log.follow_raw("SECA", after=BEGINNING):
        return list(batch)
    raise AssertionError


async def folded(log: MemoryLog, ref: Ref = DISK) -> Resource:
    resource = fold(await log.read(ref))
    assert resource is not None
    return resource


@pytest.fixture
def keys() -> KeyScene:
    return KeyScene()


async def test_stored_bytes_hold_nothing_of_contents_and_callers_and_another_process_reads_them(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await life(log)
    raws = await stored(log)
    for each in raws:
        assert not [mark for mark in MARKS if mark in each.data.decode()], each.data
    other = await keys.seals().followed(raws)
    created = other[0]
    assert isinstance(created, RecordedEvent)
    assert created.event == CREATED
    assert not created.erased


async def test_an_append_answers_the_caller_as_it_was_given(keys: KeyScene) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    assert (await log.append(event(CREATED))).actor == JANE


async def test_events_outside_of_tenants_and_of_no_person_are_in_clear(keys: KeyScene) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED, tenant=""))
    await log.append(event(Deleted(), Position("SECA", 1), actor=RECONCILER))
    first, second = await stored(log)
    assert "marked-label" in first.data.decode()
    assert '"reconciler"' in second.data.decode()


async def test_events_that_were_stored_in_clear_are_read_as_before(keys: KeyScene) -> None:
    log = MemoryLog(REGION)
    await life(log)
    assert await keys.seals().followed(await stored(log)) == await ClearEvents().followed(
        await stored(log)
    )


async def test_processes_that_write_first_at_the_same_time_use_one_key(keys: KeyScene) -> None:
    some = [KeyedEvents(keys.process()) for _ in range(8)]
    written = await asyncio.gather(*(each.sealed(event(CREATED)) for each in some))
    assert len({each.sealed_body.split(":")[1] for each in written}) == 1
    assert len(keys.store.keys) == 2  # the body key and the person key


async def test_once_its_key_is_destroyed_a_life_folds_to_nothing_and_the_name_can_be_used_again(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await life(log)
    before = await folded(log)
    await keys.store.destroy(body_key(LIFE), DESTROYED)
    keys.pass_time()
    after = await folded(log)
    assert after.gone
    assert not after.spec
    assert not after.labels
    assert not after.annotations
    assert (after.version, after.position, after.uid) == (
        before.version,
        before.position,
        before.uid,
    )
    assert "marked" not in msgspec.json.encode(after).decode()
    again = event(CREATED, after.position, tenant="another life", uid="u2")
    await log.append(again)
    assert (await folded(log)).version == before.version + 1
    assert (await folded(log)).spec == CREATED.spec


async def test_a_process_that_has_the_key_cached_forgets_it_in_a_bounded_time(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    await keys.store.destroy(body_key(LIFE), DESTROYED)
    assert (await log.history(DISK))[0].event == CREATED  # type: ignore[union-attr]
    keys.pass_time()
    (read,) = await log.history(DISK)
    assert isinstance(read, RecordedEvent)
    assert read.erased
    assert read.event == Created(spec={})


async def test_nothing_is_written_for_a_life_whose_key_is_destroyed(keys: KeyScene) -> None:
    await keys.store.destroy(body_key(LIFE), DESTROYED)
    with pytest.raises(LogUnavailable, match="was destroyed"):
        await MemoryLog(REGION, seals=keys.seals()).append(event(CREATED))


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_erased_events_of_every_kind_have_documents_and_rows(
    keys: KeyScene, kind: str
) -> None:
    log, ref = MemoryLog(REGION, seals=keys.seals()), KINDS[kind].ref(IDS, "one")
    await life(log, ref)
    await keys.store.destroy(body_key(LIFE), DESTROYED)
    keys.pass_time()
    history = [each for each in await log.history(ref) if isinstance(each, RecordedEvent)]
    assert len(history) >= 5
    projected = fold_all({}, history, REGION)
    for each in projected:
        shown = msgspec.json.encode(document(KINDS[kind], each.resource, region=REGION))
        assert b"marked" not in shown
    for group in groups():
        for projection in group.projections:
            for some in (projected, *([each] for each in projected)):
                for row in chain(*projection.rows(some)):
                    assert None not in row, (projection.NAME, row)


async def test_a_missing_key_is_no_damage_of_an_event(keys: KeyScene) -> None:
    """A log without its store of keys stops its readers; it quarantines nothing."""
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    keys.store.keys.clear()
    with pytest.raises(LogUnavailable, match=r"key body\.\w+ is missing"):
        await keys.seals().followed(await stored(log))
    with pytest.raises(LogUnavailable, match=r"keys\.keyring"):
        await ClearEvents().followed(await stored(log))


async def test_a_process_without_keys_that_needs_no_contents_reads_envelopes(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    (read,) = await EnvelopesAlone().followed(await stored(log))
    assert isinstance(read, RecordedEvent)
    assert (read.ref, read.tenant, read.event) == (DISK, LIFE, Created(spec={}))


async def test_a_follower_waits_for_a_key_and_does_not_end(
    keys: KeyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_seals, "RETRY_S", 0.01)
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    lost = dict(keys.store.keys)
    keys.store.keys.clear()
    raws, reads = await stored(log), keys.store.reads
    following = asyncio.create_task(keys.seals().followed(raws, patient=True))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if keys.store.reads >= reads + 3:
            break
    keys.store.keys.update(lost)
    (read,) = await following
    assert isinstance(read, RecordedEvent)
    assert read.event == CREATED


async def test_a_body_that_was_moved_to_another_resource_is_not_opened(keys: KeyScene) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    (raw,) = await stored(log)
    moved = raw._replace(data=raw.data.replace(b"/disk", b"/mine"))
    (read,) = await keys.seals().followed([moved])
    assert isinstance(read, UndecodableEvent)
    assert "cannot be opened" in read.reason


async def test_keys_are_readable_with_the_keyring_alone(keys: KeyScene) -> None:
    await keys.process().made(body_key(LIFE))
    with pytest.raises(KeysUnavailable, match="could not be unwrapped"):
        await keys.process(Keyring.generate()).load(body_key(LIFE))
    _name, entry = next(iter(keys.store.keys.items()))
    keys.store.keys = {body_key("another life"): entry}
    with pytest.raises(KeysUnavailable, match="could not be unwrapped"):
        await keys.process().load(body_key("another life"))


async def test_a_cached_key_is_used_while_the_store_does_not_answer(
    keys: KeyScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = keys.process()
    key = await process.made(body_key(LIFE))

    async def unavailable(self: MemoryKeyStore, name: object) -> None:
        raise KeysUnavailable("no answer")

    monkeypatch.setattr(MemoryKeyStore, "read", unavailable)
    keys.pass_time()
    assert await process.load(body_key(LIFE)) is key
    keys.now += 600
    with pytest.raises(KeysUnavailable):
        await process.load(body_key(LIFE))


async def actor(keys: KeyScene, read: object) -> ShownActor:
    assert isinstance(read, RecordedEvent)
    assert isinstance(read.actor, str)
    return await keys.seals().actor(read.actor, read.ref, read.uid, read.tenant, read.request)


async def test_a_caller_is_shown_until_its_key_is_destroyed_and_told_apart_afterwards(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    joe = msgspec.structs.replace(JANE, sub="joe")
    for number, (who, month) in enumerate([(JANE, 10), (joe, 10), (JANE, 11)]):
        at = Position("SECA", number) if number else BEGINNING
        await log.append(event(CREATED, at, actor=who, month=month))
    october, other, november = await log.history(DISK)
    shown = await actor(keys, october)
    assert (shown.sub, shown.client_address) == (JANE.sub, JANE.client_address)
    await keys.store.destroy(person_key(LIFE, "2026-10"), DESTROYED)
    keys.pass_time()
    gone = await actor(keys, october)
    assert gone == ShownActor(sub="<erased>", pseudonym=shown.pseudonym)
    assert len(gone.pseudonym) == 16
    assert (await actor(keys, november)) == shown
    assert (await actor(keys, other)).pseudonym != gone.pseudonym
    (read, *_) = await keys.seals().followed(await stored(log))
    assert isinstance(read, RecordedEvent)
    assert read.event == CREATED


async def test_the_author_of_a_role_assignment_outlives_the_person_key(keys: KeyScene) -> None:
    log, ref = MemoryLog(REGION, seals=keys.seals()), KINDS["role-assignment"].ref(IDS, "one")
    await log.append(event(Created(spec={"subs": ["joe"]}), ref=ref))
    assert b"jane" not in (await stored(log))[0].data
    for name in list(keys.store.keys):
        if name != body_key(LIFE):
            await keys.store.destroy(name, DESTROYED)
    resource = await folded(log, ref)
    assert isinstance(resource.author, Author)
    assert resource.author.sub == JANE.sub


async def test_a_snapshot_is_sealed_and_gone_with_its_key(keys: KeyScene) -> None:
    log, seals = MemoryLog(REGION, seals=keys.seals()), keys.seals()
    await log.append(event(CREATED))
    resource = await folded(log)
    text = msgspec.json.encode(resource)
    data = await seals.sealed_state(resource.tenant, text)
    assert b"marked" not in data
    assert await keys.seals().opened_state(data) == text
    assert await seals.opened_state(text) == text
    assert await ClearEvents().opened_state(data) is None
    assert await seals.opened_state(data[:-9]) is None
    await keys.store.destroy(body_key(LIFE), DESTROYED)
    keys.pass_time()
    assert await seals.opened_state(data) is None


async def test_a_person_of_another_event_is_not_shown_as_the_caller_of_this_one(
    keys: KeyScene,
) -> None:
    log = MemoryLog(REGION, seals=keys.seals())
    await log.append(event(CREATED))
    (read,) = await log.history(DISK)
    assert isinstance(read, RecordedEvent)
    assert isinstance(read.actor, str)
    with pytest.raises(Undecodable):
        await keys.seals().actor(read.actor, read.ref, read.uid, read.tenant, "another request")


GOLDEN_KEY = DataKey("0a1b2c3d4e5f", bytes(range(64)))


async def test_sealed_events_of_every_format_are_read_for_ever() -> None:
    """The files were written under a key of tests. They are added, never changed."""
    for name, meant in (("created", CREATED), ("updated", CREATED_AGAIN)):
        data = (GOLDEN / "sealed" / f"{name}.v2.json").read_bytes()

        def opened(tenant: str, sealed: str, place: bytes) -> bytes:
            return GOLDEN_KEY.open(sealed.removeprefix("body:"), place)

        read = decode(data, Position("SECA", 1), opened)
        assert read.event == meant
        assert isinstance(read.actor, str)
        month, pseudonym, text = read.actor.removeprefix("person:").split(":", 2)
        actor = GOLDEN_KEY.open(text, context("actor", read.ref, read.uid, read.request))
        assert (month, pseudonym) == ("2026-11", "0123456789abcdef")
        assert msgspec.json.decode(actor, type=Actor) == JANE
