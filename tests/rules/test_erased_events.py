"""An export says itself which of its events are sealed under a destroyed key."""

from secaplane.audit.entries import encode, entry, subject
from secaplane.audit.notary.erased_events import erased_lives, sealed_events
from secaplane.audit.notary.verification import StoredEvent
from secaplane.eventlog.memory import MemoryLog
from secaplane.model.position import BEGINNING, Position
from tests.key_scene import KeyScene
from tests.log.new_events import NOON
from tests.rules.test_event_keys import CREATED, DISK, LIFE, REGION, event, stored


def destroyed(*keys: str) -> StoredEvent:
    made = entry(
        "key-destroyed",
        time=NOON,
        request="r",
        client_address="",
        verb="destroy",
        path="keys",
        keys=keys,
    )
    return StoredEvent(subject(made), encode(made))


async def test_events_of_a_life_whose_body_key_was_destroyed_are_counted() -> None:
    log = MemoryLog(REGION, seals=KeyScene().seals())
    await log.append(event(CREATED))
    await log.append(event(CREATED, Position("SECA", 1), tenant="other"))
    clear = MemoryLog(REGION)
    await clear.append(event(CREATED))
    raws = [*await stored(log), *await stored(clear)]
    events = [StoredEvent(each.subject, each.data) for each in raws]
    assert sealed_events(events, {LIFE}) == 1
    assert sealed_events(events, {LIFE, "other"}) == 2
    assert not sealed_events(events, set())
    assert (await clear.last(DISK)) > BEGINNING


def test_stored_bytes_that_are_no_json_belong_to_no_life() -> None:
    broken = (b"", b"{", b'{"tenant": "\xff"}', b'{"tenant": 7}')
    assert sealed_events([StoredEvent("seca.x", each) for each in broken], {LIFE}) == 0


def test_lives_are_known_from_the_audit_stream_alone() -> None:
    some = [
        destroyed("body.life-1:0a", "person.life-2.2026-11:0b"),
        destroyed("body.life-3:"),
        StoredEvent("seca-audit.login.x", destroyed("body.life-4:").data),
        StoredEvent("seca-audit.key-destroyed.x", b"not an entry"),
    ]
    assert erased_lives(some) == {"life-1", "life-3"}
