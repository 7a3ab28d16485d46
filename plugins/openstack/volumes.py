"""Block storages as Cinder volumes.

A volume is named `seca-<uid>`, and its metadata hold uid, kind and path. Names are not unique: an
answer that was lost leaves a twin, and the oldest one stays. SECA counts GB, Cinder GiB: a volume
has the fewest GiB that hold its GB.
"""

import math

from secaplane.model.shape import Json, Resource
from secaplane.plugins.openstack.client import Api, CallRefused, OpenStackClient
from secaplane.plugins.openstack.projects import Project, name_of
from secaplane.plugins.plugin import InventoryItem

GB, GIB = 10**9, 2**30
GROWS_ATTACHED = "3.42"
"""The microversion from which a volume grows while an instance uses it."""
UID, KIND, PATH = "seca-uid", "seca-kind", "seca-path"
PATH_PARTS, PATH_PART_LENGTH = 4, 250
"""A value of metadata has at most 255 characters, and a path may be longer."""


def gib_of(gigabytes: int) -> int:
    """The size of a volume for so many GB."""
    return math.ceil(gigabytes * GB / GIB)


def gb_of(gib: int, wanted: int) -> int:
    """The GB that a volume has: those that are wanted where it has the size for them."""
    return wanted if gib == gib_of(wanted) else gib * GIB // GB


def status_of(volume: Json, resource: Resource) -> Json:
    """The status of a block storage, from its volume."""
    return {"sizeGB": gb_of(volume["size"], resource.spec["sizeGB"])}


def item_of(volume: Json) -> InventoryItem | None:
    """The resource that a volume is made for; None for one that is not ours."""
    metadata = volume["metadata"]
    if UID not in metadata:
        return None
    path = "".join(metadata.get(f"{PATH}-{n}", "") for n in range(PATH_PARTS))
    return InventoryItem(metadata[UID], metadata.get(KIND, ""), path)


def metadata_of(resource: Resource) -> dict[str, str]:
    path = resource.ref.path
    parts = {
        f"{PATH}-{n}": path[n * PATH_PART_LENGTH : (n + 1) * PATH_PART_LENGTH]
        for n in range(PATH_PARTS)
    }
    return {UID: resource.uid, KIND: resource.ref.kind} | {k: v for k, v in parts.items() if v}


class Volumes:
    """The volumes of a project. Every method raises CallRefused and CloudUnavailable."""

    def __init__(self, client: OpenStackClient) -> None:
        self._client = client

    async def named(self, project: Project, uid: str) -> list[Json]:
        """The volumes of a resource, the oldest first: more than one where an answer was lost."""
        return await self._listed(project, {"name": name_of(uid)})

    async def all(self, project: Project) -> list[Json]:
        """Every volume of the project, the oldest first."""
        return await self._listed(project, {})

    async def create(self, project: Project, resource: Resource, *, type_: str, image: str) -> None:
        volume: Json = {
            "name": name_of(resource.uid),
            "size": gib_of(resource.spec["sizeGB"]),
            "volume_type": type_,
            "metadata": metadata_of(resource),
        }
        volume |= {"imageRef": image} if image else {}
        body = {"volume": volume}
        await self._client.request(Api.VOLUME, "POST", "/volumes", scope=project.scope, body=body)

    async def grow(self, project: Project, volume: Json, gib: int) -> None:
        await self._client.request(
            Api.VOLUME,
            "POST",
            f"/volumes/{volume['id']}/action",
            scope=project.scope,
            body={"os-extend": {"new_size": gib}},
            version=GROWS_ATTACHED,
        )

    async def delete(self, project: Project, volume: Json) -> None:
        """Nothing happens where it is gone already."""
        try:
            path = f"/volumes/{volume['id']}"
            await self._client.request(Api.VOLUME, "DELETE", path, scope=project.scope)
        except CallRefused as refused:
            if not refused.is_absent:
                raise

    async def _listed(self, project: Project, query: dict[str, str]) -> list[Json]:
        """The oldest first."""
        volumes = await self._client.listed(
            Api.VOLUME, "/volumes/detail", "volumes", scope=project.scope, query=query
        )
        return sorted(volumes, key=lambda each: (each["created_at"], each["id"]))
