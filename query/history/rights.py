"""The roles and role assignments of one tenant as they were, as a policy that decides what a caller
could do then. It serves access reviews; no request is authorized by it."""

import asyncio
from collections.abc import Iterable

from secaplane.kinds import KINDS
from secaplane.kinds.views import AS_OF
from secaplane.model.errors import Unavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.policy.grants.lives import KINDS_OF_LIVES
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.query.history.lives import began_in_present_lives, decode_resource
from secaplane.query.history.points import AsOf, as_of
from secaplane.query.history.read import HistoryDependencies, snapshot
from secaplane.readmodel.questions import history
from secaplane.readmodel.schema.tables import Tx

READ_BYTES_MAX = 16 * 1024 * 1024
AT_ONCE = 50
"""Resources that are taken into the policy without a pause."""
TOO_MANY = "the tenant had too many roles and role assignments then to be judged in time"


async def policy_as_of(
    dependencies: HistoryDependencies, operators: Iterable[str], tenant: str, text: str
) -> Policy:
    """The policy of a tenant as of a point of the past; `operators` are those of today's
    configuration. Its revision is the newest event of a role or an assignment that counts in it.

    Raises:
        Malformed: the text names no point of the past.
        Unavailable: the history cannot answer in time, or there is too much to judge.
    """
    moment = as_of(text, AS_OF, now=dependencies.clock())
    policy = Policy(operators=operators, region=dependencies.region, fresh=lambda: True)
    async with snapshot(dependencies, KINDS["role"], [moment], ()) as tx:
        await _take(tx, policy, tenant, moment)
        for kind in KINDS_OF_LIVES:
            by_then = await _in_stream(tx, moment, dependencies.stream(kind))
            await _take_lives(tx, policy, kind, tenant, by_then)
    return policy


async def _take(tx: Tx, policy: Policy, tenant: str, moment: AsOf) -> None:
    above = await history.newest_events(tx, [KINDS["tenant"].ref({}, tenant)])
    read, number, revision = 0, 0, BEGINNING
    for kind in KINDS_OF_POLICY:
        collection = KINDS[kind].collection.format_map({"tenant": tenant})
        rows = history.living_within(tx, kind, collection, moment, newest_life=True)
        async for row in rows:
            read, number = read + len(row.resource), number + 1
            if read > READ_BYTES_MAX:
                raise Unavailable(TOO_MANY)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # others are answered meanwhile
            resource = decode_resource(row.resource)
            if began_in_present_lives(resource, above):
                revision = max(revision, row.position)
                policy.update([resource], revision)


async def _take_lives(tx: Tx, policy: Policy, kind: str, tenant: str, by_then: AsOf) -> None:
    """Workspaces that lived then, also in lives that are not shown: a scope grants nothing in a
    life that began after the assignment was written and a former life was removed."""
    collection = KINDS[kind].collection.format_map({"tenant": tenant})
    read = 0
    async for row in history.living_within(tx, kind, collection, by_then):
        read += len(row.resource)
        if read > READ_BYTES_MAX:
            raise Unavailable(TOO_MANY)
        policy.former_workspaces.update([decode_resource(row.resource)], BEGINNING)


async def _in_stream(tx: Tx, moment: AsOf, stream: str) -> AsOf:
    """A moment that can be compared with the events of a stream: of a position of another one, the
    time."""
    if not isinstance(moment, Position) or not moment or moment.stream == stream:
        return moment
    return await history.time_of(tx, moment) or BEGINNING
