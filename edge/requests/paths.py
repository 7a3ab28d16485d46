"""Paths of kinds as the router writes them, the names in a request's path, and the methods of each
path. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from secaplane.kinds import KINDS
from secaplane.model.errors import BrokenRule, MethodNotAllowed
from secaplane.model.kind import Kind

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_LENGTH_MAX = 128
SCOPE_LENGTH_MAX = 64
REVIEWS = f"{KINDS['tenant'].url}/{{tenant}}/access-reviews"
"""Access reviews belong to no kind: they are answered, and not recorded."""


def template(path: str) -> str:
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def broken_names(kind: Kind, ids: Mapping[str, str], name: str) -> list[BrokenRule]:
    """Violations of the name rule (SECA: resource envelope) by a resource's name and its scope's
    ids."""
    name_length_max = SCOPE_LENGTH_MAX if kind.name == "tenant" else NAME_LENGTH_MAX
    names = [(name, "name", name_length_max)]
    names += [(ids[each], each, SCOPE_LENGTH_MAX) for each in kind.scope]
    return [
        BrokenRule(
            f"takes 1 to {length_max} lower-case letters, digits, hyphens; dots join parts",
            f"/metadata/{field}",
            field,
        )
        for text, field, length_max in names
        if len(text) > length_max or not NAME.fullmatch(text)
    ]


def allowed(path: str) -> str:
    """The methods that a path takes, on either side, as `Allow` lists them; empty for an unknown
    path."""
    steps = path.split("/")
    for template_, methods in _methods().items():
        parts = template_.split("/")
        if len(parts) == len(steps) and all(
            part.startswith("{") or part == step for part, step in zip(parts, steps, strict=True)
        ):
            return methods
    return ""


def not_allowed(methods: str) -> MethodNotAllowed:
    return MethodNotAllowed(f"this path takes {methods}", meta={"allow": methods})


@cache
def _methods() -> dict[str, str]:
    of_kinds = (each for kind in KINDS.values() for each in _methods_of(kind))
    return dict([*of_kinds, (REVIEWS, "POST")])


def _methods_of(kind: Kind) -> Iterator[tuple[str, str]]:
    for url in kind.urls:
        yield url, "GET, HEAD"
        if kind.verbs:
            methods = [verb.upper() for verb in kind.verbs]
            yield f"{url}/{{name}}", ", ".join([methods[0], "HEAD", *methods[1:]])
        for action in kind.actions:
            yield f"{url}/{{name}}/{action}", "POST"
