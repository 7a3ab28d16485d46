"""The body of a PUT that writes a former desired state again. Pure."""

from secaplane.model.desired import desired
from secaplane.model.events import DesiredState
from secaplane.model.kind import Kind
from secaplane.model.pointer import at, omitted
from secaplane.model.shape import Json


def restored(kind: Kind, then: DesiredState, opened: Json) -> Json:
    """The body of a PUT that writes a former desired state, with the secrets of another one:
    `opened` is its spec with its secrets in clear. A secret that is absent there is left out."""
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
