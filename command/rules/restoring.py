"""The desired state of a former version, to be written again. Pure."""

from collections.abc import Iterable

from secaplane.model.desired import desired
from secaplane.model.errors import Malformed, NotFound
from secaplane.model.events import RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.kind import Kind
from secaplane.model.pointer import at, omitted
from secaplane.model.shape import Json, Resource


def former(events: Iterable[RecordedEvent], today: Resource, version: int) -> Resource:
    """The resource as a version left it. `events` are those of the present life, from its beginning
    to `today`: versions of the name count on over its lives, a fold of one life begins with 1.

    Raises:
        NotFound: the present life has no such version.
        Malformed: it is the present one.
    """
    folded = list[Resource]()
    for each in events:
        folded.append(evolve(folded[-1] if folded else None, each))
    before = today.version - folded[-1].version
    if not before < version <= today.version:
        name = f"{today.ref.kind} {today.ref.name}"
        raise NotFound(f"{name} has the versions {before + 1} to {today.version} in this life")
    if version == today.version:
        raise Malformed(f"{version} is the present version: name an older one", parameter="to")
    return next(each for each in folded if each.version + before == version)


def restored(kind: Kind, then: Resource, opened: Json) -> Json:
    """The body of a PUT that writes a former desired state, with the secrets of today: `opened` is
    today's spec with its secrets in clear. A secret that is absent today stays absent."""
    body = desired(then)
    for pointer in kind.secrets.spec:
        secret = at(opened, pointer)
        spec = body["spec"]
        body["spec"] = omitted(spec, pointer) if secret is None else _with(spec, pointer, secret)
    return body


def _with(spec: Json, pointer: str, value: object) -> Json:
    """A copy with a member set; the objects on the way to it are made where they are absent."""
    *steps, last = pointer.split("/")[1:]
    objects = [spec]
    for step in steps:
        objects.append(objects[-1].get(step, {}))
    made: Json = objects.pop() | {last: value}
    for step, each in zip(reversed(steps), reversed(objects), strict=True):
        made = each | {step: made}
    return made
