"""Workspaces as projects of one domain.

The name of a project is `seca-<uid>`: names are unique in a domain, so that a project that was
asked for twice is made once. Its description holds uid, kind and path of the workspace (JSON), for
those who ask by path, and its tag says that it is ours.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins.openstack.client import DOMAIN, Api, CallRefused, OpenStackClient, TokenScope
from secaplane.plugins.openstack.settings import OpenStackSettings
from secaplane.plugins.plugin import CloudUnavailable, InventoryItem

TAG = "secaplane"
OWN = "secaplane-catalogue"
"""Name of the project in whose scope flavors, images and types are listed. It holds nothing."""
_encode = msgspec.json.Encoder().encode
_decode_item = msgspec.json.Decoder(InventoryItem).decode


class Project(NamedTuple):
    id: str
    item: InventoryItem
    """The workspace that it is made for."""

    @property
    def scope(self) -> TokenScope:
        return TokenScope(self.id)


class Projects:
    def __init__(self, client: OpenStackClient, settings: OpenStackSettings) -> None:
        self._client, self._settings = client, settings
        self._known: list[Project] = []
        """As they were listed last, with those made since then."""
        self._own: TokenScope | None = None

    async def made(self, workspace: Resource) -> Project:
        """The project of a workspace, made where there is none.

        Raises:
            CallRefused, CloudUnavailable.
        """
        item = InventoryItem(workspace.uid, workspace.ref.kind, workspace.ref.path)
        name, text = name_of(workspace.uid), _encode(item).decode()
        project = Project(await self._made(name, text), item)
        self._remember(project)
        return project

    async def found(self, uid: str) -> Project | None:
        """The project of a workspace by its uid."""
        for each in self._known:
            if each.item.uid == uid:
                return each
        listed = await self._listed({"name": name_of(uid)})
        for each in listed:
            self._remember(each)
        return listed[0] if listed else None

    async def around(self, ref: Ref) -> Sequence[Project]:
        """The projects of every life of the workspace that contains an address. A project that is
        gone may be among them until they are listed again."""
        path = workspace_path(ref)
        known = [each for each in self._known if each.item.path == path]
        if not known:
            await self.every()
            known = [each for each in self._known if each.item.path == path]
        return known

    async def every(self) -> Sequence[Project]:
        """Every project that was made for a workspace."""
        self._known = await self._listed({"tags": TAG})
        return self._known

    async def remove(self, project: Project) -> None:
        """Delete a project. The cloud does not look for what it still holds: the caller does.

        Raises:
            CallRefused, CloudUnavailable.
        """
        try:
            await self._client.request(Api.IDENTITY, "DELETE", f"/projects/{project.id}")
        except CallRefused as refused:
            if not refused.is_absent:
                raise
        self.forget(project)

    def forget(self, project: Project) -> None:
        self._known = [each for each in self._known if each.id != project.id]
        self._client.forget(project.scope)

    async def catalogue_scope(self) -> TokenScope:
        """The scope in which flavors, images and types are listed."""
        if self._own is None:
            self._own = TokenScope(await self._made(OWN, "Secaplane lists the catalogue in it", ()))
        return self._own

    async def _made(self, name: str, description: str, tags: Sequence[str] = (TAG,)) -> str:
        """The id of a project of that name, in which the user has its role."""
        token = await self._client.token(DOMAIN)
        body = {
            "project": {
                "name": name,
                "domain_id": token.domain,
                "description": description,
                "tags": [*tags],
            }
        }
        try:
            answer = await self._client.request(Api.IDENTITY, "POST", "/projects", body=body)
            id_ = str(answer["project"]["id"])
        except CallRefused as refused:
            if refused.status != HTTPStatus.CONFLICT:
                raise
            (found,) = await self._named({"name": name})
            id_ = str(found["id"])
        role = await self._role()
        path = f"/projects/{id_}/users/{token.user}/roles/{role}"
        await self._client.request(Api.IDENTITY, "PUT", path)
        return id_

    async def _role(self) -> str:
        query = {"name": self._settings.role}
        answer = await self._client.request(Api.IDENTITY, "GET", "/roles", query=query)
        if not answer["roles"]:
            message = f"there is no role {self._settings.role}"
            raise CallRefused(Api.IDENTITY, HTTPStatus.NOT_FOUND, message)
        return str(answer["roles"][0]["id"])

    async def _named(self, query: dict[str, str]) -> list[Json]:
        token = await self._client.token(DOMAIN)
        asked = query | {"domain_id": token.domain}
        answer = await self._client.request(Api.IDENTITY, "GET", "/projects", query=asked)
        if answer.get("truncated"):  # what is left out would be taken for what is gone
            raise CloudUnavailable("identity cuts the list of projects: raise its list_limit")
        projects: list[Json] = answer["projects"]
        return projects

    async def _listed(self, query: dict[str, str]) -> list[Project]:
        """A project whose description is not ours is left out: a caller may have chosen such a
        name or tag."""
        found = list[Project]()
        for each in await self._named(query):
            try:
                found.append(Project(each["id"], _decode_item(each["description"])))
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
        return found

    def _remember(self, project: Project) -> None:
        if all(each.id != project.id for each in self._known):
            self._known.append(project)


def name_of(uid: str) -> str:
    """The name of everything that is made for a resource."""
    return f"seca-{uid}"


def workspace_path(ref: Ref) -> str:
    """The path of the workspace that contains an address, or that it names."""
    return "/".join(ref.path.split("/")[:4])
