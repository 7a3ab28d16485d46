"""Destruction of keys by an operator, recorded in the security audit stream."""

import getpass
from collections.abc import Sequence
from uuid import uuid4

from nats.aio.client import Client

from secaplane.audit.entries import EntryCaller, entry
from secaplane.audit.stream import AuditStream, PendingEntry, PublishResult
from secaplane.cli.config import Config
from secaplane.cli.processes.audit import limits
from secaplane.cli.processes.connections import now
from secaplane.cli.processes.keys import data_keys
from secaplane.eventlog.log import LogUnavailable
from secaplane.sealing.keys.data_key import KeyName
from secaplane.sealing.keys.key_store import KeysUnavailable

KEYS_PER_ENTRY = 100


async def destroy(
    config: Config, client: Client, names: Sequence[KeyName], *, command: str, why: str, path: str
) -> None:
    """Destroys keys, then records which. Done again, it completes what was interrupted, and records
    all of them again: a key may be recorded twice, and never not at all.

    Raises:
        BadConfig: there is no `keys.keyring`.
        LogUnavailable: the store or the audit stream does not answer; run the command again.
    """
    keys, by = data_keys(config, client, now), f"secaplane {command} by {getpass.getuser()}"
    destroyed = list[str]()
    try:
        for name in names:
            destroyed.append(f"{name}:{(await keys.destroy(name, by, why)).id}")
    except KeysUnavailable as error:
        raise LogUnavailable(str(error)) from error
    await record(config, client, destroyed, by=by, why=why, path=path)


async def record(
    config: Config, client: Client, destroyed: Sequence[str], *, by: str, why: str, path: str
) -> None:
    """Raises LogUnavailable where the audit stream has not stored the entries."""
    stream = AuditStream(client, stream=config.nats.stream)
    for begin in range(0, len(destroyed), KEYS_PER_ENTRY):
        some = tuple(destroyed[begin : begin + KEYS_PER_ENTRY])
        made = entry(
            "key-destroyed",
            time=now(),
            request=uuid4().hex,
            client_address="",
            caller=EntryCaller(sub=by),
            verb="destroy",
            path=path,
            reason=f"{len(some)} keys: {why}",
            keys=some,
        )
        (result,) = await stream.publish([PendingEntry(uuid4().hex, made)])
        if result is PublishResult.UNANSWERED:
            raise LogUnavailable(
                "the keys are destroyed, and the audit stream did not record it: run this again"
            )
        if result is PublishResult.REJECTED:
            await stream.create(limits(config), replicas=config.nats.replicas)
            raise LogUnavailable("the audit stream rejected the record: run this again")
