"""Operations and schemas of the SECA standard, for comparison: from a table, and from its files
where they are available."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from secaplane.model.shape import Json

FOLDER = Path(__file__).parents[3] / "shared" / "spec"
"""Next to this repository, not part of it, because the licence of the files is unclear."""
OPERATIONS_COUNT = 89
CLASSES = {"L": "List", "G": "Get", "P": "CreateOrUpdate", "D": "Delete"}
METHODS = {"List": "get", "Get": "get", "CreateOrUpdate": "put", "Delete": "delete"}
T, W = "tenants/{tenant}", "tenants/{tenant}/workspaces/{workspace}"
TABLE = f"""
seca.region/v1                regions                          Region                     LG
seca.authorization/v1         {T}/roles                        Role                       LGPD
seca.authorization/v1         {T}/role-assignments             RoleAssignment             LGPD
seca.workspace/v1             {T}/workspaces                   Workspace                  LGPD
seca.compute/v1               {T}/skus                         Sku                        LG
seca.compute/v1               {W}/instances                    Instance                   LGPD \
  start stop restart
seca.storage/v1               {T}/skus                         Sku                        LG
seca.storage/v1               {T}/images                       Image                      LGPD
seca.storage/v1               {W}/block-storages               BlockStorage               LGPD
seca.network/v1               {T}/skus                         Sku                        LG
seca.network/v1               {W}/networks                     Network                    LGPD
seca.network/v1               {W}/networks/{{network}}/subnets Subnet                     LGPD
seca.network/v1               {W}/networks/{{network}}/route-tables RouteTable            LGPD
seca.network/v1               {W}/internet-gateways            InternetGateway            LGPD
seca.network/v1               {W}/nics                         Nic                        LGPD
seca.network/v1               {W}/public-ips                   PublicIp                   LGPD
seca.network/v1               {W}/security-groups              SecurityGroup              LGPD
seca.network/v1               {W}/security-group-rules         SecurityGroupRule          LGPD
seca.kubernetes/v1beta1       {W}/clusters                     Cluster                    LGPD
seca.kubernetes/v1beta1       {W}/clusters/{{cluster}}/node-pools NodePool                LGPD
seca.load-balancer/v1beta1    {W}/network-load-balancers       NetworkLoadBalancer        LGPD
seca.nat-gateway/v1beta1      {W}/internet-nat-gateway-instances InternetNatGatewayInstance LGPD
seca.object-storage/v1beta1   {W}/accounts                     Account                    LGPD
seca.activity-log/v1beta1     {W}/activity-logs                ActivityLog                L
"""
"""Provider, collection, title, classes, actions; `getWellknown` is added in `operations`."""

PREFIXES = {
    "foundation.authorization.v1": "/providers/seca.authorization",
    "foundation.compute.v1": "/providers/seca.compute",
    "foundation.network.v1": "/providers/seca.network",
    "foundation.region.v1": "/providers/seca.region",
    "foundation.storage.v1": "/providers/seca.storage",
    "foundation.workspace.v1": "/providers/seca.workspace",
    "extensions.activitylog.v1beta1": "/providers/seca.activity-log",
    "extensions.kubernetes.v1beta1": "/providers/seca.kubernetes",
    "extensions.loadbalancer.v1beta1": "/providers/seca.load-balancer",
    "extensions.natgateway.v1beta1": "/providers/seca.nat-gateway",
    "extensions.objectstorage.v1beta1": "/providers/seca.object-storage",
    "extensions.wellknown.v1": "",
}
"""The standard's files, and the URL prefix under which Secaplane serves each."""


class Called(NamedTuple):
    """The identity of an operation."""

    method: str
    path: str
    id: str


def operations() -> set[Called]:
    """All operations of the standard, from the table."""
    rows = [line.split() for line in TABLE.strip().splitlines()]
    return {Called("get", "/.wellknown/secapi", "getWellknown")} | {
        called for row in rows for called in _of_row(*row)
    }


def _of_row(
    provider: str, collection: str, title: str, classes: str, *actions: str
) -> Iterator[Called]:
    url = f"/providers/{provider}/{collection}"
    for letter in classes:
        name = CLASSES[letter]
        listed = name == "List"
        path = url if listed else f"{url}/{{name}}"
        yield Called(METHODS[name], path, f"{name}{title}{'s' if listed else ''}")
    for action in actions:
        yield Called("post", f"{url}/{{name}}/{action}", f"{action.capitalize()}{title}")


def described(document: Json) -> dict[Called, Json]:
    """The operations of one of Secaplane's documents."""
    return {
        Called(method, path, operation["operationId"]): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


# --- the files


def available() -> bool:
    return FOLDER.is_dir()


def from_files() -> dict[Called, Json]:
    """All operations of the standard, from its files, with Secaplane's URLs and every reference
    resolved."""
    found: dict[Called, Json] = {}
    for name, prefix in PREFIXES.items():
        file = FOLDER / f"{name}.yaml"
        for path, item in _read(file)["paths"].items():
            for method, operation in item.items():
                called = Called(method, prefix + path, operation["operationId"])
                found[called] = _resolved(operation, file)
    return found


@cache
def _read(file: Path) -> Json:
    read: Json = yaml.safe_load(file.read_text())
    return read


def _resolved(value: Any, file: Path) -> Any:
    if isinstance(value, list):
        return [_resolved(each, file) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        other, _, pointer = value["$ref"].partition("#")
        target = (file.parent / other) if other else file
        return _resolved(_pointed(_read(target), pointer), target)
    return {key: _resolved(each, file) for key, each in value.items()}


def ours_resolved(value: Any, document: Json) -> Any:
    """`_resolved` for one of Secaplane's documents; keys next to a `$ref` are ignored."""
    if isinstance(value, list):
        return [ours_resolved(each, document) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return ours_resolved(_pointed(document, value["$ref"].removeprefix("#")), document)
    return {key: ours_resolved(each, document) for key, each in value.items()}


def _pointed(document: Json, pointer: str) -> Any:
    found: Any = document
    for step in pointer.strip("/").split("/"):
        found = found[step]
    return found


# --- a normal form of schemas

LIMITS = (
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "default",
)


def rules(schema: Json, pointer: str = "") -> Mapping[str, Any]:
    """The rules of a schema as flat facts: `/spec/zone maxLength` -> 32."""
    merged = _merged(schema)
    found: dict[str, Any] = {f"{pointer} {rule}": merged[rule] for rule in LIMITS if rule in merged}
    if "enum" in merged:  # makes type and length redundant
        found.pop(f"{pointer} maxLength", None)
        found[f"{pointer} enum"] = sorted(merged["enum"])
    elif "type" in merged:
        found[f"{pointer} type"] = merged["type"]
    if merged.get("format") == "date-time":
        found[f"{pointer} format"] = "date-time"
    if merged.get("required"):
        found[f"{pointer} required"] = sorted(merged["required"])
    for name, inner in merged.get("properties", {}).items():
        found[f"{pointer}/{name}"] = "field"
        found |= rules(inner, f"{pointer}/{name}")
    if "items" in merged:
        found |= rules(merged["items"], f"{pointer}/*")
    if isinstance(values := merged.get("additionalProperties"), dict):
        found |= rules(values, f"{pointer}/{{}}")
    return found


def _merged(schema: Json) -> Json:
    """The schema merged with its `allOf` parts."""
    found: Json = {}
    for part in (*map(_merged, schema.get("allOf", ())), schema):
        joined = {
            "properties": found.get("properties", {}) | part.get("properties", {}),
            "required": [*found.get("required", ()), *part.get("required", ())],
        }
        found |= part | joined
    return {key: each for key, each in found.items() if each not in ({}, [])}
