"""Who names what is deleted, in a list of names, names it no longer (A-20)."""

from uuid import uuid4

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Put
from secaplane.kinds import KINDS
from secaplane.kinds.references import references_in
from secaplane.model.errors import Conflict, NotFound, PreconditionFailed
from secaplane.model.events import SYSTEM
from secaplane.model.pointer import without
from secaplane.model.shape import Json, Ref, Resource


async def release(dependencies: CommandDependencies, user: Ref, gone: Resource) -> bool:
    """Take what goes out of the spec of one that names it; False where somebody was faster, so that
    it has to be done again.

    Raises:
        Unanswered, Unavailable: the log is away.
    """
    here = await dependencies.cache.current(user)
    if here is None or here.terminating:
        return True
    spec = _without(here, gone.ref)
    if spec == here.spec:
        return True
    command = Put(
        spec=spec,
        labels=here.labels,
        annotations=here.annotations,
        extensions=here.extensions,
        expected=here.version,
    )
    request = f"reconciler-{uuid4().hex}"
    try:
        await handle(
            dependencies, user, command, actor=SYSTEM, request=request, cause=gone.position
        )
    except (PreconditionFailed, Conflict, NotFound):
        return False
    return True


def _without(here: Resource, gone: Ref) -> Json:
    dropping = {link.at for link in KINDS[here.ref.kind].links if link.removed_with_target}
    places = [
        pointing.pointer
        for pointing in references_in(here.ref, here.spec)
        if pointing.links[0].at in dropping and any(ref == gone for _, ref in pointing.targets)
    ]
    spec: Json = here.spec
    for place in reversed(places):
        spec = without(spec, place)
    return spec
