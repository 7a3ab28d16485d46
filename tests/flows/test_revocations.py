"""A revoked token is refused: at once by the process that took the revocation, soon by others."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiohttp
import jwt
import pytest

from secaplane.cli.config import PREFIX
from secaplane.cli.dev.issuer import ALGORITHM, KID, DevIssuer
from secaplane.cli.dev.plane import OPERATOR
from secaplane.model.shape import Json
from tests.flows.client import POLL_S, REACHED_S_MAX, Client, at, client_of
from tests.flows.dev_plane import DevProcess
from tests.flows.problems import refused
from tests.flows.several import several
from tests.plane import RunningPlane

REGIONS = at("region")


@pytest.fixture
def sub(workspace: str) -> str:
    """A caller that no other test uses."""
    return f"{workspace}@example.org"


def jti(token: str) -> str:
    claim: str = jwt.decode(token, options={"verify_signature": False})["jti"]
    return claim


def revocation(token: str) -> Json:
    return {"spec": {"jti": jti(token)}}


def before(sub: str, seconds_from_now: float) -> Json:
    moment = datetime.now(UTC) + timedelta(seconds=seconds_from_now)
    return {"spec": {"sub": sub, "issuedBefore": moment.isoformat()}}


async def accepted(client: Client, token: str) -> bool:
    answer = await client.get(REGIONS, token=token)
    if answer.status == 200:
        return True
    assert refused(answer, 401) == []
    assert "revoked" in answer.json["detail"]
    return False


# --- effect


async def test_a_revoked_token_is_refused_until_the_revocation_is_deleted(
    client: Client, operator: Client, plane: DevProcess, sub: str, workspace: str
) -> None:
    path = at("revocation", workspace)
    token, other = plane.token(sub), plane.token(sub)
    for _ in range(3):
        assert await accepted(client, token)
        assert (await operator.put(path, revocation(token))).status == 201
        assert not await accepted(client, token)
        assert await accepted(client, other)
        assert (await operator.delete(path)).status == 202
        assert await accepted(client, token)
        await operator.gone(path)


async def test_tokens_of_a_subject_issued_before_a_time_are_refused(
    client: Client, operator: Client, plane: DevProcess, sub: str, workspace: str
) -> None:
    path, token = at("revocation", workspace), plane.token(sub)
    assert (await operator.put(path, before(sub, -3600))).status == 201
    assert await accepted(client, token)
    assert (await operator.put(path, before(sub, 3600))).status == 200
    assert not await accepted(client, token)
    assert not await accepted(client, plane.token(sub))
    assert not await accepted(client, without_issue_time(plane, sub))
    assert await accepted(client, plane.token(f"other-{sub}"))
    assert (await operator.delete(path)).status == 202
    assert await accepted(client, token)


def without_issue_time(plane: DevProcess, sub: str) -> str:
    claims = jwt.decode(plane.token(sub), options={"verify_signature": False})
    del claims["iat"]
    issuer = DevIssuer.kept(plane.folder / "issuer.json", plane.folder / "jwks.json", claims["iss"])
    key = jwt.PyJWK(issuer.key, algorithm=ALGORITHM)
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": KID})


async def test_a_revoked_operator_token_cannot_delete_its_revocation(
    client: Client, operator: Client, plane: DevProcess, workspace: str
) -> None:
    other = client.by(plane.token(OPERATOR))
    token = plane.token(OPERATOR)
    assert (await other.put(at("revocation", workspace), revocation(token))).status == 201
    again = client.by(token)
    assert refused(await again.delete(at("revocation", workspace)), 401) == []
    assert (await operator.delete(at("revocation", workspace))).status == 202


async def test_revocations_are_resources_like_others(
    client: Client, operator: Client, plane: DevProcess, sub: str, workspace: str
) -> None:
    path, spec = at("revocation", workspace), {"jti": "gone", "reason": "unknown here"}
    made = await operator.put(path, {"spec": {"jti": "lost-laptop"}, "labels": {"why": "lost"}})
    assert made.json["metadata"]["ref"] == f"secaplane.admin/v1/revocations/{workspace}"
    found = await operator.active(path)
    assert (found.json["spec"], found.json["labels"]) == ({"jti": "lost-laptop"}, {"why": "lost"})
    assert workspace in (await operator.get(at("revocation"))).names
    assert refused(await operator.put(path, {"spec": spec}), 422)
    await operator.delete(path)
    await operator.gone(path)


# --- permission and validation


async def test_only_operators_may_revoke(client: Client, plane: DevProcess, workspace: str) -> None:
    path = at("revocation", workspace)
    for caller in (client, client.by(plane.token("stranger"))):
        for answer in (
            await caller.put(path, {"spec": {"jti": "x"}}),
            await caller.get(path),
            await caller.get(at("revocation")),
            await caller.delete(path),
        ):
            assert refused(answer, 403) == []


@pytest.mark.parametrize(
    ("spec", "pointers"),
    [
        ({}, ["/spec"]),
        ({"jti": "x", "sub": "y", "issuedBefore": "2026-01-01T00:00:00Z"}, None),
        ({"jti": "x", "issuedBefore": "2026-01-01T00:00:00Z"}, ["/spec/issuedBefore"]),
        ({"jti": "x", "sub": "y"}, ["/spec/sub"]),
        ({"sub": "y"}, ["/spec/issuedBefore"]),
        ({"issuedBefore": "2026-01-01T00:00:00Z"}, ["/spec/sub"]),
        ({"sub": "y", "issuedBefore": "2026-01-01T00:00:00"}, None),
        ({"sub": "y", "issuedBefore": "yesterday"}, None),
        ({"sub": "y", "issuedBefore": 1767225600}, None),
        ({"jti": ""}, ["/spec/jti"]),
        ({"jti": "x" * 129}, ["/spec/jti"]),
        ({"jti": None}, ["/spec"]),
    ],
    ids=str,
)
async def test_a_revocation_names_either_a_token_or_a_subject(
    operator: Client, workspace: str, spec: Json, pointers: list[str] | None
) -> None:
    answer = await operator.put(at("revocation", workspace), {"spec": spec})
    actual = [pointer for pointer, _ in refused(answer, 422)]
    assert actual
    assert pointers in (None, actual)


# --- the revoke command


def run_revoke(plane: DevProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    environment |= {
        "SECAPLANE_NATS_URL": plane.details.nats,
        "SECAPLANE_POSTGRES_URL": plane.details.postgres,
    }
    config = str(plane.folder / "config.json")
    return subprocess.run(
        (
            sys.executable,
            "-P",
            "-m",
            "secaplane.cli.main",
            "revoke",
            "--config",
            config,
            *arguments,
        ),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_revoke_command_needs_no_token(
    client: Client, operator: Client, plane: DevProcess, sub: str
) -> None:
    first, second = plane.token(sub), plane.token(sub)
    done = run_revoke(plane, "--jti", jti(first))
    assert done.returncode == 0, done.stderr
    name = done.stdout.split()[1].rstrip(";")
    by_first = client.by(first)
    await by_first.until(REGIONS, lambda answer: answer.status == 401)
    assert await accepted(client, second)
    assert (await operator.delete(at("revocation", name))).status == 202
    assert await accepted(client, first)
    done = run_revoke(plane, "--sub", sub)
    assert (done.returncode, done.stdout) == (1, "")
    assert "issuedBefore" in done.stderr
    done = run_revoke(plane, "--sub", sub, "--before", "2126-01-01T00:00:00Z")
    assert done.returncode == 0, done.stderr
    await client.by(second).until(REGIONS, lambda answer: answer.status == 401)


# --- in every process


async def test_a_revocation_takes_effect_in_every_process_and_after_a_restart() -> None:
    async with several() as (made, query):
        await _takes_effect(made, query)


async def _takes_effect(made: RunningPlane, query: str) -> None:
    plane, path, token = made.dev, at("revocation", "everywhere"), made.dev.token("jane")
    async with (
        client_of(plane.url, plane.token(OPERATOR)) as operator,
        client_of(plane.url, token) as local,
        client_of(query, token) as remote,
    ):
        assert (await remote.get(REGIONS)).status == 200
        assert (await operator.put(path, revocation(token))).status == 201
        assert (await local.get(REGIONS)).status == 401
        await remote.until(REGIONS, lambda answer: answer.status == 401)
        assert (await operator.delete(path)).status == 202
        assert (await local.get(REGIONS)).status == 200
        await remote.until(REGIONS, lambda answer: answer.status == 200)
        await operator.gone(path)
        await operator.made(path, revocation(token))
        former = made.children.pid("query")
        os.kill(former, signal.SIGKILL)
        async with asyncio.timeout(REACHED_S_MAX):
            while True:
                with suppress(aiohttp.ClientError):
                    assert (await remote.get(REGIONS)).status == 401
                    if made.children.pid("query") != former:
                        break
                await asyncio.sleep(POLL_S)
