"""The intents of a resource that no check after the append has covered yet."""

from collections.abc import Sequence

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.compared import Intent
from secaplane.kinds import KINDS
from secaplane.model.past import SpecChange
from secaplane.model.shape import Resource


async def recorded_intent(
    dependencies: CommandDependencies, before: Resource | None, now: Resource
) -> Intent:
    """The intent that made `now` of `before`; with the earlier ones that no report answers yet,
    because their own check may still be on the way.

    Raises:
        LogUnavailable: the log did not answer.
    """
    changes: Sequence[SpecChange] = [SpecChange(before, now.last_intent)]
    if KINDS[now.ref.kind].is_related:
        past = await dependencies.past.after_put(before, now)
        if past is None and before is not None and before.observed_position < before.last_intent:
            past = await dependencies.past.read(now)
        changes = past.changes if past else changes
    return Intent(now.ref, now.spec, now.last_intent, changes)


async def unanswered_intent(dependencies: CommandDependencies, now: Resource) -> Intent | None:
    """The intents of a resource that no report answers yet; None where there are none that changed
    its spec, or the last one is the control plane's own, which reverts another.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if now.observed_position >= now.last_intent:
        return None
    changes: Sequence[SpecChange] = [SpecChange(None, now.last_intent)]
    if now.last_intent != now.life:
        changes = (await dependencies.past.read(now)).changes
    return Intent(now.ref, now.spec, now.last_intent, changes) if changes else None
