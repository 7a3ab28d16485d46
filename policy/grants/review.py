"""What an access review asks and answers, and the place that it asks about. Pure."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
from secaplane.model.kind import Kind
from secaplane.model.shape import Wire

CALLERS_MAX = 1_000

Verb = Annotated[str, Meta(pattern=r"^(get|list|put|delete|post\.[a-z]{1,32})$")]


class AccessReviewSpec(Wire, frozen=True):
    verb: Verb
    path: Annotated[str, Meta(min_length=1, max_length=2000)]
    """As in the URL, from `/providers/` on."""
    caller: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    """A sub, with its issuer's prefix; absent: whoever may."""


class AccessReviewRequest(Wire, frozen=True):
    spec: AccessReviewSpec


class AccessReviewPermission(Wire, frozen=True):
    """One permission of a role, and where its assignment gives it."""

    assignment: str
    """The role assignment's name, or `configuration` or `everyone`."""
    provider: str
    resource: str
    verb: str
    tenant: str
    region: str
    workspace: str
    role: str | UnsetType = UNSET
    fails: tuple[str, ...] | UnsetType = UNSET
    """In what it does not allow what was asked."""


class AccessReviewStatus(Wire, frozen=True):
    policy_revision: str
    allowed: bool | UnsetType = UNSET
    """Absent where nobody was named."""
    by: AccessReviewPermission | UnsetType = UNSET
    nearest: tuple[AccessReviewPermission, ...] | UnsetType = UNSET
    """Where nothing allows it: what the caller holds and fits in all but the fewest points."""
    reason: str | UnsetType = UNSET
    callers: Annotated[tuple[str, ...], Meta(max_length=CALLERS_MAX)] | UnsetType = UNSET
    """Who may; `*` is every authenticated caller."""
    more: bool | UnsetType = UNSET
    """There are more than are named."""


class AccessReview(Wire, frozen=True):
    spec: AccessReviewSpec
    status: AccessReviewStatus


class Place(NamedTuple):
    """What a path names: a resource, or a collection if the name is empty."""

    kind: Kind
    ids: dict[str, str]
    name: str

    @property
    def tenant(self) -> str:
        """The one that it lies in; empty if in none."""
        return self.ids.get("tenant", self.name if self.kind.name == "tenant" else "")


def place(spec: AccessReviewSpec) -> Place:
    """Which kind, and which of it, is asked about.

    Raises:
        Invalid: no path of ours, or one that does not take the verb.
    """
    steps = spec.path.split("/")
    for kind in KINDS.values():
        for url in kind.urls:
            for wanted, verbs in _asked(kind, url):
                found = _matched(wanted.split("/"), steps)
                if found is None:
                    continue
                if spec.verb not in verbs:
                    raise Invalid(f"this path takes {' or '.join(verbs)}", pointer="/spec/verb")
                name = found.pop("name", "")
                return Place(kind, found, name)
    raise Invalid(
        "is no path that is served here; it begins with /providers/", pointer="/spec/path"
    )


def _asked(kind: Kind, url: str) -> Iterator[tuple[str, list[str]]]:
    """A path, and what one may ask of it. An action's is its own, or its resource's."""
    yield url, ["list"]
    actions = [f"post.{action}" for action in kind.actions]
    if verbs := [*kind.verbs, *actions]:
        yield f"{url}/{{name}}", verbs
    for verb in actions:
        yield f"{url}/{{name}}/{verb.removeprefix('post.')}", [verb]


def _matched(wanted: list[str], steps: list[str]) -> dict[str, str] | None:
    if len(wanted) != len(steps):
        return None
    found = {}
    for here, step in zip(wanted, steps, strict=True):
        if here.startswith("{") and step:
            found[here[1:-1]] = step
        elif here != step:
            return None
    return found
