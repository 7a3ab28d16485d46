"""A kind's path in the router's spelling, and the names in a request's path."""

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
"""Of no kind: nothing is recorded."""


def template(path: str) -> str:
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def broken_names(kind: Kind, ids: Mapping[str, str], name: str) -> list[BrokenRule]:
    """What breaks the name rule (digest, section 5): the name itself, the ids that surround it."""
    own = SCOPE_LENGTH_MAX if kind.name == "tenant" else NAME_LENGTH_MAX
    wanted = [(name, "name", own)]
    wanted += [(ids[each], each, SCOPE_LENGTH_MAX) for each in kind.scope]
    return [
        BrokenRule(
            f"takes 1 to {longest} lower-case letters, digits, hyphens; dots join parts",
            f"/metadata/{field}",
            field,
        )
        for text, field, longest in wanted
        if len(text) > longest or not NAME.fullmatch(text)
    ]


def allowed(path: str) -> str:
    """The methods that a path takes anywhere in the house, as `Allow` lists them; empty for a path
    that nobody serves."""
    steps = path.split("/")
    for template_, methods in _methods().items():
        wanted = template_.split("/")
        if len(wanted) == len(steps) and all(
            w.startswith("{") or w == s for w, s in zip(wanted, steps, strict=True)
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
            asked = [verb.upper() for verb in kind.verbs]
            yield f"{url}/{{name}}", ", ".join([asked[0], "HEAD", *asked[1:]])
        for action in kind.actions:
            yield f"{url}/{{name}}/{action}", "POST"
