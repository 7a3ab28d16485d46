"""The store of keys on a real NATS server."""

import asyncio
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from secaplane.eventlog.jetstream.api import json
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore, bucket
from secaplane.sealing.keys.data_key import body_key, person_key
from secaplane.sealing.keys.key_store import DestroyedKey, KeysUnavailable, StoredKey
from tests.log.new_events import NOON

NAME, OTHER = body_key("life"), person_key("life", "2026-11")
RECORD = DestroyedKey("a", datetime(2026, 11, 30, tzinfo=UTC), "operator", "erasure")


@pytest.fixture
async def store(nats_client: Client, fresh_stream: str) -> JetStreamKeyStore:
    made = JetStreamKeyStore(nats_client, stream=fresh_stream)
    assert await made.read(NAME) is None
    await made.prepare()
    await made.prepare()
    return made


def key(id: str) -> StoredKey:
    return StoredKey(id, NOON, f"wrapped {id}")


async def test_of_keys_that_are_made_at_once_one_counts(store: JetStreamKeyStore) -> None:
    made = await asyncio.gather(*(store.create(NAME, key(str(n))) for n in range(8)))
    assert {*made} == {await store.read(NAME)}
    assert await store.names() == [NAME]


async def test_a_stored_key_is_never_overwritten(
    store: JetStreamKeyStore, nats_client: Client, fresh_stream: str
) -> None:
    await store.create(NAME, key("a"))
    subject = f"$KV.{bucket(fresh_stream)}.key.{NAME}"
    answer = await nats_client.request(subject, json(key("b")))
    assert b"error" in answer.data
    assert await store.read(NAME) == key("a")


async def test_a_destroyed_key_leaves_its_record_and_no_other_is_made(
    store: JetStreamKeyStore,
) -> None:
    for name in (NAME, OTHER):
        await store.create(name, key("a"))
    assert await store.destroy(NAME, RECORD) == RECORD
    assert await store.destroy(NAME, DestroyedKey("a", NOON, "another")) == RECORD
    assert await store.read(NAME) == RECORD
    assert await store.create(NAME, key("b")) == RECORD
    assert await store.names() == [OTHER]
    assert await store.destroyed() == [(NAME, RECORD)]


async def test_a_destruction_that_was_interrupted_counts_and_is_completed(
    store: JetStreamKeyStore, nats_client: Client, fresh_stream: str
) -> None:
    await store.create(NAME, key("a"))
    await nats_client.request(f"$KV.{bucket(fresh_stream)}.destroyed.{NAME}", json(RECORD))
    assert await store.read(NAME) == RECORD
    assert await store.names() == [NAME]
    await store.destroy(NAME, RECORD)
    assert await store.names() == []


async def test_without_the_stream_nothing_is_made(nats_client: Client, fresh_stream: str) -> None:
    store = JetStreamKeyStore(nats_client, stream=fresh_stream)
    with pytest.raises(KeysUnavailable):
        await store.create(NAME, key("a"))
