"""`secaplane retention apply`: the callers of old events, and the secrets of resources that are
gone, are erased when their time is over."""

from collections.abc import Sequence

from secaplane.cli.config import Config
from secaplane.cli.operate import secret_retention
from secaplane.cli.operate.destruction import destroy
from secaplane.cli.operate.keys import PATH
from secaplane.cli.operate.legal_holds import held_lives
from secaplane.cli.processes.connections import connected_log, now, with_deadline
from secaplane.cli.processes.keys import key_store
from secaplane.eventlog.log import LogUnavailable
from secaplane.sealing.keys.data_key import KeyName
from secaplane.sealing.keys.key_store import KeysUnavailable
from secaplane.sealing.keys.retention import expired


async def apply(config: Config, *, dry_run: bool) -> int:
    """Destroys the person keys of months beyond `keys.person_months`, and the secret keys of
    resources that are gone for `keys.secret_days`, but those of tenants in `keys.holds`. Prints
    their names.

    Raises:
        BadConfig: there is no `keys.keyring`.
        LogUnavailable: NATS is unavailable.
    """
    months, days, time = config.keys.person_months, config.keys.secret_days, now()
    over = list[tuple[Sequence[KeyName], str]]()
    async with with_deadline(connected_log(config)) as (client, log, _):
        held, store = await held_lives(config, log), key_store(config, client)
        try:
            if months:
                persons = expired(await store.names(), time.date(), months, held)
                over.append((persons, f"retention of {months} months"))
            secrets = await secret_retention.over(log, store, held, time, days)
            over.append((secrets, f"the resource is gone for {days} days"))
        except KeysUnavailable as error:
            raise LogUnavailable(str(error)) from error
        for names, why in over:
            if names and not dry_run:
                await destroy(config, client, names, command="retention apply", why=why, path=PATH)
    for each in (name for names, _ in over for name in names):
        print(f"{each} {'would be destroyed' if dry_run else 'destroyed'}")
    return 0
