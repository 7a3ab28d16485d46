"""The security audit stream records refusals, logins and privileged reads without delaying an
answer."""

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest
from nats.errors import Error

from secaplane.audit.entries import HIDDEN, UNKNOWN_CALLER, ProcessFacts
from secaplane.audit.entry_limits import BURST
from secaplane.cli.dev.plane import ISSUER, OPERATOR
from tests.flows.auditing import AuditedPlane, audited_plane, entries_of
from tests.flows.client import Client, at
from tests.flows.crashing import until
from tests.servers import STREAM, connected

ADMINISTRATOR = "admin@example.org"
PRIVILEGED = {"privileged": ["role-assignment"]}
BEHIND_A_PROXY = {"trusted_proxies": ["127.0.0.1"]}
PATH = at("workspace")
FLOOD, AT_ONCE, EACH = 20_000, 50, 150


async def refuse_often(
    client: Client, number: int, *, token: str | None = "", client_address: str = ""
) -> None:
    """Send the same request that many times, some of them at once; all are refused."""
    left, headers = (
        iter(range(number)),
        {"X-Forwarded-For": client_address} if client_address else {},
    )

    async def ask() -> None:
        for _ in left:
            answer = await client.get(PATH, token=token, **headers)
            assert answer.status in (401, 403)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, number)):
            group.create_task(ask())


async def test_refusals_logins_and_privileged_reads_are_recorded() -> None:
    async with audited_plane(audit=PRIVILEGED, http=BEHIND_A_PROXY) as plane:
        await a_refused_token_is_not_recorded_itself(plane)
        await a_caller_is_recorded(plane)
        await a_privileged_read_is_recorded(plane)
        await starts_are_recorded(plane)
        await the_command_prints_the_entries(plane)
        await the_export_has_every_event_and_every_entry(plane)
        await only_serve_may_write_the_audit_stream(plane)
        metrics = (await plane.client.get("/metrics", token=None)).body.decode()
        assert f"secaplane_audit_entries_recorded_total {len(await plane.entries())}.0" in metrics
        assert (await plane.ready())["remarks"] == []


async def a_refused_token_is_not_recorded_itself(plane: AuditedPlane) -> None:
    marker = "M4rk3r-of-a-t0ken"
    headers = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Request-Id": "mine-1"}
    path = f"{PATH}/{marker}"
    answer = await plane.client.get(f"{path}?token={marker}", token=marker, **headers)
    assert answer.status == 401
    written = msgspec.json.encode(await plane.settled())
    assert marker.encode() not in written
    (entry,) = entries_of(await plane.entries(), "unauthenticated")
    assert (entry.request, entry.client_address, entry.caller) == (
        "mine-1",
        "203.0.113.9",
        UNKNOWN_CALLER,
    )
    assert (entry.verb, entry.path) == ("get", f"{PATH}/{HIDDEN}")
    assert entry.reason == answer.json["detail"]


async def a_caller_is_recorded(plane: AuditedPlane) -> None:
    """One login entry, and one entry for each refusal."""
    jane = plane.by("jane")
    for _ in range(2):
        answer = await jane.put(at("workspace", "w"), {})
        assert answer.status == 403
    entries = await plane.settled()
    (login,) = entries_of(entries, "login", "jane")
    one, other = entries_of(entries, "forbidden", "jane")
    assert login.caller == one.caller == other.caller
    assert (one.caller.issuer, len(one.caller.token)) == (ISSUER, 32)
    assert (one.verb, one.path, one.client_address) == ("put", at("workspace", "w"), "127.0.0.1")
    assert other.request == answer.headers["X-Request-Id"]
    assert other.reason == answer.json["detail"]
    assert entries_of(entries, "login", OPERATOR) != []


async def a_privileged_read_is_recorded(plane: AuditedPlane) -> None:
    """No other read is recorded, and no privileged read that is refused; of operators, each is."""
    for kind in ("role-assignment", "role", "workspace"):
        assert (await plane.client.get(at(kind))).status == 200
    administrators = at("role-assignment", "administrators")
    assert (await plane.client.head(administrators)).status == 200
    assert (await plane.by("jane").get(administrators)).status == 403
    entries = await plane.settled()
    by_operator = entries_of(entries, "read", OPERATOR)
    assert {each.path for each in by_operator} == {"/providers/secaplane.admin/v1/tenants/demo"}
    assert {each.reason for each in by_operator} == {"configuration allows it"}
    reads = [each for each in entries if each.type == "read" and each not in by_operator]
    assert [(each.verb, each.path) for each in reads] == [
        ("list", at("role-assignment")),
        ("get", administrators),
    ]
    assert {each.caller.sub for each in reads} == {ADMINISTRATOR}
    assert reads[0].reason == "administrators/seca.admin allows it"


async def starts_are_recorded(plane: AuditedPlane) -> None:
    """Of every process that is connected to NATS, by its own user there."""

    async def both() -> bool:
        facts = [each.process for each in await plane.every_entry()]
        names = [each.name for each in facts if isinstance(each, ProcessFacts)]
        return sorted(names) == ["projector", "serve"]

    await until(both, "the starts of both processes are recorded")


async def the_export_has_every_event_and_every_entry(plane: AuditedPlane) -> None:
    entries, number = await plane.every_entry(), 0
    async with connected(plane.dev.nats("everything")) as nats:
        number = (await nats.jetstream().stream_info(STREAM)).state.messages
    for name in ("ocsf", "cadf", "cloudevents", "native"):
        status, lines, stderr = await plane.shown("--format", name, "--once", action="stream")
        assert (status, len(lines)) == (0, number + len(entries)), stderr
        assert ADMINISTRATOR in "".join(lines)
    status, lines, stderr = await plane.shown(
        "--format", "ocsf", "--once", action="stream", keyring=False
    )
    assert (status, lines, "keys.keyring is not set" in stderr) == (2, [], True)


async def the_command_prints_the_entries(plane: AuditedPlane) -> None:
    entries = await plane.every_entry()
    status, lines, _ = await plane.shown()
    assert (status, len(lines)) == (0, len(entries))
    status, lines, _ = await plane.shown("--json", "--since", "1h", "--caller", "jane")
    shown = [msgspec.json.decode(line) for line in lines]
    assert shown == [msgspec.to_builtins(each) for each in entries if each.caller.sub == "jane"]
    assert (await plane.shown("--since", "2099-01-01T00:00:00Z"))[:2] == (0, [])
    status, _, stderr = await plane.shown("--since", "yesterday")
    assert (status, stderr[:26]) == (2, "secaplane: --since takes 9")


async def only_serve_may_write_the_audit_stream(plane: AuditedPlane) -> None:
    before = await plane.entries()
    for user in ("writer", "projector", "serve"):
        async with connected(plane.dev.nats(user)) as nats:
            if user != "serve":
                with pytest.raises(Error):
                    await nats.request("seca-audit.forbidden.x", b"{}", timeout=0.5)
            for method in ("purge_stream", "delete_stream"):
                context = nats.jetstream(timeout=0.5)
                with pytest.raises(Error):
                    await getattr(context, method)(f"{STREAM}-audit")
    assert await plane.entries() == before


async def test_a_flood_of_refusals_is_bounded_and_counted_and_others_are_kept() -> None:
    settings = {"entries_per_caller": EACH}
    async with audited_plane(audit=settings, http=BEHIND_A_PROXY) as plane:
        await refuse_often(plane.by("jane"), 3)
        await refuse_often(plane.client, 3, token=None, client_address="203.0.113.1")
        await refuse_often(plane.by("mallory"), FLOOD)
        await refuse_often(plane.client, 10 * BURST, token=None, client_address="203.0.113.66")
        await refuse_often(plane.by("joe"), 3)
        entries, figures = await plane.settled(), await plane.figures()
        for sub in ("jane", "joe"):
            assert [each.dropped for each in entries_of(entries, "forbidden", sub)] == [0, 0, 0]
        mallory = entries_of(entries, "forbidden", "mallory")
        assert 1 <= len(mallory) <= EACH
        assert sum(each.dropped for each in mallory) > 0
        anonymous = entries_of(entries, "unauthenticated")
        innocent = [each for each in anonymous if each.client_address == "203.0.113.1"]
        guilty = [each for each in anonymous if each.client_address == "203.0.113.66"]
        assert (len(innocent), len(innocent) + len(guilty)) == (3, len(anonymous))
        assert len(guilty) <= EACH
        others = len([each for each in entries if each.type in ("login", "read")])
        assert figures["recorded"] + figures["dropped"] == FLOOD + 10 * BURST + 9 + others
        assert (figures["lost"], figures["pending"]) == (0, 0)
        remarks = (await plane.ready())["remarks"]
        (remark,) = [each for each in remarks if "audit entries" in each]
        assert str(figures["dropped"]) in remark


async def test_without_nats_requests_are_answered_and_audit_entries_wait() -> None:
    async with audited_plane(auth={"stale_seconds": 3600}) as plane:
        await refuse_often(plane.by("jane"), 1)
        await plane.settled()
        nats = plane.children.pid("nats")
        os.kill(nats, signal.SIGSTOP)
        try:
            await refuse_often(plane.by("joe"), 20)
            await refuse_often(plane.client, 20, token=None)
            await plane.until(nats_unavailable)
            assert (await plane.figures())["pending"] >= 40
            await refuse_often(plane.by("joe"), 5)
        finally:
            os.kill(nats, signal.SIGCONT)
        entries = await plane.settled()
        assert len(entries_of(entries, "forbidden", "joe")) == 25
        assert len(entries_of(entries, "unauthenticated")) == 20
        assert not nats_unavailable(await plane.ready())
        os.kill(plane.children.pid("nats"), signal.SIGKILL)  # and started again
        await refuse_often(plane.by("joe"), 5)
        entries = await plane.settled()
        assert len(entries_of(entries, "forbidden", "joe")) == 30
        assert (await plane.figures())["lost"] == 0


def nats_unavailable(ready: Any) -> bool:
    return any("does not answer" in each for each in ready["remarks"])


async def test_a_process_that_is_stopped_writes_the_waiting_entries_first() -> None:
    """Also the last entry of a flood, with the count of the refusals it stands for."""
    async with audited_plane() as plane:
        before = plane.children.pid("serve")
        await refuse_often(plane.by("mallory"), 3 * BURST)
        await refuse_often(plane.by("joe"), 3)
        os.kill(before, signal.SIGTERM)

        async def restarted() -> bool:
            return plane.children.pid("serve") != before

        await until(restarted, "the process has ended, and another one is started")
        await plane.client.back()
        entries = await plane.settled()
        assert len(entries_of(entries, "forbidden", "joe")) == 3
        mallory = entries_of(entries, "forbidden", "mallory")
        assert sum(1 + each.dropped for each in mallory) == 3 * BURST
        stops = [each for each in await plane.every_entry() if each.type == "process-stopped"]
        assert [each.path for each in stops] == ["serve"]
        assert stops[0].reason.startswith("stopped, version")
