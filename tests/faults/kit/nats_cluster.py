"""Three NATS servers with JetStream: streams with three replicas, and one leader each."""

from pathlib import Path

from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import DevPlane, free_port
from secaplane.cli.dev.supervisor import ChildProcess

NODES = ("nats-1", "nats-2", "nats-3")


class NatsCluster:
    """Child processes of the servers, and URLs that name all of them."""

    def __init__(self, dev: DevPlane, place: Path) -> None:
        self._dev, self._place = dev, place
        self._clients = {name: free_port() for name in NODES}
        self._routes = {name: free_port() for name in NODES}

    def servers(self) -> list[ChildProcess]:
        return [self._server(name) for name in NODES]

    def url(self, user: str, *names: str) -> str:
        """The URL of some nodes (by default of all) for a user of the control plane."""
        single = self._dev.nats(user)
        credentials = single.removeprefix("nats://").partition("@")[0]
        return ",".join(
            f"nats://{credentials}@{HOST}:{self._clients[name]}" for name in names or NODES
        )

    def _server(self, name: str) -> ChildProcess:
        folder = self._place / name
        server = embedded.nats(folder, self._clients[name], self._dev.nats_users())
        others = ", ".join(f'"nats://{HOST}:{self._routes[each]}"' for each in NODES)
        config = folder / "nats.conf"
        alone = config.read_text()
        config.write_text(
            alone.replace("server_name: secaplane", f"server_name: {name}")
            + f'\ncluster {{ name: faults, listen: "{HOST}:{self._routes[name]}",'
            f" routes: [{others}] }}\n"
        )
        return ChildProcess(name, server.argv)
