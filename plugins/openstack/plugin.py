"""The plugin of an OpenStack cloud: workspaces are projects, block storages are Cinder volumes.

OpenStack stores no fences. So everything that bears the uid is looked for before anything is made,
and where an answer was lost and a twin was made, the oldest stays.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secaplane.kinds import KINDS
from secaplane.model.position import Position
from secaplane.model.shape import Json, Resource
from secaplane.plugins import cloud_session
from secaplane.plugins.openstack.catalogue import image_named, read_catalogue, report
from secaplane.plugins.openstack.client import (
    REQUEST_S_MAX,
    CallRefused,
    OpenStackClient,
    TokenScope,
)
from secaplane.plugins.openstack.offers import Offers, read_offers
from secaplane.plugins.openstack.projects import Project, Projects, workspace_path
from secaplane.plugins.openstack.settings import (
    OpenStackSettings,
    password,
    read_settings,
)
from secaplane.plugins.openstack.volumes import Volumes, gib_of, item_of, status_of
from secaplane.plugins.plugin import (
    Absent,
    Bound,
    CatalogueEntry,
    Fence,
    InProgress,
    InventoryItem,
    Observation,
    Observed,
    Outcome,
    Ready,
    TerminalError,
    ToObserve,
)

WORKING = ("creating", "downloading", "extending", "attaching", "detaching", "reserved")
USABLE = ("available", "in-use")
FAILED_AT_FIRST = ("error",)
"""A volume that was never usable holds nothing, and is made again."""
NOT_MADE = "KindNotSupported"


def from_settings(settings: Mapping[str, Any]) -> "OpenStackPlugin":
    """Raises ValueError where a setting is missing, unknown or wrong."""
    chosen = read_settings(settings)
    offers = read_offers(Path(chosen.catalogue))
    client = OpenStackClient(chosen, password(chosen), cloud_session.trusting(chosen.ca))
    return OpenStackPlugin(client, chosen, offers)


class OpenStackPlugin:
    """Besides CloudUnavailable it raises CallRefused for what a service refuses and may accept
    later."""

    compares_fences = False
    request_s_max = REQUEST_S_MAX
    observes_at_once = 100
    lists_inventory = True

    def __init__(
        self, client: OpenStackClient, settings: OpenStackSettings, offers: Offers
    ) -> None:
        self._client, self._settings, self._offers = client, settings, offers
        self._projects, self._volumes = Projects(client, settings), Volumes(client)

    async def ensure(self, resource: Resource, bound: Bound, fence: Fence) -> Outcome:
        match resource.ref.kind:
            case "workspace":
                await self._projects.made(resource)
                return Ready()
            case "block-storage":
                return await self._ensure_volume(resource, bound)
        return _not_made(resource)

    async def act(
        self, resource: Resource, bound: Bound, action: str, key: Position, fence: Fence
    ) -> Outcome:
        return _not_made(resource)

    async def remove(self, resource: Resource, fence: Fence) -> Outcome:
        match resource.ref.kind:
            case "workspace":
                return await self._remove_project(resource)
            case "block-storage":
                return await self._remove_volume(resource)
        return Ready()

    async def observe(self, resource: Resource, fence: Fence) -> Observation:
        (seen,) = await self.observe_many([ToObserve(resource, fence)])
        if isinstance(seen, Exception):
            raise seen
        return seen

    async def observe_many(self, asked: Sequence[ToObserve]) -> Sequence[Observation | Exception]:
        """One list of projects, and one of the volumes in each that is asked about."""
        resources = [each.resource for each in asked]
        projects = await self._projects.every()
        volumes = await self._volumes_around(resources, projects)
        uids = {each.item.uid for each in projects}
        return [_observation(each, uids, volumes) for each in resources]

    async def inventory(self) -> AsyncIterator[Sequence[InventoryItem]]:
        for project in await self._projects.every():
            volumes = await self._volumes_in(project)
            yield [project.item, *{item for each in volumes if (item := item_of(each))}]

    async def catalogue(self) -> Sequence[CatalogueEntry]:
        scope = await self._projects.catalogue_scope()
        region = self._settings.seca_region
        catalogue = await read_catalogue(self._client, scope, self._offers, region)
        report(catalogue.left_out)
        return catalogue.entries

    async def close(self) -> None:
        await self._client.close()

    # --- workspaces

    async def _remove_project(self, workspace: Resource) -> Outcome:
        project = await self._projects.found(workspace.uid)
        if project is None:
            return Ready()
        held = await self._volumes_in(project)
        if held:
            return InProgress(self._settings.poll_s)  # what is inside is being removed
        await self._projects.remove(project)
        return Ready()

    # --- block storages

    async def _ensure_volume(self, resource: Resource, bound: Bound) -> Outcome:
        project = await self._project_for(resource, bound)
        if project is None:
            return InProgress(self._settings.poll_s)
        volumes = await self._volumes.named(project, resource.uid)
        for twin in volumes[1:]:
            await self._volumes.delete(project, twin)
        if not volumes:
            return await self._create_volume(project, resource, bound)
        (volume, *_) = volumes
        status, gib = volume["status"], gib_of(resource.spec["sizeGB"])
        if status in FAILED_AT_FIRST and not resource.was_active:
            await self._volumes.delete(project, volume)
            raise VolumeFailed(f"the volume {volume['id']} could not be made; it is made again")
        if status in USABLE and volume["size"] < gib:
            await self._volumes.grow(project, volume, gib)
            return InProgress(self._settings.poll_s)
        if status in USABLE:
            return Ready(status_of(volume, resource))
        if status in WORKING or status == "deleting":
            return InProgress(self._settings.poll_s)
        return TerminalError("VolumeFailed", f"the volume {volume['id']} is {status}")

    async def _create_volume(self, project: Project, resource: Resource, bound: Bound) -> Outcome:
        sku = _name(resource.spec["skuRef"], bound.get("/skuRef"))
        offer = self._offers.storage(sku)
        if offer is None:
            return TerminalError("SkuNotOffered", f"this cloud offers no storage SKU {sku}")
        image = ""
        if "sourceImageRef" in resource.spec:
            name = _name(resource.spec["sourceImageRef"], bound.get("/sourceImageRef"))
            found = await self._image(project.scope, name)
            if found is None:
                return TerminalError("ImageNotOffered", f"this cloud offers no image {name}")
            image = str(found["id"])
        await self._volumes.create(project, resource, type_=offer.volume_type, image=image)
        return InProgress(self._settings.poll_s)

    async def _image(self, scope: TokenScope, name: str) -> Json | None:
        offer = self._offers.shared_image(name)
        return await image_named(self._client, scope, offer.image) if offer else None

    async def _project_for(self, resource: Resource, bound: Bound) -> Project | None:
        """The project of the workspace that contains a resource."""
        workspace = bound.get("workspace")
        if workspace is not None:
            return await self._projects.found(workspace.uid)
        around = await self._projects.around(resource.ref)
        return around[-1] if around else None

    async def _remove_volume(self, resource: Resource) -> Outcome:
        """Nothing is left where no project of the workspace has it, also those that another process
        has made meanwhile."""
        if await self._deleted_in(await self._projects.around(resource.ref), resource):
            return InProgress(self._settings.poll_s)
        await self._projects.every()
        if await self._deleted_in(await self._projects.around(resource.ref), resource):
            return InProgress(self._settings.poll_s)
        return Ready()

    async def _deleted_in(self, projects: Sequence[Project], resource: Resource) -> bool:
        """Delete the volumes of a resource; True if there are some still."""
        left = False
        for project in projects:
            for volume in await self._named_in(project, resource.uid):
                left = True
                if volume["status"] != "deleting":
                    await self._volumes.delete(project, volume)
        return left

    async def _named_in(self, project: Project, uid: str) -> list[Json]:
        """None in a project that is gone."""
        try:
            return await self._volumes.named(project, uid)
        except CallRefused:
            if project in await self._projects.every():
                raise
            return []

    async def _volumes_in(self, project: Project) -> list[Json]:
        try:
            return await self._volumes.all(project)
        except CallRefused:
            if project in await self._projects.every():
                raise
            return []

    async def _volumes_around(
        self, resources: Sequence[Resource], projects: Sequence[Project]
    ) -> Mapping[str, Json]:
        """By uid: the oldest volume of each block storage that is asked about."""
        paths = {workspace_path(x.ref) for x in resources if x.ref.kind == "block-storage"}
        found = dict[str, Json]()
        for project in projects:
            if project.item.path in paths:
                for volume in await self._volumes_in(project):
                    item = item_of(volume)
                    if item is not None and volume["status"] not in FAILED_AT_FIRST:
                        found.setdefault(item.uid, volume)
        return found


class VolumeFailed(Exception):
    """The cloud could not make a volume; another attempt may succeed."""


def _observation(
    resource: Resource, projects: set[str], volumes: Mapping[str, Json]
) -> Observation:
    match resource.ref.kind:
        case "workspace":
            return Observed() if resource.uid in projects else Absent()
        case "block-storage" if resource.uid in volumes:
            return Observed(status_of(volumes[resource.uid], resource))
    return Absent()


def _name(reference: Json, target: Resource | None) -> str:
    """The name of a reference's target."""
    return target.ref.name if target else str(reference["resource"]).rpartition("/")[2]


def _not_made(resource: Resource) -> TerminalError:
    title = KINDS[resource.ref.kind].title
    return TerminalError(NOT_MADE, f"the plugin of OpenStack makes no {title} yet")
