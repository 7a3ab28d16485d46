"""Swagger UI: shows the OpenAPI document in a browser, without a token.

The folder holds an unchanged copy of Swagger UI with its licences, which is part of the wheel: the
page loads nothing from other hosts, so that it also works without access to the internet.
"""

from pathlib import Path

from litestar.handlers import HTTPRouteHandler

from secaplane.edge.serving.fixed import fixed

FOLDER = Path(__file__).parent
JAVASCRIPT, CSS = "text/javascript", "text/css"
FILES = {
    "/docs": (FOLDER / "index.html", "text/html"),
    "/docs/start.js": (FOLDER / "start.js", JAVASCRIPT),
    "/docs/swagger-ui-bundle.js": (FOLDER / "swagger" / "swagger-ui-bundle.js", JAVASCRIPT),
    "/docs/swagger-ui.css": (FOLDER / "swagger" / "swagger-ui.css", CSS),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def routes() -> list[HTTPRouteHandler]:
    return [
        fixed(path, file.read_bytes(), media_type, HEADERS)
        for path, (file, media_type) in FILES.items()
    ]
