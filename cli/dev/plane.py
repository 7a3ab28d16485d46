"""A control plane on one machine: ports, secrets, embedded servers and processes."""

import asyncio
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from secaplane.cli.config import Config
from secaplane.cli.dev import embedded, issuer
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.cli.settings import SIMULATED, BadConfig
from secaplane.policy.tokens.issuer import Issuer
from secaplane.readmodel.schema.tables import READER
from secaplane.sealing.sealer import Keyring

ISSUER = "https://secaplane.dev"
OPERATOR = "operator@secaplane.dev"
CLOUD = "cloud"
PROCESSES = (CLOUD, "serve", "projector", "reconcilers")
CREATED_S_MAX, CREATED_RETRY_S = 30.0, 0.25
USED_BY_OTHERS = (CLOUD, "projector")
"""Requests in flight wait for the projector, calls in flight for the cloud."""
NATS_USERS = {"serve": "serve", "command": "serve", "projector": "projector"}
"""NATS user of a process; default: `writer`, which appends events, and of audit entries only those
about orphans."""
PASSWORDS = ("serve", "writer", "projector", "notary", "everything", embedded.OWNER, READER)


class DevPlane:
    """The configuration and the child processes of one `secaplane dev`.

    Ports are free ones; secrets are created once and kept in the data folder.
    """

    def __init__(self, config: Config, place: Path, port: int, *, durable: bool) -> None:
        self._place, self._durable, self._dev = place, durable, config.dev
        self.processes = tuple(
            name for name in PROCESSES if name != CLOUD or config.cloud.plugin == SIMULATED
        )
        """Another plugin drives a cloud of its own."""
        port = port or free_port()
        self._ports = {name: free_port() for name in ("nats", "postgres", *PROCESSES)}
        self.base_url = config.site.base_url or f"http://{config.http.host}:{port}"
        self._passwords = _new_passwords() | _kept(place / "passwords.json", _new_passwords)
        self._issuer = issuer.DevIssuer.kept(place / "issuer.json", place / "jwks.json", ISSUER)
        for name in ("keyring", "page-keyring", "events-keyring"):
            _kept(place / f"{name}.json", lambda: msgspec.to_builtins(Keyring.generate()))
        self._cloud_token = _kept(place / "cloud-token.json", lambda: secrets.token_urlsafe(32))
        self.config = self._completed(config, port)
        (place / "config.json").touch(mode=0o600)
        (place / "config.json").write_bytes(msgspec.json.encode(self.config))

    def _completed(self, config: Config, port: int) -> Config:
        """The settings of the site, completed by addresses, keys and files of this data folder."""
        own = Issuer(
            issuer=ISSUER,
            keys=str(self._place / "jwks.json"),
            any_audience=True,
            groups_claim="groups",
        )
        change = msgspec.structs.replace
        return change(
            config,
            site=change(config.site, base_url=self.base_url),
            http=change(config.http, port=port),
            stopping=change(config.stopping, not_ready_seconds=0.0),
            # one port cannot be the health check's of several processes
            monitor=change(config.monitor, check_port=None),
            auth=change(
                config.auth,
                operators=(*config.auth.operators, OPERATOR),
                issuers=(*config.auth.issuers, own),
            ),
            secrets=change(
                config.secrets,
                keyring=str(self._place / "keyring.json"),
                page_keyring=str(self._place / "page-keyring.json"),
            ),
            keys=change(config.keys, keyring=str(self._place / "events-keyring.json")),
            cloud=change(
                config.cloud,
                url=f"http://{embedded.HOST}:{self._ports['cloud']}",
                token=self._cloud_token,
                token_file="",
                settings=self._plugin_settings(config),
                file=str(self._place / "cloud.sqlite"),
                catalogue=str(Path(config.cloud.catalogue).absolute())
                if config.cloud.catalogue
                else "",
            ),
        )

    def _plugin_settings(self, config: Config) -> dict[str, Any]:
        """Without URL and token of a simulated cloud: this command starts its own."""
        settings = config.cloud.settings
        if config.cloud.plugin != SIMULATED:
            return settings
        own = ("url", "token")
        return {name: value for name, value in settings.items() if name not in own}

    async def start(self, children: Supervisor) -> None:
        """Starts servers and processes; returns when all are ready and the tenant exists."""
        await children.start(self.nats_server())
        for name in self.processes:
            await children.start(self.process(name))
        await children.start(await self.postgres_server())
        await asyncio.gather(*(children.ready(name) for name in self.processes))
        await self.create_tenant()

    def nats_server(self) -> ChildProcess:
        server = embedded.nats(self._place / "nats", self._ports["nats"], self.nats_users())
        return ChildProcess(server.name, server.argv)

    def nats_users(self) -> tuple[embedded.NatsUser, ...]:
        return (
            embedded.NatsUser("serve", self._passwords["serve"], embedded.SERVE_THE_API),
            embedded.NatsUser("writer", self._passwords["writer"], embedded.RECONCILE),
            embedded.NatsUser("projector", self._passwords["projector"], embedded.READ_THE_LOG),
            embedded.NatsUser("notary", self._passwords["notary"], embedded.KEEP_THE_MERKLE_LOGS),
            embedded.NatsUser("everything", self._passwords["everything"], (">",)),
        )

    async def postgres_server(self) -> ChildProcess:
        """Initialises its data folder if it does not exist."""
        server = await asyncio.to_thread(
            embedded.postgres,
            self._place / "postgres",
            self._ports["postgres"],
            self._passwords,
            durable=self._durable,
        )
        return ChildProcess(server.name, server.argv, stop_signal="SIGINT")

    def process(self, name: str) -> ChildProcess:
        writes_tables = name == "projector"
        environment = {
            "SECAPLANE_NATS_URL": self.nats(NATS_USERS.get(name, "writer")),
            "SECAPLANE_POSTGRES_URL": self.postgres(embedded.OWNER if writes_tables else READER),
        }
        if name in ("projector", "reconcilers"):
            environment["SECAPLANE_MONITOR_PORT"] = str(self._ports[name])
        if name == "cloud" and self.config.monitor.port is not None:
            environment["SECAPLANE_MONITOR_PORT"] = "0"
        config = str(self._place / "config.json")
        argv = (sys.executable, "-P", "-m", "secaplane.cli.main", name, "--config", config)
        used = name in USED_BY_OTHERS
        return ChildProcess(name, argv, environment, announces=True, used_by_others=used)

    def nats(self, user: str) -> str:
        return f"nats://{user}:{self._passwords[user]}@{embedded.HOST}:{self._ports['nats']}"

    def postgres(self, user: str) -> str:
        password, port = self._passwords[user], self._ports["postgres"]
        return f"postgresql://{user}:{password}@{embedded.HOST}:{port}/{embedded.OWNER}"

    async def create_tenant(self, at: str = "") -> None:
        """Creates the tenant through the API, here or at another URL, unless it exists."""
        url = f"{at or self.url}/providers/secaplane.admin/v1/tenants/{self._dev.tenant}"
        headers = {"Authorization": f"Bearer {self.token(OPERATOR)}"}
        body = {"spec": {"administrators": [self._dev.administrator]}}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(url) as existing:
                if existing.status == 200:
                    return
            until = time.monotonic() + CREATED_S_MAX
            while True:
                async with session.put(url, json=body) as created:
                    if created.status in (200, 201):
                        return
                    may_start = "Retry-After" in created.headers and time.monotonic() < until
                    if not may_start:
                        refusal = await created.text()
                        raise BadConfig(f"the tenant could not be created: {refusal}")
                await asyncio.sleep(CREATED_RETRY_S)

    @property
    def url(self) -> str:
        """Address of the API on this machine; `base_url` may be that of a proxy."""
        return f"http://{self.config.http.host}:{self.config.http.port}"

    def token(self, sub: str) -> str:
        return self._issuer.token(sub, hours=self._dev.token_hours)

    def as_json(self, children: Supervisor) -> str:
        order = ("nats", "postgres", *self.processes)
        shown: Mapping[str, Any] = {
            "url": self.url,
            "tenant": self._dev.tenant,
            "region": self.config.site.region,
            "token": self.token(self._dev.administrator),
            "operatorToken": self.token(OPERATOR),
            "nats": self.nats("everything"),
            "postgres": self.postgres(embedded.OWNER),
            "pids": {name: children.pid(name) for name in order},
        }
        return msgspec.json.encode(shown).decode()

    def as_text(self) -> str:
        dev, token = self._dev, self.token(self._dev.administrator)
        url = f"{self.url}/providers/seca.workspace/v1/tenants/{dev.tenant}/workspaces/web"
        return f"""
Secaplane is ready at {self.url}, region {self.config.site.region}.
Logs of the processes: {self._place / "logs"}
{dev.administrator} is administrator of the tenant {dev.tenant}. Token for {dev.token_hours} hours:

export TOKEN={token}

Create a workspace:

curl -sS -X PUT {url} \\
  -H "Authorization: Bearer {token}" \\
  -H "Content-Type: application/json" -d '{{"spec": {{}}}}'

Ctrl-C stops everything."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((embedded.HOST, 0))
        return int(probe.getsockname()[1])


def _kept(path: Path, make: Any) -> Any:
    """A secret from a file that only its owner can read; created if absent."""
    if not path.exists():
        fresh = path.with_suffix(".fresh")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(make()))
        fresh.rename(path)  # atomically
    return msgspec.json.decode(path.read_bytes())


def _new_passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(24) for name in PASSWORDS}
