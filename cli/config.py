"""The configuration: one TOML file and `SECAPLANE_*` variables into one frozen struct.

A variable is named after its place: `SECAPLANE_NATS_URL` is `url` in `[nats]`, and wins over the
file.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.kinds import KINDS, children
from secaplane.policy.tokens.issuer import REFETCH_INTERVAL_S, REFRESH_S, STALE_S, Issuer

PREFIX = "SECAPLANE_"
OTHERS = ("ready", "test")
"""Variables of the prefix that are no configuration: between parent and child, and of tests."""
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", max_length=64)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class BadConfig(Exception):
    """The configuration cannot be used; says what to mend in one line."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class SiteSettings(Settings, frozen=True):
    region: Annotated[str, Meta(min_length=1, max_length=64)] = "eu-1"
    base_url: str = ""
    """How clients reach us, without a trailing slash; default: the address listened on."""
    refusals: Literal["spec", "secatest"] = "spec"
    """Which statuses refusals wear; `secatest` suits the released conformance runner."""
    extensions: tuple[str, ...] = ()
    """Keys of `extensions` that this site understands; any other is refused."""


class NatsSettings(Settings, frozen=True):
    url: str = "nats://127.0.0.1:4222"
    """Several servers of one cluster are parted by commas."""
    stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")] = "SECA"
    """The stream that records every kind, or the regional ones where `global_stream` is set."""
    global_stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}\Z")] = ""
    """A stream of its own for the kinds of global providers (authorization, tenants). Empty: they
    are in `stream`. Fixed when the log is created."""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1


class PostgresSettings(Settings, frozen=True):
    url: str = "postgresql://127.0.0.1:5432/secaplane"
    connections: Annotated[int, Meta(ge=1, le=100)] = 4
    """For each process."""


class HttpSettings(Settings, frozen=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    trusted_proxies: tuple[str, ...] = ()
    """Addresses, or networks, of those whose `X-Forwarded-For` is believed."""


class MonitorSettings(Settings, frozen=True):
    """Where reasons, figures and metrics are shown. Without a port of its own, a process that
    serves users shows them on its main port if that is bound to loopback, and nowhere if it is
    not."""

    host: str = "127.0.0.1"
    port: Port | None = None


class AuthSettings(Settings, frozen=True):
    operators: tuple[str, ...] = ()
    """Subs (with their issuer's prefix) that may bring tenants into being, and revoke tokens."""
    issuers: tuple[Issuer, ...] = ()
    stale_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """How long the log may be silent before nobody is let in any more, because who may what is not
    known."""
    keys_refresh_seconds: Annotated[float, Meta(ge=REFETCH_INTERVAL_S, le=24 * 3600)] = REFRESH_S
    """How often an issuer is asked for its keys: how long one that it withdrew may be believed."""
    keys_stale_seconds: Annotated[float, Meta(ge=1, le=30 * 24 * 3600)] = STALE_S
    """How long keys are believed while their issuer is away."""


class AuditSettings(Settings, frozen=True):
    """The security audit stream: refused requests, logins, and reads of privileged kinds."""

    privileged: tuple[str, ...] = ()
    """Kinds of which every allowed GET and list is recorded."""
    entries_per_caller: Annotated[int, Meta(ge=1)] = 1000
    """Entries kept of each type and caller, or of each address where no caller is known."""
    bytes_max: Annotated[int, Meta(ge=1024 * 1024)] = 256 * 1024 * 1024
    """Size of the stream; the oldest entries are discarded first."""
    days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """Age at which entries are discarded."""


class SecretsSettings(Settings, frozen=True):
    keyring: str = ""
    """Path of the keyring that seals secrets, and signs skipTokens."""


Rate = Annotated[float, Meta(ge=0, le=1_000_000)]
Burst = Annotated[int, Meta(ge=0, le=1_000_000)]


class LimitsSettings(Settings, frozen=True):
    """Rates are kept by each process for itself: behind a proxy that spreads requests evenly, each
    counts its share. 0 sets no limit; a burst of 0 is what comes in a second. Quotas are not here:
    they stand in the tenant."""

    caller_per_second: Rate = 0.0
    caller_burst: Burst = 0
    tenant_per_second: Rate = 0.0
    """Of all who may ask something of a tenant, together."""
    tenant_burst: Burst = 0
    url_bytes_max: Annotated[int, Meta(ge=1024, le=48 * 1024)] = 16 * 1024
    """Less than what a request may take before its body."""
    body_bytes_max: Annotated[int, Meta(ge=1024, le=2 * 1024 * 1024)] = 1024 * 1024


class WritesSettings(Settings, frozen=True):
    wait_for_projection: bool = True
    """Answer a write when GET shows it (at most 2 s later), or at once."""


Mode = Literal["strict", "deferred"]


class ReferencesSettings(Settings, frozen=True):
    """Whether what a reference points to must be there when it is written (`strict`), or is bound
    when it appears (`deferred`)."""

    nic_public_ips: Mode = "strict"
    image_block_storage: Mode = "strict"
    role_assignment_roles: Mode = "strict"


class DeletionSettings(Settings, frozen=True):
    cascades: tuple[Annotated[str, Meta(pattern=r"^[a-z-]+/[a-z-]+\Z")], ...] = ()
    """`parent/child`, two kinds: the parent takes the child with it instead of being blocked."""


class CloudSettings(Settings, frozen=True):
    plugin: Literal["simulated"] = "simulated"
    url: str = "http://127.0.0.1:8090"
    """Where the plugin finds its cloud."""
    file: str = "cloud.sqlite"
    """The simulated cloud's own memory."""
    catalogue: str = ""
    """TOML file of zones and SKUs that the simulated cloud offers, as seen from the configuration
    file; default: a built-in one."""
    faults: dict[str, Any] = {}


class DevSettings(Settings, frozen=True):
    """What `secaplane dev` makes besides."""

    tenant: Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", max_length=64)] = (
        "demo"
    )
    administrator: Annotated[str, Meta(min_length=1, max_length=128)] = "admin@example.org"
    token_hours: Annotated[int, Meta(ge=1, le=24 * 365)] = 12


class Config(Settings, frozen=True):
    site: SiteSettings = SiteSettings()
    nats: NatsSettings = NatsSettings()
    postgres: PostgresSettings = PostgresSettings()
    http: HttpSettings = HttpSettings()
    monitor: MonitorSettings = MonitorSettings()
    auth: AuthSettings = AuthSettings()
    audit: AuditSettings = AuditSettings()
    secrets: SecretsSettings = SecretsSettings()
    writes: WritesSettings = WritesSettings()
    limits: LimitsSettings = LimitsSettings()
    references: ReferencesSettings = ReferencesSettings()
    deletion: DeletionSettings = DeletionSettings()
    cloud: CloudSettings = CloudSettings()
    dev: DevSettings = DevSettings()


def read(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The file, overlaid with the environment.

    Raises:
        BadConfig: unreadable, unknown names, values out of range.
    """
    try:
        written = _written(path) if path else {}
        config = msgspec.convert(_overlaid(written, environment), Config, strict=False)
        _refuse_namesakes(config.auth.issuers)
        if config.auth.keys_stale_seconds <= config.auth.keys_refresh_seconds:
            raise ValueError("auth.keys_stale_seconds is more than auth.keys_refresh_seconds")
        _refuse_strangers(config.deletion.cascades)
        _refuse_unknown(config.audit.privileged)
        _refuse_no_addresses(config.http.trusted_proxies)
        return config
    except (OSError, ValueError, TypeError) as error:
        raise BadConfig(f"{path or 'configuration'}: {error}") from error


def _refuse_namesakes(issuers: tuple[Issuer, ...]) -> None:
    """Two issuers of one prefix could speak for each other's callers."""
    for field in ("issuer", "prefix"):
        values = [getattr(each, field) for each in issuers]
        if len(set(values)) < len(values):
            raise ValueError(f"auth.issuers: each needs a {field} of its own")


def _refuse_strangers(cascades: tuple[str, ...]) -> None:
    for each in cascades:
        parent, child = each.split("/")
        if parent not in KINDS or KINDS.get(child) not in children(KINDS[parent]):
            raise ValueError(f"deletion.cascades: {each} is no kind and one that lies in it")


def _refuse_unknown(kinds: tuple[str, ...]) -> None:
    for each in kinds:
        if each not in KINDS:
            raise ValueError(f"audit.privileged: {each} is no kind")


def _refuse_no_addresses(proxies: tuple[str, ...]) -> None:
    try:
        TrustedProxies(proxies)
    except ValueError as error:
        raise ValueError(f"http.trusted_proxies: {error}") from error


def _written(path: Path) -> dict[str, Any]:
    """TOML; or JSON, as `secaplane dev` hands it to its children."""
    if path.suffix == ".json":
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    written = tomllib.loads(path.read_text())
    cloud = written.get("cloud")
    if isinstance(cloud, dict) and cloud.get("catalogue"):
        cloud["catalogue"] = str(path.parent / cloud["catalogue"])  # it lies beside the file
    return written


def _overlaid(written: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged = {section: dict(values) for section, values in written.items()}
    for name, value in environment.items():
        section, _, key = name.removeprefix(PREFIX).lower().partition("_")
        if name.startswith(PREFIX) and section not in OTHERS:
            if section not in Config.__struct_fields__:
                raise ValueError(f"{name} names no section of the configuration")
            field = Config.__annotations__[section].__annotations__.get(key)
            plural = field is not None and str(field).startswith("tuple")
            merged.setdefault(section, {})[key] = value.split(",") if plural else value
    return merged
