"""The resource or collection that the path of a request names. Pure."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT
from secaplane.model.kind import Kind

BASE = "/providers/"


class Located(NamedTuple):
    """Empty fields where the path does not say it."""

    kind: str = ""
    path: str = ""
    """Of the resource or of the collection, below the provider."""
    workspace: str = ""


def located(url: str) -> Located:
    """The resource or collection of a path; of a view of a resource (`kinds.views`), that resource.
    Nothing where no kind is served there."""
    steps = url.partition("?")[0].removeprefix(BASE).split("/")
    if steps[:2] == AUDIT.full_name.split("/"):
        steps = steps[3:]  # the segment that names the view
    provider, below = "/".join(steps[:2]), steps[2:]
    for kind, template in _templates().get(provider, ()):
        end = len(template)
        item = len(below) == end + 1 or (len(below) == end + 2 and below[-1] in kind.actions)
        if (len(below) == end or item) and _fits(template, below):
            ids = {part[1:-1]: step for part, step in zip(template, below, strict=False)}
            name = below[end] if item else ""
            workspace = name if kind.name == "workspace" else ids.get("workspace", "")
            return Located(kind.name, "/".join(below[: end + item]), workspace)
    return Located()


def _fits(template: Sequence[str], steps: Sequence[str]) -> bool:
    """The steps begin with the names that the template has."""
    return all(
        step == part or part.startswith("{") for part, step in zip(template, steps, strict=False)
    )


@cache
def _templates() -> dict[str, list[tuple[Kind, list[str]]]]:
    """Provider -> its kinds with the steps of each of their collections."""
    found = dict[str, list[tuple[Kind, list[str]]]]()
    for kind in KINDS.values():
        for url in kind.urls:
            template = url.removeprefix(f"{kind.provider.base}/").split("/")
            found.setdefault(kind.provider.full_name, []).append((kind, template))
    return found
