"""Keys of labels: a selector must be able to name each. Pure."""

import re
from collections.abc import Iterable, Iterator

from secaplane.model.errors import BrokenRule
from secaplane.model.pointer import pointer_to

_KEY = re.compile(r"[^=!<>,]+")


def broken_label_keys(labels: Iterable[str]) -> Iterator[BrokenRule]:
    """Keys that no selector could name: empty, with an operator or a comma, or with a blank at an
    end."""
    for key in labels:
        if not _KEY.fullmatch(key) or key != key.strip():
            yield BrokenRule(
                "a label's key is not empty, holds none of = ! < > , and no blank at an end",
                pointer_to(("labels", key)),
            )
