"""What a status shows that follows from other resources: nobody reports it, and it is put together
when it is read. Kinds that show nothing of the sort do not pay for it."""

from collections.abc import Callable

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import Ref

ATTACHED_TO = "instance"
THROUGH = "nic"
"""Whoever is attached to one of these is attached to the instance that has it."""
_encode = msgspec.json.Encoder().encode


def _names(so: Callable[[Kind], bool]) -> str:
    return ", ".join(f"'{kind.name}'" for kind in KINDS.values() if so(kind))


_WORKSPACE = "array_to_string((string_to_array({}.path, '/'))[1:4], '/')"
"""Who may see a volume need not see the workspace of the instance that uses it."""
_ATTACHED = f"""(
    select instance.path
    from links as user_ left join links as further on user_.kind = '{THROUGH}'
        and further.target_kind = user_.kind and further.target_path = user_.path
        and further.kind = '{ATTACHED_TO}'
    join resources as instance on instance.kind = '{ATTACHED_TO}' and not instance.gone
        and instance.path = case user_.kind when '{ATTACHED_TO}' then user_.path
            else further.path end
        and {_WORKSPACE.format("instance")} = {_WORKSPACE.format("r")}
    where user_.target_kind = r.kind and user_.target_path = r.path
        and user_.kind in ('{ATTACHED_TO}', '{THROUGH}')
    order by instance.life limit 1
)"""
_INSIDE = "coalesce((select inside from counts where path = r.path), 0)"
OF_ANY_KIND = f"""
    case when r.kind in ({_names(lambda kind: kind.derived.attached_to)}) and not r.gone
        then {_ATTACHED} end,
    case when r.kind in ({_names(lambda kind: kind.derived.resource_count)}) and not r.gone
        then {_INSIDE} end
"""
"""Two columns of a SELECT from `resources as r`: the path of the instance, and the number."""


def derived(kind: str) -> str:
    """The same for rows of one kind."""
    shows = KINDS[kind].derived
    attached = f"case when not r.gone then {_ATTACHED} end" if shows.attached_to else "null"
    inside = f"case when not r.gone then {_INSIDE} end" if shows.resource_count else "null"
    return f"{attached}::text, {inside}::bigint"


def shown(document: str, attached: str | None, inside: int | None) -> str:
    """The document with that in its status, which is its last member and never empty."""
    if attached is not None:
        document = _added(document, "attachedTo", _reference(Ref(ATTACHED_TO, attached)))
    if inside is not None:
        document = _added(document, "resourceCount", inside)
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
