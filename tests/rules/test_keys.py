"""Keys are fetched in the background: when, how often, which requests wait for it, and for how long
keys are valid. In virtual time, with scripted issuers."""

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
    """A scripted issuer of keys."""

    shows: bytes = OLD
    takes_s: float = 0.1
    unreachable: bool = False
    fetched_at: list[float] = field(default_factory=list)

    async def fetch(self) -> bytes:
        self.fetched_at.append(now())
        shows = self.shows
        await asyncio.sleep(self.takes_s)
        if self.unreachable:
            raise FetchFailed("it does not answer")
        return shows


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def fetching(
    provider: Provider, *, failed: Callable[[], object] = int
) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(Issuer(any_audience=True, issuer=ISSUER), failed=failed, clock=now)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keys.run(provider.fetch))
        yield keys
        running.cancel()


def verifier(*keys: IssuerKeys) -> TokenVerifier:
    return TokenVerifier(keys, Revocations())


async def outcome(asking: Awaitable[object]) -> str:
    try:
        await asking
    except (Unauthenticated, Unavailable) as error:
        return type(error).__name__
    return "accepted"


# --- fetched


@in_virtual_time
async def test_keys_are_fetched_at_the_start_and_then_periodically() -> None:
    provider = Provider()
    async with fetching(provider):
        await asyncio.sleep(REFRESH_S * 3 + 1)
    assert len(provider.fetched_at) == 4


@in_virtual_time
async def test_before_the_first_fetch_every_token_is_unavailable() -> None:
    provider = Provider(takes_s=1)
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(0.5)
        assert keys.age_s == float("inf")
        assert keys.unavailable == "have never been fetched"
        for token in (signed(), signed(EC_OTHER, "next"), signed(kid=None)):
            assert await outcome(asked(tokens, token)) == "Unavailable"
        assert now() == 0.5, "no request waited"
        await asyncio.sleep(1)
        assert keys.unavailable == ""
        assert await asked(tokens, signed()) == JANE
        assert await outcome(asked(tokens, signed(iss="https://unknown"))) == "Unauthenticated"


@in_virtual_time
async def test_a_failed_fetch_is_retried_with_backoff() -> None:
    provider, failures = Provider(unreachable=True), list[None]()
    async with fetching(provider, failed=lambda: failures.append(None)):
        await asyncio.sleep(RETRY_S_MAX * 5)
        times = provider.fetched_at
        pauses = [round(later - earlier) for earlier, later in pairwise(times)]
        assert pauses[0] >= REFETCH_INTERVAL_S
        assert pauses == sorted(pauses)
        assert RETRY_S_MAX <= pauses[-1] <= RETRY_S_MAX + 1
        assert len(failures) == len(times)


@in_virtual_time
async def test_a_fetch_without_answer_times_out_and_is_retried() -> None:
    provider = Provider(takes_s=FAR)
    async with fetching(provider) as keys:
        await asyncio.sleep(FETCH_S_MAX * 3)
        assert len(provider.fetched_at) > 1
        provider.takes_s = 0.1
        await asyncio.sleep(RETRY_S_MAX)
        assert keys.unavailable == ""


@in_virtual_time
async def test_keys_stay_valid_for_a_bounded_time_while_fetches_fail() -> None:
    provider = Provider()
    async with fetching(provider) as keys:
        tokens, token = verifier(keys), signed()
        await asyncio.sleep(1)
        assert await asked(tokens, token) == JANE
        provider.unreachable = True
        await asyncio.sleep(STALE_S - REFRESH_S)
        assert await asked(tokens, token) == await asked(tokens, signed()) == JANE
        await asyncio.sleep(REFRESH_S + 1)
        assert keys.unavailable == "are stale"
        for each in (token, signed()):
            assert await outcome(asked(tokens, each)) == "Unavailable"
        provider.unreachable = False
        await asyncio.sleep(RETRY_S_MAX + 1)
        assert await asked(tokens, token) == JANE


@in_virtual_time
async def test_an_invalid_jwks_leaves_the_keys_as_they_were() -> None:
    provider = Provider()
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(1)
        for provider.shows in (b"", b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}'):
            await asyncio.sleep(REFRESH_S)
            assert await asked(tokens, signed()) == JANE
        assert keys.age_s > REFRESH_S


@in_virtual_time
async def test_a_withdrawn_key_verifies_nothing_after_the_next_fetch() -> None:
    provider = Provider(shows=NEW)
    async with fetching(provider) as keys:
        tokens, token = verifier(keys), signed(EC_OTHER, "next")
        await asyncio.sleep(1)
        assert await asked(tokens, token) == JANE
        provider.shows = OLD
        await asyncio.sleep(REFRESH_S + 1)
        assert await outcome(asked(tokens, token)) == "Unauthenticated"
        assert await asked(tokens, signed()) == JANE


# --- requested by tokens


@in_virtual_time
async def test_the_first_token_after_a_rotation_is_accepted() -> None:
    provider = Provider(takes_s=1)
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(60)
        provider.shows = NEW
        fetched_at = now()
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE
        assert now() == fetched_at + 1
        assert len(provider.fetched_at) == 2


@in_virtual_time
async def test_a_rotation_just_after_a_fetch_for_an_unknown_key_is_noticed() -> None:
    provider = Provider(takes_s=1)
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(60)
        assert await outcome(asked(tokens, signed(kid="unknown"))) == "Unauthenticated"
        provider.shows = NEW
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE


@in_virtual_time
async def test_a_token_without_kid_is_accepted_when_the_only_key_is_replaced() -> None:
    provider = Provider()
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(60)
        assert await asked(tokens, signed(kid=None)) == JANE
        provider.shows = shown(next=EC_OTHER)
        assert await asked(tokens, signed(EC_OTHER, None)) == JANE
        assert await outcome(asked(tokens, signed(kid=None))) == "Unauthenticated"


@in_virtual_time
async def test_the_wait_for_an_issuer_is_bounded() -> None:
    provider = Provider()
    async with fetching(provider) as keys:
        tokens = verifier(keys)
        await asyncio.sleep(60)
        provider.takes_s = FAR
        began = now()
        assert await outcome(asked(tokens, signed(kid="unknown"))) == "Unauthenticated"
        assert now() - began == pytest.approx(WAIT_S_MAX)
        assert await asked(tokens, signed()) == JANE
        assert now() - began == pytest.approx(WAIT_S_MAX)


@in_virtual_time
async def test_a_flood_of_unknown_keys_causes_few_fetches_and_few_waits() -> None:
    """Tokens with known keys are not delayed."""
    provider, flood = Provider(), [signed(kid=f"{n}") for n in range(10)] * 100
    async with fetching(provider) as keys, asyncio.TaskGroup() as group:
        tokens = verifier(keys)
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
    seconds = provider.fetched_at[-1] - provider.fetched_at[1]
    assert len(provider.fetched_at) - 2 <= seconds / REFETCH_INTERVAL_S


@in_virtual_time
async def test_a_new_key_is_fetched_during_a_flood() -> None:
    provider = Provider(takes_s=0.5)
    async with fetching(provider) as keys, asyncio.TaskGroup() as group:
        tokens, unknown = verifier(keys), signed(kid="unknown")
        await asyncio.sleep(60)

        async def unknown_keys() -> None:
            while True:
                for _ in range(WAITING_MAX):
                    group.create_task(outcome(asked(tokens, unknown)))
                await asyncio.sleep(0.1)

        flood = group.create_task(unknown_keys())
        await asyncio.sleep(5)
        provider.shows = NEW
        await asyncio.sleep(REFETCH_INTERVAL_S + 1)
        assert await asked(tokens, signed(EC_OTHER, "next")) == JANE
        flood.cancel()
