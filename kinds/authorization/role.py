"""A role: what its holders may do."""

from typing import Annotated

from msgspec import Meta

from kinds.authorization import PROVIDER
from model.kind import Kind
from model.shape import Wire

Verb = Annotated[
    str,
    Meta(
        min_length=1,
        pattern=r"^(?:\*|[Gg][Ee][Tt]|[Ll][Ii][Ss][Tt]|[Pp][Uu][Tt]|[Dd][Ee][Ll][Ee][Tt][Ee]"
        r"|[Pp][Oo][Ss][Tt](?:\.[A-Za-z]{1,32})?)$",
        description="get, list, put, delete, post, post.<action> or *, in either case",
    ),
]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]


class Permission(Wire, frozen=True):
    provider: Annotated[str, Meta(min_length=1, max_length=64)]
    resources: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=256)]
    verb: Annotated[tuple[Verb, ...], Meta(min_length=1, max_length=16)]


class RoleSpec(Wire, frozen=True):
    permissions: Annotated[tuple[Permission, ...], Meta(min_length=1, max_length=256)]


KIND = Kind(
    provider=PROVIDER,
    name="role",
    title="Role",
    collection="tenants/{tenant}/roles",
    spec=RoleSpec,
    by_plugin=False,
)
