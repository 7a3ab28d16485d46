"""The parameters of a query string."""

from collections.abc import Collection
from urllib.parse import parse_qsl

from secaplane.kinds.views import AS_OF
from secaplane.model.errors import Malformed

PARAMETERS_MAX = 64


def pairs(query: bytes, most: int) -> list[tuple[str, str]]:
    """All parameters, decoded, in order; `most`: how many may be sent.

    Raises:
        Malformed: they cannot be decoded, or are more.
    """
    try:
        return parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=most
        )
    except ValueError as error:
        raise Malformed(
            f"the query cannot be decoded, or has more than {most} parameters", parameter="query"
        ) from error


def refuse_as_of(query: bytes) -> None:
    """For requests about the present: a point of the past that was named must not be ignored.

    Raises:
        Malformed: the query has `asOf`, or cannot be decoded.
    """
    if query and AS_OF in dict(pairs(query, PARAMETERS_MAX)):
        detail = "asOf is for reads of a resource, lists and access reviews: leave it out here"
        raise Malformed(detail, parameter=AS_OF)


def parameters(query: bytes, names: Collection[str]) -> dict[str, str]:
    """The parameters with some names, each at most once; others are ignored, because SECA clients
    may add some.

    Raises:
        Malformed: a parameter is repeated, or cannot be decoded.
    """
    known = [(key, value) for key, value in pairs(query, PARAMETERS_MAX) if key in names]
    for key, _ in known:
        if sum(1 for other, _ in known if other == key) > 1:
            raise Malformed(f"{key} is repeated; send it once", parameter=key)
    return dict(known)
