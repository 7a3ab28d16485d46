"""The parameters of a query string."""

from collections.abc import Collection
from urllib.parse import parse_qsl

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
