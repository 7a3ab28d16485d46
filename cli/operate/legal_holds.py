"""Legal hold: the tenants in `keys.holds`, none of whose keys is destroyed."""

from collections.abc import Sequence

from secaplane.cli.config import Config
from secaplane.eventlog.log import Log
from secaplane.kinds import KINDS
from secaplane.model.events import RecordedEvent
from secaplane.sealing.keys.data_key import KeyName


async def held_lives(config: Config, log: Log) -> Sequence[str]:
    """Raises LogUnavailable."""
    return [life for name in config.keys.holds for life in await lives_of(log, name)]


async def lives_of(log: Log, tenant: str) -> Sequence[str]:
    """The uids of all lives of a tenant."""
    history = await log.history(KINDS["tenant"].ref({}, tenant))
    return list(dict.fromkeys(each.uid for each in history if isinstance(each, RecordedEvent)))


def is_held(name: KeyName, lives: Sequence[str]) -> bool:
    return name.owner.partition(".")[0] in lives
