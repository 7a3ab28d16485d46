"""Commands for operators that need no token: `tenant` and `may`."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from secaplane.cli.config import PREFIX
from secaplane.model.shape import Json
from tests.flows.client import READS, Client, at
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.problems import refused
from tests.flows.test_access_reviews import disk, status


@pytest.fixture
def boss(client: Client, plane: DevProcess, tenant: str) -> Client:
    return client.by(plane.token(f"boss-{tenant}"))


async def console(plane: DevProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    environment |= {
        "SECAPLANE_NATS_URL": plane.details.nats,
        "SECAPLANE_POSTGRES_URL": plane.details.postgres,
    }
    config = ("--config", str(plane.folder / "config.json"))
    return await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-P", "-m", "secaplane.cli.main", *arguments, *config),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def create(plane: DevProcess, tenant: str) -> None:
    done = await console(plane, "tenant", "create", tenant, "--administrator", f"boss-{tenant}")
    assert done.returncode == 0, done.stderr
    assert tenant in done.stdout


# --- tenants


async def test_a_created_tenant_has_its_administrator(
    plane: DevProcess, boss: Client, operator: Client, tenant: str
) -> None:
    await create(plane, tenant)
    await boss.until(at("workspace", tenant=tenant), lambda answer: answer.status == 200)
    assert (await boss.put(at("workspace", "first", tenant=tenant), {})).status == 201
    await operator.active(at("tenant", tenant))
    again = await console(plane, "tenant", "create", tenant, "--administrator", "jane")
    assert (again.returncode, again.stdout) == (1, "")
    assert "exists already" in again.stderr
    kept = (await operator.get(at("tenant", tenant))).json["spec"]
    assert kept == {"administrators": [f"boss-{tenant}"]}


async def test_a_tenant_with_a_workspace_is_not_deleted(
    plane: DevProcess, boss: Client, operator: Client, tenant: str
) -> None:
    await create(plane, tenant)
    await boss.until(at("workspace", tenant=tenant), lambda answer: answer.status == 200)
    await boss.made(at("workspace", "first", tenant=tenant), {})
    refused_ = await console(plane, "tenant", "delete", tenant)
    assert (refused_.returncode, refused_.stdout) == (1, "")
    assert f"seca.workspace/v1/tenants/{tenant}/workspaces/first" in refused_.stderr
    await operator.active(at("tenant", tenant))
    assert (await boss.get(at("workspace", "first", tenant=tenant))).status == 200


async def test_a_tenant_is_deleted_with_its_roles_and_role_assignments(
    plane: DevProcess, boss: Client, operator: Client, tenant: str
) -> None:
    await create(plane, tenant)
    roles = at("role", tenant=tenant)
    await boss.until(roles, lambda answer: answer.status == 200)
    await boss.made(f"{roles}/reader", {"spec": READS})
    spec = {"subs": ["x"], "roles": ["reader"], "scopes": [{}]}
    await boss.made(at("role-assignment", "readers", tenant=tenant), {"spec": spec})
    done = await console(plane, "tenant", "delete", tenant)
    assert (done.returncode, done.stderr) == (0, "")
    await operator.gone(at("tenant", tenant))
    await boss.until(roles, lambda answer: answer.status == 403)
    assert refused(await boss.get(at("workspace", tenant=tenant)), 403) == []
    assert refused(await boss.put(at("workspace", "late", tenant=tenant), {}), 403) == []
    unknown = await console(plane, "tenant", "delete", tenant)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    await create(plane, tenant)
    await boss.until(roles, lambda answer: answer.status == 200)
    assert "reader" not in (await boss.get(roles)).names
    assert (await boss.get(at("role-assignment", tenant=tenant))).names == ["administrators"]


async def test_a_tenant_needs_a_valid_name_and_an_administrator(plane: DevProcess) -> None:
    for name in ("UPPER", "x" * 65):
        done = await console(plane, "tenant", "create", name, "--administrator", "jane")
        assert (done.returncode, done.stdout) == (1, "")
        assert "lower-case" in done.stderr
    assert (await console(plane, "tenant", "create", "alone")).returncode == 2


# --- authorization


async def test_may_answers_like_an_access_review(client: Client, plane: DevProcess) -> None:
    path = disk("w")
    for caller, code in (("admin@example.org", 0), ("nobody@example.org", 1)):
        done = await console(plane, "may", caller, "put", path)
        assert (done.returncode, done.stderr) == (code, "")
        assert_same_status(done, await status(client, caller=caller, verb="put", path=path))
    done = await console(plane, "may", "-", "put", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_status(done, await status(client, verb="put", path=path))


def assert_same_status(done: subprocess.CompletedProcess[str], answered: Json) -> None:
    """The revision of `may` may be later: a new process has read the log up to its start."""
    printed: Json = json.loads(done.stdout)
    assert printed.pop("policyRevision") >= answered.pop("policyRevision")
    assert printed == answered


async def test_may_knows_the_operators_of_the_configuration(
    plane: DevProcess, details: DevDetails
) -> None:
    operator = "operator@secaplane.dev"
    done = await console(plane, "may", operator, "put", at("tenant", "demo"))
    assert (done.returncode, json.loads(done.stdout)["by"]["assignment"]) == (0, "configuration")
    done = await console(plane, "may", operator, "delete", at("revocation", "x"))
    assert done.returncode == 0


async def test_may_refuses_unknown_paths_and_verbs(plane: DevProcess) -> None:
    for question in (("x", "put", "/nowhere"), ("x", "patch", at("role"))):
        done = await console(plane, "may", *question)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("secaplane: ")
