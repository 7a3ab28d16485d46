"""The roles that every tenant has from its creation (SECA: system roles). Constants,
not events.

The standard's lists omit `security-group-rules/*`, by oversight, and all extensions: here, the
administrator of a tenant administers everything that is served in it. The history is no part of
that: an auditor reads it, and nothing else (docs/decisions/061).
"""

from collections.abc import Mapping, Sequence

from secaplane.kinds import PROVIDERS
from secaplane.kinds.authorization.role import SYSTEM_ROLES as NAMES
from secaplane.kinds.views import ACTIVITY, AUDIT, EXPORTS, HISTORY
from secaplane.model.shape import Json

ALL = ("get", "list", "put", "delete", "post")
READ = ("get", "list")
RESOURCES: Mapping[str, Sequence[str]] = {
    "seca.authorization": ("roles/*", "role-assignments/*"),
    "seca.region": ("regions/*",),
    "seca.workspace": ("workspaces/*",),
    "seca.network": (
        "networks/*",
        "subnets/*",
        "route-tables/*",
        "nics/*",
        "internet-gateways/*",
        "security-groups/*",
        "security-group-rules/*",
        "public-ips/*",
        "skus/*",
    ),
    "seca.compute": ("instances/*", "skus/*"),
    "seca.storage": ("images/*", "block-storages/*", "skus/*"),
}
INSIDE = ("seca.network", "seca.compute", "seca.storage")
EXTENSIONS = tuple(name for name in PROVIDERS if name.startswith("seca.") and name not in RESOURCES)


def _permission(provider: str, verbs: Sequence[str]) -> Json:
    return {
        "provider": PROVIDERS[provider].full_name,
        "resources": list(RESOURCES.get(provider, ("*",))),
        "verb": list(verbs),
    }


def _role(inside: Sequence[str], workspace: Sequence[str] = (), *more: Json) -> Json:
    permissions = [_permission("seca.region", READ)]
    permissions += [_permission("seca.workspace", workspace)] if workspace else []
    permissions += [_permission(provider, inside) for provider in INSIDE]
    return {"permissions": [*permissions, *more]}


SYSTEM_ROLES: Mapping[str, Json] = {
    "seca.admin": _role(
        ALL, ALL, *(_permission(each, ALL) for each in ("seca.authorization", *EXTENSIONS))
    ),
    "seca.region-admin": _role(ALL, ("get", "list", "put", "delete")),
    "seca.workspace-admin": _role(ALL, ("get", "list", "put")),
    "seca.workspace-editor": _role(("get", "list", "put", "post")),
    "seca.workspace-viewer": _role(READ),
    "secaplane.auditor": {
        "permissions": [
            {
                "provider": AUDIT.full_name,
                "resources": [f"{HISTORY}/*", ACTIVITY, EXPORTS],
                "verb": list(READ),
            }
        ]
    },
}
assert SYSTEM_ROLES.keys() == NAMES
