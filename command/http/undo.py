"""The route of undo, for every kind that can be written.

    POST /providers/secaplane.audit/v1/undo/<metadata.ref>?to=<version>[&secrets=restore]

The answer shows the resource with its secrets hidden: the caller has not sent them.
"""

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from secaplane.command import undo
from secaplane.command.http.routes import POSITION
from secaplane.command.submit import SubmitDependencies, WriteRequest
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.parameters import pairs
from secaplane.edge.requests.paths import template
from secaplane.edge.requests.preconditions import VERSION, precondition
from secaplane.edge.serving.answer import Answer
from secaplane.kinds import KINDS
from secaplane.kinds.views import UNDO, view_path
from secaplane.model.desired import with_secrets_hidden
from secaplane.model.document import document, encode, status
from secaplane.model.errors import Malformed
from secaplane.model.kind import Kind
from secaplane.model.position import written

PARAMETERS_MAX = 16
RESTORE = "restore"


def routes(dependencies: SubmitDependencies) -> list[HTTPRouteHandler]:
    return [_undo(kind, dependencies) for kind in KINDS.values() if "put" in kind.verbs]


def _undo(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    path = view_path(UNDO, f"{kind.provider.full_name}/{kind.collection}/{{name}}")

    @post(template(path), name=f"Undo{kind.title} {kind.name}", status_code=200)
    async def undo_to(request: Request[Any, Any, Any]) -> Answer:
        context = request_context(request.scope)
        parsing.deleted(context.listed(b"accept"))
        write = WriteRequest(context, kind, request.path_params, precondition(context))
        admitted = await undo.admit(dependencies, write)
        version, restores = _asked(request.scope["query_string"])
        result, positions = await undo.undo(
            dependencies, write, admitted, version, secrets_of_then=restores
        )
        resource = with_secrets_hidden(kind, result.resource)
        shown = document(kind, resource, region=dependencies.region, verb="PUT")
        if result.before is not None:
            shown["status"] = status(kind, with_secrets_hidden(kind, result.before))
        return Answer(encode(shown), {POSITION: written(positions)})

    return undo_to


def _asked(query: bytes) -> tuple[int, bool]:
    """The version to restore, and whether its secrets are, too.

    Raises:
        Malformed: `to` is not sent once, or is no version, or a parameter is sent that has no
            meaning here: one that was meant to change something must not be ignored.
    """
    sent = dict[str, list[str]]()
    for name, value in pairs(query, PARAMETERS_MAX):
        sent.setdefault(name, []).append(value)
    for name in sent:
        if name not in ("to", "secrets"):
            raise Malformed("an undo takes no other parameters than to and secrets", parameter=name)
    texts = sent.get("to", [])
    if len(texts) != 1 or not VERSION.fullmatch(texts[0]):
        raise Malformed("to takes the resourceVersion to restore, once", parameter="to")
    if sent.get("secrets", [RESTORE]) != [RESTORE]:
        raise Malformed(
            f"secrets takes {RESTORE}; without it, the secrets of today stay", parameter="secrets"
        )
    return int(texts[0]), "secrets" in sent
