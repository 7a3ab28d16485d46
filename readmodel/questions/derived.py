"""Status fields that follow from other resources. No reconciler reports them: they are computed
when a resource is read. Kinds without such fields do not pay for it."""

from collections.abc import Callable

import msgspec
from asyncpg import Pool

from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import Ref

ATTACHED_TO = "instance"
THROUGH = "nic"
"""A resource that is attached to a NIC is attached to the NIC's instance."""
_encode = msgspec.json.Encoder().encode


def _names(chosen: Callable[[Kind], bool]) -> str:
    return ", ".join(f"'{kind.name}'" for kind in KINDS.values() if chosen(kind))


_WORKSPACE = "array_to_string((string_to_array({}.path, '/'))[1:4], '/')"
"""Only instances of the same workspace are shown: a caller who may read a volume need not be
allowed to read another workspace."""
_ATTACHED = f"""(
    select instance.path
    from links as direct left join links as through on direct.kind = '{THROUGH}'
        and through.target_kind = direct.kind and through.target_path = direct.path
        and through.kind = '{ATTACHED_TO}'
    join resources as instance on instance.kind = '{ATTACHED_TO}' and not instance.gone
        and instance.path = case direct.kind when '{ATTACHED_TO}' then direct.path
            else through.path end
        and {_WORKSPACE.format("instance")} = {_WORKSPACE.format("r")}
    where direct.target_kind = r.kind and direct.target_path = r.path
        and direct.kind in ('{ATTACHED_TO}', '{THROUGH}')
    order by instance.life limit 1
)"""
_CONTAINED = "coalesce((select contained from counts where path = r.path), 0)"
OF_ANY_KIND = f"""
    case when r.kind in ({_names(lambda kind: kind.derived.attached_to)}) and not r.gone
        then {_ATTACHED} end,
    case when r.kind in ({_names(lambda kind: kind.derived.resource_count)}) and not r.gone
        then {_CONTAINED} end
"""
"""Two columns of a SELECT from `resources as r`: the path of the instance, and the number of
contained resources."""


def derived(kind: str) -> str:
    """The same two columns for rows of one kind."""
    shows = KINDS[kind].derived
    attached = f"case when not r.gone then {_ATTACHED} end" if shows.attached_to else "null"
    contained = f"case when not r.gone then {_CONTAINED} end" if shows.resource_count else "null"
    return f"{attached}::text, {contained}::bigint"


async def with_derived(pool: Pool, ref: Ref, document: str) -> str:
    """A document that was not read from a row, with the fields that other rows give it."""
    shows = KINDS[ref.kind].derived
    if not (shows.attached_to or shows.resource_count):
        return document
    row = await pool.fetchrow(
        f"select {derived(ref.kind)} from"
        " (select $1::text as kind, $2::text as path, false as gone) as r",
        ref.kind,
        ref.path,
    )
    assert row is not None, "a SELECT without a condition has one row"
    return shown(document, *row)


def shown(document: str, attached: str | None, contained: int | None) -> str:
    """A document with the derived fields in its status, the last member, which is never empty."""
    if attached is not None:
        document = _added(document, "attachedTo", _reference(Ref(ATTACHED_TO, attached)))
    if contained is not None:
        document = _added(document, "resourceCount", contained)
    return document


def _added(document: str, field: str, value: object) -> str:
    assert document.endswith("}}"), "the status comes last"
    return f'{document[:-2]},"{field}":{_encode(value).decode()}}}}}'


def _reference(ref: Ref) -> dict[str, str]:
    kind = KINDS[ref.kind]
    return {
        "resource": kind.resource(ref.path),
        "provider": kind.provider.full_name,
        "tenant": ref.scope("tenants"),
        "workspace": ref.scope("workspaces"),
    }
