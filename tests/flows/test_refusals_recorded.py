"""Who was refused, who came, and who read what is privileged: all of it is in the second stream,
and nothing of it in the way of an answer."""

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest
from nats.errors import Error

from secaplane.audit.entries import HIDDEN, UNKNOWN_CALLER
from secaplane.audit.writer import BURST
from secaplane.cli.dev.plane import ISSUER, OPERATOR
from tests.flows.client import Client, at
from tests.flows.refusing import Watched, of, watched
from tests.servers import STREAM, connected

ADMINISTRATOR = "admin@example.org"
PRIVILEGED = {"privileged": ["role-assignment"]}
BEHIND_A_PROXY = {"trusted_proxies": ["127.0.0.1"]}
PATH = at("workspace")
FLOOD, AT_ONCE, EACH = 20_000, 50, 150


async def often(client: Client, number: int, *, token: str | None = "", source: str = "") -> None:
    """The same question, so many times, all refused; some at once."""
    left, headers = iter(range(number)), {"X-Forwarded-For": source} if source else {}

    async def ask() -> None:
        for _ in left:
            answer = await client.get(PATH, token=token, **headers)
            assert answer.status in (401, 403)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, number)):
            group.create_task(ask())


async def test_refusals_logins_and_privileged_reads_are_recorded() -> None:
    async with watched(refusals=PRIVILEGED, http=BEHIND_A_PROXY) as plane:
        await nobody_is_recorded_without_the_token(plane)
        await a_caller_is_recorded(plane)
        await a_privileged_read_is_recorded(plane)
        await people_can_read_it(plane)
        await only_who_answers_users_may_tell(plane)
        metrics = (await plane.client.get("/metrics", token=None)).body.decode()
        assert f"secaplane_refusals_recorded_total {len(await plane.entries())}.0" in metrics
        assert (await plane.ready())["remarks"] == []


async def nobody_is_recorded_without_the_token(plane: Watched) -> None:
    marker = "M4rk3r-of-a-t0ken"
    headers = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Request-Id": "mine-1"}
    path = f"{PATH}/{marker}"
    answer = await plane.client.get(f"{path}?token={marker}", token=marker, **headers)
    assert answer.status == 401
    written = msgspec.json.encode(await plane.settled())
    assert marker.encode() not in written
    (entry,) = of(await plane.entries(), "unauthenticated")
    assert (entry.request, entry.source, entry.caller) == ("mine-1", "203.0.113.9", UNKNOWN_CALLER)
    assert (entry.verb, entry.path) == ("get", f"{PATH}/{HIDDEN}")
    assert entry.reason == answer.json["detail"]


async def a_caller_is_recorded(plane: Watched) -> None:
    """Once as somebody who came, and each time that they were refused."""
    jane = plane.by("jane")
    for _ in range(2):
        answer = await jane.put(at("workspace", "w"), {})
        assert answer.status == 403
    found = await plane.settled()
    (login,) = of(found, "login", "jane")
    one, other = of(found, "forbidden", "jane")
    assert login.caller == one.caller == other.caller
    assert (one.caller.issuer, len(one.caller.token)) == (ISSUER, 32)
    assert (one.verb, one.path, one.source) == ("put", at("workspace", "w"), "127.0.0.1")
    assert other.request == answer.headers["X-Request-Id"]
    assert other.reason == answer.json["detail"]
    assert of(found, "login", OPERATOR) != []


async def a_privileged_read_is_recorded(plane: Watched) -> None:
    """And no other, and no privileged read that is refused."""
    for kind in ("role-assignment", "role", "workspace"):
        assert (await plane.client.get(at(kind))).status == 200
    administrators = at("role-assignment", "administrators")
    assert (await plane.client.head(administrators)).status == 200
    assert (await plane.by("jane").get(administrators)).status == 403
    found = await plane.settled()
    reads = [each for each in found if each.type == "read"]
    assert [(each.verb, each.path) for each in reads] == [
        ("list", at("role-assignment")),
        ("get", administrators),
    ]
    assert {each.caller.sub for each in reads} == {ADMINISTRATOR}
    assert reads[0].reason == "administrators/seca.admin allows it"


async def people_can_read_it(plane: Watched) -> None:
    entries = await plane.entries()
    status, lines, _ = await plane.shown()
    assert (status, len(lines)) == (0, len(entries))
    status, lines, _ = await plane.shown("--json", "--since", "1h", "--caller", "jane")
    shown = [msgspec.json.decode(line) for line in lines]
    assert shown == [msgspec.to_builtins(each) for each in entries if each.caller.sub == "jane"]
    assert (await plane.shown("--since", "2099-01-01T00:00:00Z"))[:2] == (0, [])
    status, _, complaint = await plane.shown("--since", "yesterday")
    assert (status, complaint[:26]) == (2, "secaplane: --since takes 9")


async def only_who_answers_users_may_tell(plane: Watched) -> None:
    before = await plane.entries()
    for user in ("writer", "projector", "serve"):
        async with connected(plane.dev.nats(user)) as nats:
            if user != "serve":
                with pytest.raises(Error):
                    await nats.request("seca-refusals.forbidden.x", b"{}", timeout=0.5)
            for takes in ("purge_stream", "delete_stream"):
                context = nats.jetstream(timeout=0.5)
                with pytest.raises(Error):
                    await getattr(context, takes)(f"{STREAM}-refusals")
    assert await plane.entries() == before


async def test_a_flood_leaves_its_bound_and_its_count_and_others_stay() -> None:
    settings = {"each": EACH}
    async with watched(refusals=settings, http=BEHIND_A_PROXY) as plane:
        await often(plane.by("jane"), 3)
        await often(plane.client, 3, token=None, source="203.0.113.1")
        await often(plane.by("mallory"), FLOOD)
        await often(plane.client, 10 * BURST, token=None, source="203.0.113.66")
        await often(plane.by("joe"), 3)
        found, figures = await plane.settled(), await plane.figures()
        for sub in ("jane", "joe"):
            assert [each.dropped for each in of(found, "forbidden", sub)] == [0, 0, 0]
        mallory = of(found, "forbidden", "mallory")
        assert 1 <= len(mallory) <= EACH
        assert sum(each.dropped for each in mallory) > 0
        nobody = of(found, "unauthenticated")
        innocent = [each for each in nobody if each.source == "203.0.113.1"]
        guilty = [each for each in nobody if each.source == "203.0.113.66"]
        assert (len(innocent), len(innocent) + len(guilty)) == (3, len(nobody))
        assert len(guilty) <= EACH
        logins = len([each for each in found if each.type == "login"])
        assert figures["recorded"] + figures["dropped"] == FLOOD + 10 * BURST + 9 + logins
        assert (figures["lost"], figures["waiting"]) == (0, 0)
        (remark,) = (await plane.ready())["remarks"]
        assert str(figures["dropped"]) in remark


async def test_while_nats_is_away_answers_come_and_refusals_wait() -> None:
    async with watched(auth={"stale_seconds": 3600}) as plane:
        await often(plane.by("jane"), 1)
        await plane.settled()
        nats = plane.children.pid("nats")
        os.kill(nats, signal.SIGSTOP)
        try:
            await often(plane.by("joe"), 20)
            await often(plane.client, 20, token=None)
            await plane.until(away)
            assert (await plane.figures())["waiting"] >= 40
            await often(plane.by("joe"), 5)
        finally:
            os.kill(nats, signal.SIGCONT)
        found = await plane.settled()
        assert len(of(found, "forbidden", "joe")) == 25
        assert len(of(found, "unauthenticated")) == 20
        assert not away(await plane.ready())
        os.kill(plane.children.pid("nats"), signal.SIGKILL)  # and started again
        await often(plane.by("joe"), 5)
        found = await plane.settled()
        assert len(of(found, "forbidden", "joe")) == 30
        assert (await plane.figures())["lost"] == 0


def away(ready: Any) -> bool:
    return any("does not answer" in each for each in ready["remarks"])


async def test_a_process_that_is_told_to_stop_tells_what_waits() -> None:
    """Also the last one of a flood, that nobody followed, with its count."""
    async with watched() as plane:
        before = plane.children.pid("serve")
        await often(plane.by("mallory"), 3 * BURST)
        await often(plane.by("joe"), 3)
        os.kill(before, signal.SIGTERM)
        await plane.client.back()
        assert plane.children.pid("serve") != before
        found = await plane.settled()
        assert len(of(found, "forbidden", "joe")) == 3
        mallory = of(found, "forbidden", "mallory")
        assert sum(1 + each.dropped for each in mallory) == 3 * BURST
