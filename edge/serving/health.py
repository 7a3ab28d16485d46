"""Liveness, readiness with its reasons, and metrics of a process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.serving.metrics import Metrics

JSON = "application/json"
READS = [HttpMethod.GET, HttpMethod.HEAD]


class Readiness(msgspec.Struct, frozen=True):
    """`reasons`: why requests cannot be served; empty if they can. `remarks`: for an operator to
    look at although requests are served. `details`: figures."""

    ready: bool
    reasons: Sequence[str] = ()
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = {}


def routes(
    readiness: Callable[[], Readiness], metrics: Metrics, *, details: bool
) -> list[HTTPRouteHandler]:
    """`details` (reasons, figures, metrics) only where clients from outside have no access."""

    @route("/healthz", http_method=READS, name="healthz")
    async def healthz(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(b'{"alive":true}', media_type=JSON)

    @route("/readyz", http_method=READS, name="readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
        now = readiness()
        shown = now if details else Readiness(now.ready)
        status = 200 if now.ready else 503
        return Response(msgspec.json.encode(shown), status_code=status, media_type=JSON)

    @route("/metrics", http_method=READS, name="metrics")
    async def read_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return [healthz, readyz, read_metrics] if details else [healthz, readyz]
