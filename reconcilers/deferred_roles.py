"""Reports, in the newest condition of a role assignment, why a deferred role is not bound.

Only where the site defers roles (`references.role_assignment_roles`): elsewhere a role exists
before its assignment. The decision itself is the policy's, in each process that answers requests.
"""

import asyncio
import logging
from collections.abc import Iterable

from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.model.position import Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, State
from secaplane.policy.grants.assignments import AssignmentIndex, PolicyResource
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.policy.watch import REFRESH_INTERVAL_S, PolicyWatch
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers.dependencies import ReconcileDependencies, record
from secaplane.reconcilers.reports import status_report

NOT_BOUND, BOUND = "RoleNotBound", "RolesBound"
UNAVAILABLE = (LogUnavailable, *DATABASE_UNAVAILABLE)
log = logging.getLogger("secaplane.reconcilers")


class ChangedTenants:
    """The tenants whose policy has changed (a `policy.watch.PolicySubscriber`)."""

    def __init__(self) -> None:
        self._tenants: set[str] = set()

    def reset(self, revision: Position) -> None:
        self._tenants.clear()

    def update(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        refs = (*(each.ref for each in resources), *undecodable)
        self._tenants.update(ref.scope("tenants") for ref in refs)

    def take(self) -> set[str]:
        taken, self._tenants = self._tenants, set()
        return taken


async def report_unbound(
    dependencies: ReconcileDependencies, watch: PolicyWatch, policy: Policy, pool: Pool
) -> None:
    """Follow the policy, and report after each change. Runs until it is cancelled."""
    changed = ChangedTenants()
    watch.subscribe(changed, KINDS_OF_POLICY)
    started, due = False, set[str]()
    while True:
        try:
            await (watch.refresh() if started else watch.start(pool))
            started, due = True, due | changed.take()
            for tenant in sorted(due):
                await report_tenant(dependencies, policy.index, tenant)
                due.discard(tenant)
        except (*UNAVAILABLE, Refusal) as error:
            log.warning("deferred roles could not be judged", extra={"reason": reason_of(error)})
        await asyncio.sleep(REFRESH_INTERVAL_S)


async def report_tenant(
    dependencies: ReconcileDependencies, index: AssignmentIndex, tenant: str
) -> None:
    """Report on every assignment of a tenant that has deferred roles."""
    for ref, text in unbound_texts(index, tenant).items():
        try:
            await _report(dependencies, ref, text)
        except Undecodable as error:
            log.error("a role assignment cannot be decoded", extra={"reason": reason_of(error)})


def unbound_texts(index: AssignmentIndex, tenant: str) -> dict[Ref, str]:
    """For each assignment with deferred roles: which are not bound and why; empty if all are."""
    texts = dict[Ref, list[str]]()
    for (ref, role), why in index.deferred(tenant).items():
        author = index.author(ref).sub or "unknown"
        why = why and f"role {role} grants {why}, which the author {author} does not hold"
        texts.setdefault(ref, []).extend([why] if why else [])
    return {ref: "; ".join(each) for ref, each in texts.items()}


async def _report(dependencies: ReconcileDependencies, ref: Ref, text: str) -> None:
    """Replace the text of the newest condition, unless a reconciliation is still due."""
    current = await dependencies.commands.cache.current(ref)
    if current is None or current.terminating or current.unsettled:
        return
    newest = current.conditions[0]
    if text == newest.message or not (text or newest.reason == NOT_BOUND):
        return
    reason, message = (NOT_BOUND, text) if text else (BOUND, "its roles are bound")
    await record(
        dependencies, current, status_report(current, State.ACTIVE, reason=reason, message=message)
    )
