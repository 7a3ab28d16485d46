"""`secaplane tenant`: create and delete tenants, and appoint their auditors, by commands on the
log, without a token."""

import sys
from collections.abc import Sequence

from secaplane.cli.config import Config
from secaplane.cli.operate.submitting import submitted
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Delete, Put
from secaplane.edge.requests.paths import broken_names
from secaplane.kinds import KINDS
from secaplane.model.errors import PreconditionFailed, Refusal
from secaplane.model.precondition import ABSENT

KIND, ASSIGNMENT = KINDS["tenant"], KINDS["role-assignment"]
AUDITORS = "auditors"
"""The name of the role assignment that `appoint_auditors` writes."""


async def create(config: Config, name: str, administrators: Sequence[str]) -> int:
    """Exit status 1 if the tenant exists; it stays unchanged.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
        Refusal: name or administrators are not valid.
    """
    sent = {"spec": {"administrators": list(administrators)}}
    body = BodyReader(region=config.site.region).read(KIND, sent, broken_names(KIND, {}, name))
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        try:
            put = Put(spec=body.spec, precondition=ABSENT)
            await submitted(process, config, KIND.ref({}, name), put, by="tenant create")
        except PreconditionFailed:
            return _failed(f"tenant {name} exists already")
    print(f"tenant {name} created; administrators: {', '.join(administrators)}")
    return 0


async def delete(config: Config, name: str) -> int:
    """Deletes an empty tenant with its roles and role assignments. Exit status 1 if it contains
    other resources; they are printed.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    ref = KIND.ref({}, name)
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        try:
            await submitted(process, config, ref, Delete(), by="tenant delete")
        except Refusal as refusal:
            blockers: Sequence[str] = refusal.meta.get("blockers", ())
            return _failed(refusal.detail, *blockers)
    print(f"tenant {name} is being deleted, with its roles and role assignments")
    return 0


async def appoint_auditors(config: Config, name: str, auditors: Sequence[str]) -> int:
    """Writes the role assignment that lets some callers read the tenant's history. Exit status 1 if
    there is no such tenant.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    spec = {"subs": list(auditors), "roles": ["secaplane.auditor"], "scopes": [{}]}
    ids = {"tenant": name}
    reader = BodyReader(region=config.site.region)
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        try:
            body = reader.read(ASSIGNMENT, {"spec": spec}, broken_names(ASSIGNMENT, ids, AUDITORS))
            ref, put = ASSIGNMENT.ref(ids, AUDITORS), Put(spec=body.spec)
            await submitted(process, config, ref, put, by="tenant auditors")
        except Refusal as refusal:
            return _failed(refusal.detail)
    print(f"auditors of the tenant {name}: {', '.join(auditors)}")
    return 0


def _failed(*lines: str) -> int:
    for line in lines:
        print(f"secaplane: {line}", file=sys.stderr)
    return 1
