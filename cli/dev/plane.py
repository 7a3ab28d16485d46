"""One whole house on one machine: its addresses, its secrets, its servers and processes."""

import asyncio
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from secaplane.cli.config import SIMULATED, BadConfig, Config
from secaplane.cli.dev import embedded, issuer
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.policy.tokens.issuer import Issuer
from secaplane.readmodel.schema.tables import READER
from secaplane.sealing.sealer import Keyring

ISSUER = "https://secaplane.dev"
OPERATOR = "operator@secaplane.dev"
PROCESSES = ("cloud", "serve", "projector", "reconcilers")
NATS_USERS = {"serve": "serve", "command": "serve", "projector": "projector"}
"""Of processes; the others write the log and answer nobody."""
PASSWORDS = ("serve", "writer", "projector", "everything", embedded.OWNER, READER)


class DevPlane:
    """One `secaplane dev`: its addresses, its secrets, its processes."""

    def __init__(self, config: Config, place: Path, port: int, *, lasting: bool) -> None:
        self._place, self._lasting, self._dev = place, lasting, config.dev
        port = port or free_port()
        self._ports = {name: free_port() for name in ("nats", "postgres", *PROCESSES)}
        self.base_url = config.site.base_url or f"http://{config.http.host}:{port}"
        self._passwords = _new_passwords() | _kept(place / "passwords.json", _new_passwords)
        self._issuer = issuer.DevIssuer.kept(place / "issuer.json", place / "jwks.json", ISSUER)
        _kept(place / "keyring.json", lambda: msgspec.to_builtins(Keyring.generate()))
        self.config = self._completed(config, port)
        (place / "config.json").touch(mode=0o600)
        (place / "config.json").write_bytes(msgspec.json.encode(self.config))

    def _completed(self, config: Config, port: int) -> Config:
        """The site's settings, with what only this command knows."""
        own = Issuer(issuer=ISSUER, keys=str(self._place / "jwks.json"))
        change = msgspec.structs.replace
        return change(
            config,
            site=change(config.site, base_url=self.base_url),
            http=change(config.http, port=port),
            auth=change(
                config.auth,
                operators=(*config.auth.operators, OPERATOR),
                issuers=(*config.auth.issuers, own),
            ),
            secrets=change(config.secrets, keyring=str(self._place / "keyring.json")),
            cloud=change(
                config.cloud,
                url=f"http://{embedded.HOST}:{self._ports['cloud']}",
                settings=self._plugin_settings(config),
                file=str(self._place / "cloud.sqlite"),
                catalogue=str(Path(config.cloud.catalogue).absolute())
                if config.cloud.catalogue
                else "",
            ),
        )

    def _plugin_settings(self, config: Config) -> dict[str, Any]:
        """Without the URL of a simulated cloud: this command starts its own."""
        settings = config.cloud.settings
        if config.cloud.plugin != SIMULATED:
            return settings
        return {name: value for name, value in settings.items() if name != "url"}

    async def start(self, children: Supervisor) -> None:
        """Servers and processes, side by side, until all are ready and the tenant is there."""
        await children.start(self.nats_server())
        for name in PROCESSES:
            await children.start(self.process(name))
        await children.start(await self.postgres_server())
        await asyncio.gather(*(children.ready(name) for name in PROCESSES))
        await self.bring_tenant()

    def nats_server(self) -> ChildProcess:
        users = (
            embedded.NatsUser("serve", self._passwords["serve"], embedded.ANSWER_USERS),
            embedded.NatsUser("writer", self._passwords["writer"], embedded.WRITE_THE_LOG),
            embedded.NatsUser("projector", self._passwords["projector"], embedded.READ_THE_LOG),
            embedded.NatsUser("everything", self._passwords["everything"], (">",)),
        )
        server = embedded.nats(self._place / "nats", self._ports["nats"], users)
        return ChildProcess(server.name, server.argv)

    async def postgres_server(self) -> ChildProcess:
        """Sets up its folder first, where there is none."""
        server = await asyncio.to_thread(
            embedded.postgres,
            self._place / "postgres",
            self._ports["postgres"],
            self._passwords,
            lasting=self._lasting,
        )
        return ChildProcess(server.name, server.argv, in_order="SIGINT")

    def process(self, name: str) -> ChildProcess:
        writes_tables = name == "projector"
        environment = {
            "SECAPLANE_NATS_URL": self.nats(NATS_USERS.get(name, "writer")),
            "SECAPLANE_POSTGRES_URL": self.postgres(embedded.OWNER if writes_tables else READER),
        }
        if name in ("projector", "reconcilers"):
            environment["SECAPLANE_MONITOR_PORT"] = str(self._ports[name])
        config = str(self._place / "config.json")
        argv = (sys.executable, "-P", "-m", "secaplane.cli.main", name, "--config", config)
        return ChildProcess(name, argv, environment, announces=True)

    def nats(self, user: str) -> str:
        return f"nats://{user}:{self._passwords[user]}@{embedded.HOST}:{self._ports['nats']}"

    def postgres(self, user: str) -> str:
        password, port = self._passwords[user], self._ports["postgres"]
        return f"postgresql://{user}:{password}@{embedded.HOST}:{port}/{embedded.OWNER}"

    async def bring_tenant(self) -> None:
        """Through the front door, as an operator would; not again when it is there."""
        url = f"{self.url}/providers/secaplane.admin/v1/tenants/{self._dev.tenant}"
        headers = {"Authorization": f"Bearer {self.token(OPERATOR)}"}
        body = {"spec": {"administrators": [self._dev.administrator]}}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(url) as found:
                if found.status == 200:
                    return
            async with session.put(url, json=body) as made:
                if made.status not in (200, 201):
                    raise BadConfig(f"the tenant could not be made: {await made.text()}")

    @property
    def url(self) -> str:
        """Not `base_url`: that may be a proxy in front of us."""
        return f"http://{self.config.http.host}:{self.config.http.port}"

    def token(self, sub: str) -> str:
        return self._issuer.token(sub, hours=self._dev.token_hours)

    def as_json(self, children: Supervisor) -> str:
        order = ("nats", "postgres", *PROCESSES)
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
The house stands at {self.url}, region {self.config.site.region}.
Its logs are in {self._place / "logs"}.
You are {dev.administrator}, administrator of the tenant {dev.tenant}, for {dev.token_hours} hours:

export TOKEN={token}

Make a workspace:

curl -sS -X PUT {url} \\
  -H "Authorization: Bearer {token}" \\
  -H "Content-Type: application/json" -d '{{"spec": {{}}}}'

Ctrl-C stops everything."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((embedded.HOST, 0))
        return int(probe.getsockname()[1])


def _kept(path: Path, make: Any) -> Any:
    """A secret that is made once and stays in its file, which only its owner reads."""
    if not path.exists():
        fresh = path.with_suffix(".fresh")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(make()))
        fresh.rename(path)  # whole or not at all
    return msgspec.json.decode(path.read_bytes())


def _new_passwords() -> dict[str, str]:
    return {name: secrets.token_urlsafe(24) for name in PASSWORDS}
