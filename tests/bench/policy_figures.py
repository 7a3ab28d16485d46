"""The authorization policy: time of a decision, cached and not; time to load it; decisions that
differ from those of a single plain enforcer."""

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import asyncpg
import msgspec
from msgspec.structs import replace

from secaplane.cli.dev import embedded
from secaplane.cli.processes import gc_tuning
from secaplane.cli.processes.connections import ProcessDependencies, now, process_dependencies
from secaplane.cli.processes.issuers import trusted_issuers
from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.guard import Guard
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.serving.metrics import Metrics
from secaplane.kinds import KINDS
from secaplane.model.errors import Forbidden
from secaplane.model.shape import Json, Ref, Resource
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.policy.tokens.caller import Caller
from secaplane.policy.tokens.revocations import Revocations
from secaplane.policy.watch import PolicyWatch
from secaplane.readmodel.schema.resources import RESOURCES
from tests import plain_policy
from tests.bench.figures import Figure, figure
from tests.flows.client import Answer, at, client_of
from tests.flows.several import several
from tests.plane import RunningPlane, running_plane
from tests.positions import nth

ROLES, ASSIGNMENTS, MANY = 1_000, 10_000, 100_000
FIRSTS, REMEMBERED = 1_000, 20_000
POLICIES, QUESTIONS = 1_000, 200
REPEATS = 5
TENANT = "acme"
IDS = {"tenant": TENANT, "workspace": "web"}
INSTANCE = KINDS["instance"]
COLLECTIONS = ("instances", "skus", "images", "networks", "subnets")
SPREAD = (("images/*", 200), ("skus/*", 403))
"""Resources that a role allows to read, and the status of a list of images."""
COLLECTION = f"tenants/{TENANT}/role-assignments"
OFFERED = KINDS["storage-sku"].ref({"tenant": TENANT}, "one")
"""Readable for every caller with a role assignment."""
FILL = """
insert into resources (kind, collection, name, life, stream, path, uid, tenant, labels, document,
    resource, position, terminating, gone, unsettled, created_by_system)
select 'role-assignment', $1, 'a' || n, 1000000000 + n, 'SECA', $1 || '/a' || n, 'u' || n, '', '{}',
    '', replace($2, 'user-0', 'user-' || n), 1, false, false, false, false
from generate_series(1, $3::int) as n
"""


async def measure(gets_per_second: float) -> dict[str, Figure]:
    thresholds = gc.get_threshold()
    gc_tuning.starting()
    async with running_plane() as plane:
        starts = await _starts(plane)
        guarding = await _guarding_us(plane)
    few, many = _policy(ASSIGNMENTS), _policy(MANY)
    gc_tuning.ready()
    firsts = [_firsts_us(few, n) for n in range(REPEATS)]
    firsts_of_many = [_firsts_us(many, n) for n in range(REPEATS)]
    remembered = [_remembered_us(few) for _ in range(REPEATS)]
    growth = [
        statistics.median(b) / statistics.median(a)
        for a, b in zip(firsts, firsts_of_many, strict=True)
    ]
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    return {
        "may_cached_us": figure([_p99(each) for each in remembered], "us"),
        "may_first_us": figure([_p99(each) for each in firsts], "us"),
        "may_growth": figure(growth, "ratio"),
        "may_disagreements": figure([_disagreements()], "of 200k"),
        "guard_share": figure([each * gets_per_second / 10_000 for each in guarding], "%"),
        "policy_spread_ms": figure(await _spread_ms(), "ms"),
        **starts,
    }


def _policy(assignments: int) -> Policy:
    """The policy of one tenant: each caller has one role of 50 rules, in two workspaces or all."""
    policy = Policy(operators=(), region="eu-1", fresh=lambda: True)
    policy.reset(nth(1))
    policy.update(map(_a_role, range(ROLES)), nth(1))
    policy.update(map(_assignment, range(assignments)), nth(1))
    return policy


def _a_role(n: int) -> Resource:
    resources = [f"{name}/*" for name in COLLECTIONS] + [f"{name}/r{n}" for name in COLLECTIONS]
    verbs = ["get", "list", "put", "delete", "post"]
    permission = {"provider": "seca.compute/v1", "resources": resources, "verb": verbs}
    return _made(Ref("role", f"tenants/{TENANT}/roles/r{n}"), {"permissions": [permission]})


def _assignment(n: int) -> Resource:
    scope: Json = {"workspaces": ["web", "two"]} if n % 2 else {}
    spec = {"subs": [f"user-{n}"], "roles": [f"r{n % ROLES}"], "scopes": [scope]}
    return _made(Ref("role-assignment", f"tenants/{TENANT}/role-assignments/a{n}"), spec)


def _made(ref: Ref, spec: Json) -> Resource:
    return Resource(
        ref=ref,
        uid="",
        spec=spec,
        version=1,
        position=nth(1),
        time=_NOON,
        life=nth(1),
        created_at=_NOON,
        modified_at=_NOON,
        last_intent=nth(1),
    )


_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _firsts_us(policy: Policy, repeat: int) -> list[float]:
    """Times of the first decision for each caller; each repeat has callers of another issuer."""
    return [
        _took_us(policy, Caller(f"iss-{repeat}", f"user-{n}"), "put", f"i{n}")
        for n in range(FIRSTS)
    ]


def _remembered_us(policy: Policy) -> list[float]:
    callers = [Caller("iss", f"user-{n}") for n in range(FIRSTS)]
    for caller in callers:
        _took_us(policy, caller, "get", "one")
    return [
        _took_us(policy, caller, "get", "one")
        for caller in random.Random(0).choices(callers, k=REMEMBERED)
    ]


def _took_us(policy: Policy, caller: Caller, verb: str, name: str) -> float:
    began = time.perf_counter_ns()
    policy.authorize(caller, verb, INSTANCE, IDS, name)
    return (time.perf_counter_ns() - began) / 1000


def _p99(values: Iterable[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _disagreements() -> int:
    """Decision, explanation and one plain enforcer over the whole policy, each request once."""
    luck = random.Random(0)
    return sum(_of_one_policy(luck) for _ in range(POLICIES))


def _of_one_policy(luck: random.Random) -> int:
    resources = plain_policy.random_policy(luck)
    policy, plain = plain_policy.policy(resources), plain_policy.Plain(resources)
    found = 0
    for _ in range(QUESTIONS):
        asked = plain_policy.random_request(luck)
        try:
            policy.authorize(*asked)
            allowed = True
        except Forbidden:
            allowed = False
        explained = policy.explain(*asked).rule is not None
        found += not (allowed == explained == plain.allows(asked))
    return found


async def _starts(plane: RunningPlane) -> dict[str, Figure]:
    """Time to load assignments from tables that hold 100,000; they are not in the log."""
    await _fill(plane)
    settings = plane.dev.config
    config = replace(
        settings,
        nats=replace(settings.nats, url=plane.dev.nats("everything")),
        postgres=replace(settings.postgres, url=plane.dev.postgres(embedded.OWNER)),
    )
    async with process_dependencies(config) as process:
        started = [await _started(process, config.nats.stream) for _ in range(REPEATS)]
    return {
        "policy_start_s": figure([took for took, _ in started], "s"),
        "policy_start_block_ms": figure([1000 * longest for _, longest in started], "ms"),
    }


async def _fill(plane: RunningPlane) -> None:
    template = msgspec.json.encode(_assignment(0)).decode()
    connection = await asyncpg.connect(plane.dev.postgres(embedded.OWNER))
    try:
        await connection.execute(f"set search_path to {RESOURCES.first}")
        await connection.execute(FILL, COLLECTION, template, MANY)
        await connection.execute("vacuum analyze resources")
    finally:
        await connection.close()


async def _started(process: ProcessDependencies, stream: str) -> tuple[float, float]:
    """Seconds until the policy is loaded, and the longest pause of other tasks meanwhile."""
    watch = PolicyWatch(process.log, process.cache, stale_s=30)
    policy = Policy(operators=(), region="eu-1", fresh=watch.fresh)
    watch.subscribe(policy, KINDS_OF_POLICY)
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    waiting = asyncio.create_task(others())
    await asyncio.sleep(0.01)
    longest, began = 0.0, time.perf_counter()
    await watch.start(process.pool)
    took = time.perf_counter() - began
    waiting.cancel()
    assert policy.allows(Caller("iss", f"user-{MANY}"), "get", OFFERED)
    return took, longest


async def _guarding_us(plane: RunningPlane) -> list[float]:
    """Token and policy of one GET after the other, as in a process that has seen the caller."""
    config, policy = plane.dev.config, _policy(ASSIGNMENTS)
    policy.update([_administrator(config.dev.administrator)], nth(2))
    scope = {"method": "GET", "path": "/", "headers": [*HEADERS, _authorization(plane)]}
    async with trusted_issuers(config, Revocations(), Metrics()) as trusted:
        recorder = AuditRecorder(lambda entry: None, clock=now, membership=policy.membership)
        guard = Guard(trusted.tokens, policy, recorder)
        await guard.admit(RequestContext(scope), "get", INSTANCE, IDS, "one")
        return [await _guarded_us(guard, scope) for _ in range(REPEATS)]


async def _guarded_us(guard: Guard, scope: Json) -> float:
    visits = [RequestContext(scope) for _ in range(REMEMBERED)]
    began = time.perf_counter_ns()
    for context in visits:
        await guard.admit(context, "get", INSTANCE, IDS, "one")
    return (time.perf_counter_ns() - began) / 1000 / REMEMBERED


def _administrator(sub: str) -> Resource:
    spec = {"subs": [sub], "roles": ["seca.admin"], "scopes": [{}]}
    return _made(Ref("role-assignment", f"{COLLECTION}/administrators"), spec)


def _authorization(plane: RunningPlane) -> tuple[bytes, bytes]:
    return b"authorization", plane.headers["Authorization"].encode()


HEADERS = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"user-agent", b"bench")]


async def _spread_ms() -> list[float]:
    """Times from the answer to a policy change until another process applies it."""
    async with (
        several() as (made, reader),
        client_of(made.dev.url, made.token) as boss,
        client_of(reader, made.dev.token("reader")) as there,
    ):
        tenant = made.dev.config.dev.tenant
        role, images = at("role", "reader", tenant=tenant), at("image", tenant=tenant)
        held = {"subs": ["reader"], "roles": ["reader"], "scopes": [{}]}
        await boss.made(role, _reading("skus/*"))
        await boss.made(at("role-assignment", "readers", tenant=tenant), {"spec": held})
        found = []
        for pattern, status in SPREAD * REPEATS:
            await boss.put(role, _reading(pattern))
            began = time.perf_counter()
            await there.until(images, partial(_answers, status))
            found.append(1000 * (time.perf_counter() - began))
    return found


def _answers(status: int, answer: Answer) -> bool:
    return answer.status == status


def _reading(pattern: str) -> Json:
    permission = {"provider": "seca.storage/v1", "resources": [pattern], "verb": ["get", "list"]}
    return {"spec": {"permissions": [permission]}}
