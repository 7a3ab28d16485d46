"""A cloud whose resources are files in a folder: a small plugin that keeps the contract.
It is registered by an entry point (docs/extend.md).
"""

import json
from pathlib import Path
from typing import Any

from secaplane.plugins import plugin
from secaplane.plugins.plugin import Fence, Observation, Outcome


class FolderCloud:
    compares_fences, lists_inventory, observes_at_once, request_s_max = True, True, 1, 1.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def ensure(self, resource: Any, bound: Any, fence: Fence) -> Outcome:
        if self._read(resource.uid, fence).get("removed"):
            return plugin.TerminalError("Removed", "a removed resource is not made again")
        status = {key: resource.spec[key] for key in ("sizeGB",) if key in resource.spec}
        self._write(resource.uid, fence, status=status, tags=[resource.ref.kind, resource.ref.path])
        return plugin.Ready(status)

    async def act(self, resource: Any, bound: Any, action: str, key: Any, fence: Fence) -> Outcome:
        return plugin.TerminalError("NoPower", f"a file cannot {action}")

    async def remove(self, resource: Any, fence: Fence) -> Outcome:
        self._read(resource.uid, fence)
        self._write(resource.uid, fence, removed=True)
        return plugin.Ready()

    async def observe(self, resource: Any, fence: Fence) -> Observation:
        status = self._read(resource.uid, fence).get("status")
        return plugin.Absent() if status is None else plugin.Observed(status)

    async def inventory(self) -> Any:
        files = {f.name: json.loads(f.read_text()) for f in self.folder.glob("[!.]*")}
        yield [plugin.InventoryItem(uid, *f["tags"]) for uid, f in files.items() if "tags" in f]

    async def catalogue(self) -> list[plugin.CatalogueEntry]:
        return [plugin.CatalogueEntry("region", "eu-1", {"availableZones": ["a"]})]

    async def close(self) -> None: ...

    def _read(self, uid: str, fence: Fence) -> dict[str, Any]:
        file = self.folder / uid
        stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        if stored and fence < Fence(*stored["fence"]):
            raise plugin.FenceRejected(f"a later call for {uid} had {stored['fence']}")
        return stored

    def _write(self, uid: str, fence: Fence, **new: Any) -> None:
        (self.folder / ".new").write_text(json.dumps({**new, "fence": [fence.epoch, fence.number]}))
        (self.folder / ".new").rename(self.folder / uid)  # a crash leaves the old file or the new


def connect(settings: dict[str, str]) -> FolderCloud:
    return FolderCloud(Path(settings["folder"]))
