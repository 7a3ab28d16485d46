"""The routes of the exports of a tenant, below `/providers/secaplane.audit/v1`.

    GET tenants/<tenant>/exports          the export that can be made now
    GET tenants/<tenant>/exports/latest   the export as a tar archive; ?seen=<stream>:<size>,...

An archive is unpacked into a folder that `secaplane audit verify` verifies. Its name is a header of
the answer; ?export=<name>&offset=<bytes> is answered with the bytes of the same archive from there
on. No Range (RFC 9110, section 14): a part needs its last position there, which is not known.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from litestar import Request, route
from litestar.handlers import HTTPRouteHandler

from secaplane.audit.tenant_export.archive import ContinuedExport, ExportedArchive
from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import RequestContext, request_context
from secaplane.edge.requests.parameters import parameters, refuse_as_of
from secaplane.edge.requests.paths import template
from secaplane.edge.serving.answer import Answer
from secaplane.edge.serving.streamed_answer import StreamedAnswer
from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT, EXPORTS, LATEST, tenant_view_path
from secaplane.model.document import encode
from secaplane.model.errors import Malformed
from secaplane.model.position import parse_all
from secaplane.model.precondition import digest
from secaplane.model.shape import Json
from secaplane.query.answers import answered, listed
from secaplane.query.history.http import METHODS
from secaplane.query.read import ListedPage

EXPORT_HEADER = "Secaplane-Export"
"""The name of the archive in an answer."""
_OFFSET = re.compile("0|[1-9][0-9]{0,17}")
SEEN_MAX = 16
"""Earlier checkpoints with which one export can be compared."""


class TenantExports(Protocol):
    """Makes exports of the present life of a tenant."""

    async def offered(self, tenant: str) -> Json:
        """The export that can be made now: its name, and up to where it is complete.

        Raises:
            NotFound: no such tenant.
            Unavailable: the notary does not answer.
        """
        ...

    async def archive(
        self, tenant: str, seen: Mapping[str, Sequence[int]], continued: ContinuedExport | None
    ) -> ExportedArchive:
        """A tar archive, or the rest of one. `seen`: by stream, the sizes of earlier checkpoints.

        Raises:
            NotFound: no such tenant, or no such archive any more.
            Malformed: `seen` names a stream that there is not.
            Unavailable: the notary does not answer, or too many exports are made already.
        """
        ...


def routes(exports: TenantExports, guard: Guard) -> list[HTTPRouteHandler]:
    path = template(tenant_view_path(EXPORTS))

    @route([path], http_method=METHODS, name="exports")
    async def listing(request: Request[Any, Any, Any]) -> Answer:
        parsing.deleted(request_context(request.scope).listed(b"accept"))
        context, tenant = await _admitted(request, guard, "list")
        page = ListedPage([encode(await exports.offered(tenant))], None)
        body = listed(AUDIT.full_name, f"tenants/{tenant}/{EXPORTS}", page)
        return answered(context, body, f'"{digest(body)}"')

    @route([f"{path}/{LATEST}"], http_method=METHODS, name="export")
    async def export(request: Request[Any, Any, Any]) -> StreamedAnswer:
        _, tenant = await _admitted(request, guard, "get")
        sent = parameters(request.scope["query_string"], ("seen", "export", "offset"))
        seen = _seen(sent.get("seen", ""))
        archive = await exports.archive(tenant, seen, _continued(sent))
        headers = {
            EXPORT_HEADER: archive.name,
            "Content-Type": "application/x-tar",
            "Content-Disposition": f'attachment; filename="{tenant}.tar"',
            "Cache-Control": "no-store",
        }
        return StreamedAnswer(archive.pieces, headers)

    return [listing, export]


async def _admitted(
    request: Request[Any, Any, Any], guard: Guard, verb: str
) -> tuple[RequestContext, str]:
    """The request, and the name of the tenant. An export is of now, whatever `asOf` names."""
    refuse_as_of(request.scope["query_string"])
    context, tenant = request_context(request.scope), request.path_params["tenant"]
    await guard.admit_view(context, verb, EXPORTS, KINDS["tenant"], {}, tenant)
    return context, tenant


def _continued(sent: Mapping[str, str]) -> ContinuedExport | None:
    """The archive to continue, if one is named.

    Raises:
        Malformed: one of the two parameters is missing, or the offset is no number.
    """
    name, offset = sent.get("export", ""), sent.get("offset", "")
    if not name and not offset:
        return None
    if not name or not _OFFSET.fullmatch(offset):
        raise Malformed(
            f"`offset` takes a number of bytes, and `export` the name in {EXPORT_HEADER} of the"
            " answer that is continued; send both, or neither",
            parameter="export" if not name else "offset",
        )
    return ContinuedExport(name, int(offset))


def _seen(text: str) -> dict[str, list[int]]:
    """Sizes of earlier checkpoints, written as positions.

    Raises:
        Malformed: it is something else, or there are too many.
    """
    sizes = dict[str, list[int]]()
    try:
        positions = parse_all(text) if text else ()
        if len(positions) > SEEN_MAX:
            raise ValueError
    except ValueError as error:
        raise Malformed(
            f"seen takes at most {SEEN_MAX} sizes of checkpoints, such as SECA:700",
            parameter="seen",
        ) from error
    for each in filter(None, positions):
        sizes.setdefault(each.stream, []).append(each.sequence)
    return sizes
