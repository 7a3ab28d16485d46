"""The only table of HTTP error statuses in the code: status, type and title of each refusal. Pure,
so that what shows recorded refusals can read it without a web server."""

from secaplane.model import errors

_INVALID_REQUEST = "invalid-request"
_INTERNAL = "internal-server-error"
PROBLEMS: dict[type[errors.Refusal], tuple[int, str, str]] = {
    errors.Malformed: (400, _INVALID_REQUEST, "Bad Request"),
    errors.Unauthenticated: (401, "unauthorized", "Unauthorized"),
    errors.Forbidden: (403, "forbidden", "Forbidden"),
    errors.NotFound: (404, "resource-not-found", "Not Found"),
    errors.UnknownPath: (404, "resource-not-found", "Not Found"),
    errors.MethodNotAllowed: (405, _INVALID_REQUEST, "Method Not Allowed"),
    errors.NotAcceptable: (406, _INVALID_REQUEST, "Not Acceptable"),
    errors.Conflict: (409, "resource-conflict", "Conflict"),
    errors.QuotaExceeded: (409, "resource-conflict", "Conflict"),
    errors.PreconditionFailed: (412, "precondition-failed", "Precondition Failed"),
    errors.ContentTooLarge: (413, _INVALID_REQUEST, "Content Too Large"),
    errors.UriTooLong: (414, _INVALID_REQUEST, "URI Too Long"),
    errors.UnsupportedMediaType: (415, _INVALID_REQUEST, "Unsupported Media Type"),
    errors.Invalid: (422, "validation-error", "Unprocessable Entity"),
    errors.RateLimited: (429, _INVALID_REQUEST, "Too Many Requests"),
    errors.HistoryIncomplete: (409, "resource-conflict", "Conflict"),
    errors.Damaged: (500, _INTERNAL, "Internal Server Error"),
    errors.Unavailable: (503, _INTERNAL, "Service Unavailable"),
}
DEFECT = (500, _INTERNAL, "Internal Server Error")
BASE = "http://secapi.cloud/errors"
_SLUGS = {status: slug for status, slug, _ in PROBLEMS.values()}
SLUGS = tuple(dict.fromkeys(_SLUGS.values()))
"""Types of problems, without their base."""


def problem_type(status: int) -> str:
    """The type of the problem of an answer with that status; a status has one."""
    return f"{BASE}/{_SLUGS[status]}" if status in _SLUGS else ""


def statuses_of(slug: str) -> tuple[int, ...]:
    """The statuses whose problems have a type."""
    return tuple(status for status, each in _SLUGS.items() if each == slug)
