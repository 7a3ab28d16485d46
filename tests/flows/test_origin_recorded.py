"""Every accepted write records its origin in the event: client address, user agent, traceparent."""

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from tests.flows.auditing import audited_plane
from tests.flows.client import Client, at
from tests.flows.dev_plane import DevDetails
from tests.opened_log import opened_log
from tests.servers import connected

WORKSPACE = KINDS["workspace"]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADERS = {
    "X-Forwarded-For": "198.51.100.7, 203.0.113.9",
    "User-Agent": "terraform-provider-seca/1.0 (\t" + "x" * 300,
    "traceparent": TRACEPARENT,
    "tracestate": "vendor=secret",
}
USER_AGENT = ("terraform-provider-seca/1.0 (" + "x" * 300)[:256]


async def actors(log: JetStreamLog, tenant: str, workspace: str) -> list[Actor]:
    """Of the events that callers caused."""
    history = await log.read(WORKSPACE.ref({"tenant": tenant}, workspace))
    sealed = [each for each in history if isinstance(each.actor, str)]
    return [
        await log.seals.actor(each.actor, each.ref, each.uid, each.tenant, each.request)
        for each in sealed
        if isinstance(each.actor, str)
    ]


async def test_without_a_trusted_proxy_the_peer_is_the_client(
    client: Client, log: JetStreamLog, details: DevDetails, workspace: str
) -> None:
    path = at("workspace", workspace)
    assert (await client.put(path, {}, **HEADERS)).status == 201
    invalid = {"User-Agent": "", "traceparent": TRACEPARENT.upper()}
    assert (await client.put(path, {"labels": {"a": "b"}}, **invalid)).status == 200
    assert (await client.delete(path, **HEADERS)).status == 202
    created, updated, deleted = await actors(log, details.tenant, workspace)
    for each in (created, deleted):
        assert each.client_address == "127.0.0.1"
        assert (each.user_agent, each.traceparent) == (USER_AGENT, TRACEPARENT)
    assert (updated.client_address, updated.traceparent) == ("127.0.0.1", "")
    assert created.token


async def test_behind_a_trusted_proxy_the_client_is_the_one_it_names() -> None:
    async with audited_plane(http={"trusted_proxies": ["127.0.0.1"]}) as plane:
        answer = await plane.client.put(at("workspace", "w"), {}, **HEADERS)
        assert answer.status == 201
        async with connected(plane.dev.nats("everything")) as nats:
            log = opened_log(plane.dev.config, nats)
            (created, *_) = await actors(log, plane.dev.config.dev.tenant, "w")
    assert created.client_address == "203.0.113.9"
    assert (created.user_agent, created.traceparent) == (USER_AGENT, TRACEPARENT)
