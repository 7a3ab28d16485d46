"""The request and answer of an access review, and the resource that it asks about. Pure."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple
from urllib.parse import unquote

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds import KINDS
from secaplane.kinds.views import (
    ACTIVITY,
    AUDIT,
    HISTORY,
    OF_ONE_RESOURCE,
    tenant_view_path,
    view_path,
)
from secaplane.model.actor import GROUP
from secaplane.model.errors import BrokenRule, Invalid
from secaplane.model.kind import Kind
from secaplane.model.shape import Wire
from secaplane.policy.tokens.groups import GROUPS_MAX

CALLERS_MAX = 1_000
_ACTIVITY = tenant_view_path(ACTIVITY).replace("{tenant}", "{name}")
_ACTIVITY_ENTRY = f"{_ACTIVITY}/{{entry}}"

Verb = Annotated[str, Meta(pattern=r"^(get|list|put|delete|post\.[a-z]{1,32})$")]


class AccessReviewSpec(Wire, frozen=True):
    verb: Verb
    path: Annotated[str, Meta(min_length=1, max_length=2000)]
    """As in the URL, from `/providers/` on."""
    caller: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    """A sub with its issuer's prefix, or a group (`group:<issuer prefix><name>`); absent: list all
    callers that are allowed."""
    groups: (
        Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
            Meta(max_length=GROUPS_MAX),
        ]
        | UnsetType
    ) = UNSET
    """The groups that its token names, as assignments name them. Absent: none; for a caller that
    asks about itself, its own."""


class AccessReviewRequest(Wire, frozen=True):
    spec: AccessReviewSpec


class AccessReviewPermission(Wire, frozen=True):
    """One permission of a role, in one scope of its assignment."""

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
    """The dimensions in which it does not match the request."""


class AccessReviewStatus(Wire, frozen=True):
    policy_revision: str
    allowed: bool | UnsetType = UNSET
    """Absent where the request names no caller."""
    by: AccessReviewPermission | UnsetType = UNSET
    nearest: tuple[AccessReviewPermission, ...] | UnsetType = UNSET
    """Of a denied request: the caller's permissions that mismatch in the fewest dimensions."""
    reason: str | UnsetType = UNSET
    names: tuple[str, ...] | UnsetType = UNSET
    """Of a list that is allowed in part: the names that it is limited to."""
    callers: Annotated[tuple[str, ...], Meta(max_length=CALLERS_MAX)] | UnsetType = UNSET
    """The callers that are allowed; `*` is every authenticated caller."""
    more: bool | UnsetType = UNSET
    """There are more than the list holds."""


class AccessReview(Wire, frozen=True):
    spec: AccessReviewSpec
    status: AccessReviewStatus


class Place(NamedTuple):
    """The target of a path: a resource, or a collection if the name is empty."""

    kind: Kind
    ids: dict[str, str]
    name: str
    view: str = ""
    """The view of it that the path shows (`kinds.views`); empty: the resource itself."""

    @property
    def tenant(self) -> str:
        """The tenant that contains it, or that it is; empty where there is none."""
        return self.ids.get("tenant", self.name if self.kind.name == "tenant" else "")


def broken_subjects_in(spec: AccessReviewSpec) -> Iterator[BrokenRule]:
    """Groups that no token can name would change nothing, and neither would those of no caller."""
    groups = () if isinstance(spec.groups, UnsetType) else spec.groups
    if groups and isinstance(spec.caller, UnsetType):
        yield BrokenRule("belong to a caller: name it, too", "/spec/groups")
    for n, each in enumerate(groups):
        if not each.removeprefix(GROUP) or not each.startswith(GROUP):
            yield BrokenRule(f"names no group: write {GROUP}<name>", f"/spec/groups/{n}")
    if spec.caller == GROUP:
        yield BrokenRule(f"names no group: write {GROUP}<name>", "/spec/caller")


def place(spec: AccessReviewSpec) -> Place:
    """The resource or collection that a review asks about.

    Raises:
        Invalid: the path is not served, or does not take the verb.
    """
    path, asks, _ = spec.path.partition("?")
    if asks:
        raise Invalid("holds a query, which no grant names: leave it out", pointer="/spec/path")
    steps = [unquote(step) for step in path.split("/")]
    for kind in KINDS.values():
        for url in kind.urls:
            for template, verbs in _templates(kind, url):
                ids = _matched(template.split("/"), steps)
                if ids is None:
                    continue
                if spec.verb not in verbs:
                    raise Invalid(f"this path takes {' or '.join(verbs)}", pointer="/spec/verb")
                name = ids.pop("name", "")
                return Place(kind, ids, name, _view_of(template))
    raise Invalid("is not a path of this API; paths begin with /providers/", pointer="/spec/path")


def _view_of(template: str) -> str:
    if template in (_ACTIVITY, _ACTIVITY_ENTRY):
        return ACTIVITY
    return HISTORY if template.startswith(AUDIT.base) else ""


def _templates(kind: Kind, url: str) -> Iterator[tuple[str, list[str]]]:
    """Paths of a kind with the verbs that each takes; an action belongs to two paths."""
    yield url, ["list"]
    actions = [f"post.{action}" for action in kind.actions]
    if verbs := [*kind.verbs, *actions]:
        yield f"{url}/{{name}}", verbs
    for verb in actions:
        yield f"{url}/{{name}}/{verb.removeprefix('post.')}", [verb]
    if kind.has_history and url == kind.url:
        ref = f"{kind.provider.full_name}/{kind.collection}/{{name}}"
        yield from ((view_path(each, ref), ["get"]) for each in OF_ONE_RESOURCE)
    if kind.name == "tenant":
        yield _ACTIVITY, ["list"]
        yield _ACTIVITY_ENTRY, ["get"]


def _matched(template: list[str], steps: list[str]) -> dict[str, str] | None:
    """The ids in a path; None where it does not match the template."""
    if len(template) != len(steps):
        return None
    ids = {}
    for part, step in zip(template, steps, strict=True):
        if part.startswith("{") and step:
            ids[part[1:-1]] = step
        elif part != step:
            return None
    return ids
