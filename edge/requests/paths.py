"""Paths of kinds as the router writes them, the names in a request's path, and the methods of each
path. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from secaplane.kinds import KINDS, children
from secaplane.kinds.views import (
    ACTIVITY,
    EXPORTS,
    LATEST,
    OF_ONE_RESOURCE,
    UNDO,
    tenant_view_path,
    view_path,
)
from secaplane.model.errors import BrokenRule, MethodNotAllowed
from secaplane.model.kind import SCOPE_LENGTH_MAX, Kind

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
REF_LENGTH_MAX = 255
"""Characters of `metadata.ref` (SECA: `ReferenceURN`)."""
REVIEWS = f"{KINDS['tenant'].url}/{{tenant}}/access-reviews"
"""Access reviews belong to no kind: they are answered, and not recorded."""


def template(path: str) -> str:
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def broken_names(kind: Kind, ids: Mapping[str, str], name: str) -> list[BrokenRule]:
    """Violations of the name rule (SECA: resource envelope) by a resource's name and its scope's
    ids."""
    names = [(name, "name", kind.name_length_max)]
    names += [(ids[each], each, SCOPE_LENGTH_MAX) for each in kind.scope]
    broken = [
        BrokenRule(
            f"takes 1 to {length_max} lower-case letters, digits, hyphens; dots join parts",
            f"/metadata/{field}",
            field,
        )
        for text, field, length_max in names
        if len(text) > length_max or not NAME.fullmatch(text)
    ]
    left = _characters_left(kind, ids)
    if not broken and len(name) > left:
        detail = f"has {len(name)} characters, and {max(left, 0)} are left: metadata.ref holds"
        detail += f" {REF_LENGTH_MAX} with the names of what contains it; choose shorter names"
        broken.append(BrokenRule(detail, "/metadata/name", "name"))
    return broken


def _characters_left(kind: Kind, ids: Mapping[str, str]) -> int:
    """The longest name with which `metadata.ref` of the resource is short enough, and which leaves
    one character for the names of the resources in it."""
    path = kind.ref(ids, "").path
    below = f"{kind.collection}/{{"
    taken = [len(f"{kind.provider.full_name}/{path}")]
    for child in children(kind):
        _, _, rest = child.collection.removeprefix(below).partition("}/")
        if "{" not in rest:
            taken.append(len(f"{child.provider.full_name}/{path}/{rest}/n"))
    return REF_LENGTH_MAX - max(taken)


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
    views = (
        (view_path(each, f"{kind.provider.full_name}/{kind.collection}/{{name}}"), "GET, HEAD")
        for kind in KINDS.values()
        if kind.has_history
        for each in OF_ONE_RESOURCE
    )
    undone = (
        (view_path(UNDO, f"{kind.provider.full_name}/{kind.collection}/{{name}}"), "POST")
        for kind in KINDS.values()
        if "put" in kind.verbs
    )
    exports = tenant_view_path(EXPORTS)
    activity = tenant_view_path(ACTIVITY)
    shown = (activity, f"{activity}/{{name}}", exports, f"{exports}/{LATEST}")
    of_tenants = ((each, "GET, HEAD") for each in shown)
    return dict([*of_kinds, *views, *undone, *of_tenants, (REVIEWS, "POST")])


def _methods_of(kind: Kind) -> Iterator[tuple[str, str]]:
    for url in kind.urls:
        yield url, "GET, HEAD"
        if kind.verbs:
            methods = [verb.upper() for verb in kind.verbs]
            yield f"{url}/{{name}}", ", ".join([methods[0], "HEAD", *methods[1:]])
        for action in kind.actions:
            yield f"{url}/{{name}}/{action}", "POST"
