"""`secaplane retention apply`: the callers of events are erased whose time is over."""

from collections.abc import Sequence

from secaplane.cli.config import Config
from secaplane.cli.operate.destruction import destroy
from secaplane.cli.operate.keys import PATH
from secaplane.cli.processes.connections import connected_log, now, with_deadline
from secaplane.cli.processes.keys import key_store
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.kinds import KINDS
from secaplane.model.events import RecordedEvent
from secaplane.sealing.keys.key_store import KeysUnavailable
from secaplane.sealing.keys.retention import expired


async def apply(config: Config, *, dry_run: bool) -> int:
    """Destroys the person keys of months beyond `keys.person_months`, but those of tenants in
    `keys.holds`, and prints their names.

    Raises:
        BadConfig: no retention is set, or there is no `keys.keyring`.
        LogUnavailable: NATS is unavailable.
    """
    months = config.keys.person_months
    if not months:
        raise BadConfig("keys.person_months is 0: callers are kept without end")
    async with with_deadline(connected_log(config)) as (client, log, _):
        held = [life for name in config.keys.holds for life in await lives_of(log, name)]
        try:
            names = await key_store(config, client).names()
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error
        over = expired(names, now().date(), months, held)
        if over and not dry_run:
            why = f"retention of {months} months"
            await destroy(config, client, over, command="retention apply", why=why, path=PATH)
    for each in over:
        print(f"{each} {'would be destroyed' if dry_run else 'destroyed'}")
    return 0


async def lives_of(log: Log, tenant: str) -> Sequence[str]:
    """The uids of all lives of a tenant."""
    history = await log.history(KINDS["tenant"].ref({}, tenant))
    return list(dict.fromkeys(each.uid for each in history if isinstance(each, RecordedEvent)))
