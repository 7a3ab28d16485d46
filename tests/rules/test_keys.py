"""Keys are fetched in the background: when, how often, who waits for it, and for how long they are
believed. In virtual time, with issuers that answer as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from secaplane.model.errors import Unauthenticated, Unavailable
from secaplane.policy.tokens.caller import TokenVerifier
from secaplane.policy.tokens.fetch import FETCH_S_MAX, FetchFailed
from secaplane.policy.tokens.issuer import REFETCH_INTERVAL_S, REFRESH_S, STALE_S, Issuer
from secaplane.policy.tokens.keys import RETRY_S_MAX, WAIT_S_MAX, WAITING_MAX, IssuerKeys
from secaplane.policy.tokens.revocations import Revocations
from tests.rules.tokens import EC, EC_OTHER, ISSUER, JANE, asked, shown, signed
from tests.virtual_time import in_virtual_time

OLD, NEW = shown(ec=EC), shown(ec=EC, next=EC_OTHER)
FAR = 10_000.0


@dataclass
class Provider:
    """An issuer, as far as its keys go."""

    shows: bytes = OLD
    takes_s: float = 0.1
    away: bool = False
    asked_at: list[float] = field(default_factory=list)

    async def fetch(self) -> bytes:
        self.asked_at.append(now())
        shows = self.shows
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise FetchFailed("it is away")
        return shows


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def kept(
    provider: Provider, *, failed: Callable[[], object] = int
) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(Issuer(issuer=ISSUER), failed=failed, clock=now)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keys.run(provider.fetch))
        yield keys
        running.cancel()


def from_cache(*keys: IssuerKeys) -> TokenVerifier:
    return TokenVerifier(keys, Revocations())


async def outcome(asking: Awaitable[object]) -> str:
    try:
        await asking
    except (Unauthenticated, Unavailable) as error:
        return type(error).__name__
    return "believed"


# --- fetched


@in_virtual_time
async def test_keys_are_fetched_at_once_and_then_every_so_often() -> None:
    provider = Provider()
    async with kept(provider):
        await asyncio.sleep(REFRESH_S * 3 + 1)
    assert len(provider.asked_at) == 4


@in_virtual_time
async def test_before_they_were_ever_had_nobody_is_judged() -> None:
    provider = Provider(takes_s=1)
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(0.5)
        assert keys.age_s == float("inf")
        assert keys.unavailable == "have never been fetched"
        for token in (signed(), signed(EC_OTHER, "next"), signed(kid=None)):
            assert await outcome(asked(tokens, token)) == "Unavailable"
        assert now() == 0.5, "nobody waited"
        await asyncio.sleep(1)
        assert keys.unavailable == ""
        assert await asked(tokens, signed()) == JANE
        assert await outcome(asked(tokens, signed(iss="https://stranger"))) == "Unauthenticated"


@in_virtual_time
async def test_an_issuer_that_is_away_is_asked_again_less_and_less_often() -> None:
    provider, failures = Provider(away=True), list[None]()
    async with kept(provider, failed=lambda: failures.append(None)):
        await asyncio.sleep(RETRY_S_MAX * 5)
        times = provider.asked_at
        pauses = [round(later - earlier) for earlier, later in pairwise(times)]
        assert pauses[0] >= REFETCH_INTERVAL_S
        assert pauses == sorted(pauses)
        assert RETRY_S_MAX <= pauses[-1] <= RETRY_S_MAX + 1
        assert len(failures) == len(times)


@in_virtual_time
async def test_an_issuer_that_does_not_answer_is_given_up_and_asked_again() -> None:
    provider = Provider(takes_s=FAR)
    async with kept(provider) as keys:
        await asyncio.sleep(FETCH_S_MAX * 3)
        assert len(provider.asked_at) > 1
        provider.takes_s = 0.1
        await asyncio.sleep(RETRY_S_MAX)
        assert keys.unavailable == ""


@in_virtual_time
async def test_while_the_issuer_is_away_its_keys_stay_but_not_for_ever() -> None:
    provider = Provider()
    async with kept(provider) as keys:
        tokens, token = from_cache(keys), signed()
        await asyncio.sleep(1)
        assert await asked(tokens, token) == JANE
        provider.away = True
        await asyncio.sleep(STALE_S - REFRESH_S)
        assert await asked(tokens, token) == await asked(tokens, signed()) == JANE
        await asyncio.sleep(REFRESH_S + 1)
        assert keys.unavailable == "are stale"
        for each in (token, signed()):
            assert await outcome(asked(tokens, each)) == "Unavailable"
        provider.away = False
        await asyncio.sleep(RETRY_S_MAX + 1)
        assert await asked(tokens, token) == JANE


@in_virtual_time
async def test_what_is_no_jwks_leaves_the_keys_as_they_were() -> None:
    provider = Provider()
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(1)
        for provider.shows in (b"", b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}'):
            await asyncio.sleep(REFRESH_S)
            assert await asked(tokens, signed()) == JANE
        assert keys.age_s > REFRESH_S


@in_virtual_time
async def test_a_key_that_is_withdrawn_vouches_for_nobody_after_the_next_fetch() -> None:
    provider = Provider(shows=NEW)
    async with kept(provider) as keys:
        tokens, token = from_cache(keys), signed(EC_OTHER, "next")
        await asyncio.sleep(1)
        assert await asked(tokens, token) == JANE
        provider.shows = OLD
        await asyncio.sleep(REFRESH_S + 1)
        assert await outcome(asked(tokens, token)) == "Unauthenticated"
        assert await asked(tokens, signed()) == JANE


# --- asked for


@in_virtual_time
async def test_the_first_token_after_a_rotation_is_believed_at_once() -> None:
    provider = Provider(takes_s=1)
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(60)
        provider.shows = NEW
        asked_at = now()
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE
        assert now() == asked_at + 1
        assert len(provider.asked_at) == 2


@in_virtual_time
async def test_so_is_one_that_comes_just_after_strangers_had_them_fetched() -> None:
    provider = Provider(takes_s=1)
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(60)
        assert await outcome(asked(tokens, signed(kid="stranger"))) == "Unauthenticated"
        provider.shows = NEW
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE


@in_virtual_time
async def test_so_is_one_that_names_no_key_when_the_only_one_is_replaced() -> None:
    provider = Provider()
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(60)
        assert await asked(tokens, signed(kid=None)) == JANE
        provider.shows = shown(next=EC_OTHER)
        assert await asked(tokens, signed(EC_OTHER, None)) == JANE
        assert await outcome(asked(tokens, signed(kid=None))) == "Unauthenticated"


@in_virtual_time
async def test_nobody_waits_long_for_an_issuer_that_does_not_answer() -> None:
    provider = Provider()
    async with kept(provider) as keys:
        tokens = from_cache(keys)
        await asyncio.sleep(60)
        provider.takes_s = FAR
        began = now()
        assert await outcome(asked(tokens, signed(kid="stranger"))) == "Unauthenticated"
        assert now() - began == pytest.approx(WAIT_S_MAX)
        assert await asked(tokens, signed()) == JANE
        assert now() - began == pytest.approx(WAIT_S_MAX)


@in_virtual_time
async def test_a_flood_of_strangers_floods_nobody() -> None:
    """Neither the issuer nor us: few wait, and who is known does not notice."""
    provider, flood = Provider(), [signed(kid=f"{n}") for n in range(10)] * 100
    async with kept(provider) as keys, asyncio.TaskGroup() as group:
        tokens = from_cache(keys)
        await asyncio.sleep(60)
        for _ in range(10):
            began = now()
            tasks = [group.create_task(outcome(asked(tokens, each))) for each in flood]
            await asyncio.sleep(0)
            assert await asked(tokens, signed()) == JANE
            assert now() == began
            done, waiting = await asyncio.wait(tasks, timeout=0)
            assert len(waiting) <= WAITING_MAX
            assert {each.result() for each in done} == {"Unauthenticated"}
            await asyncio.sleep(0.5)
    seconds = provider.asked_at[-1] - provider.asked_at[1]
    assert len(provider.asked_at) - 2 <= seconds / REFETCH_INTERVAL_S


@in_virtual_time
async def test_a_flood_does_not_keep_a_new_key_away() -> None:
    provider = Provider(takes_s=0.5)
    async with kept(provider) as keys, asyncio.TaskGroup() as group:
        tokens, stranger = from_cache(keys), signed(kid="stranger")
        await asyncio.sleep(60)

        async def strangers() -> None:
            while True:
                for _ in range(WAITING_MAX):
                    group.create_task(outcome(asked(tokens, stranger)))
                await asyncio.sleep(0.1)

        flood = group.create_task(strangers())
        await asyncio.sleep(5)
        provider.shows = NEW
        await asyncio.sleep(REFETCH_INTERVAL_S + 1)
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE
        flood.cancel()
