"""The configuration: one TOML file and `SECAPLANE_*` variables into one frozen struct.

A variable is named after its section and key: `SECAPLANE_NATS_URL` is `url` in `[nats]`. Variables
override the file.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from secaplane.cli.settings import (
    AuditSettings,
    AuthSettings,
    BadConfig,
    CloudSettings,
    DeletionSettings,
    DevSettings,
    DriftSettings,
    HttpSettings,
    KeysSettings,
    LimitsSettings,
    MonitorSettings,
    NatsSettings,
    NetworkSettings,
    NotarySettings,
    PostgresSettings,
    ReadModelSettings,
    ReferencesSettings,
    SecretsSettings,
    Settings,
    SiteSettings,
    StoppingSettings,
    TlsSettings,
    WritesSettings,
)
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.kinds import KINDS, children
from secaplane.policy.tokens.issuer import Issuer

PREFIX = "SECAPLANE_"
CLOUD_SETTINGS = "settings_"
"""Begins the variables of `[cloud.settings]`, after `SECAPLANE_CLOUD_`."""
OTHERS = ("ready", "test")
"""Variables with the prefix that are no settings: between parent and child, and of tests."""


class Config(Settings, frozen=True):
    site: SiteSettings = SiteSettings()
    tls: TlsSettings = TlsSettings()
    nats: NatsSettings = NatsSettings()
    postgres: PostgresSettings = PostgresSettings()
    readmodel: ReadModelSettings = ReadModelSettings()
    http: HttpSettings = HttpSettings()
    monitor: MonitorSettings = MonitorSettings()
    stopping: StoppingSettings = StoppingSettings()
    auth: AuthSettings = AuthSettings()
    audit: AuditSettings = AuditSettings()
    notary: NotarySettings = NotarySettings()
    secrets: SecretsSettings = SecretsSettings()
    keys: KeysSettings = KeysSettings()
    writes: WritesSettings = WritesSettings()
    limits: LimitsSettings = LimitsSettings()
    references: ReferencesSettings = ReferencesSettings()
    network: NetworkSettings = NetworkSettings()
    deletion: DeletionSettings = DeletionSettings()
    cloud: CloudSettings = CloudSettings()
    drift: DriftSettings = DriftSettings()
    dev: DevSettings = DevSettings()


def read(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The settings of the file, overridden by the environment.

    Raises:
        BadConfig: unreadable file, unknown names, values out of range.
    """
    try:
        written = _written(path) if path else {}
        config = msgspec.convert(_overlaid(written, environment), Config, strict=False)
        _refuse_shared_prefixes(config.auth.issuers)
        if bool(config.tls.certificate) != bool(config.tls.key):
            raise ValueError("tls.certificate and tls.key belong together: set both, or neither")
        if config.auth.keys_stale_seconds <= config.auth.keys_refresh_seconds:
            raise ValueError("auth.keys_stale_seconds must be more than auth.keys_refresh_seconds")
        _refuse_shared_keyrings(config)
        _refuse_unknown_cascades(config.deletion.cascades)
        _refuse_unknown_kinds("audit.privileged", config.audit.privileged)
        _refuse_unknown_kinds("drift.repair", config.drift.repair, "*")
        _refuse_unknown_kinds("drift.ignore", config.drift.ignore, "*")
        _refuse_invalid_proxies(config.http.trusted_proxies)
        return config
    except (OSError, ValueError, TypeError) as error:
        raise BadConfig(f"{path or 'configuration'}: {error}") from error


def _refuse_shared_prefixes(issuers: tuple[Issuer, ...]) -> None:
    """Refuses issuers with the same name or prefix: they could issue tokens for each other's
    callers."""
    for field in ("issuer", "prefix"):
        values = [getattr(each, field) for each in issuers]
        if len(set(values)) < len(values):
            raise ValueError(f"auth.issuers: each needs a {field} of its own")


def _refuse_shared_keyrings(config: Config) -> None:
    """Each opens something else, for other processes."""
    secrets = config.secrets
    used = {
        "secrets.keyring": secrets.keyring,
        "secrets.page_keyring": secrets.page_keyring,
        "keys.keyring": config.keys.keyring,
    }
    seen = dict[str, str]()
    for setting, file in used.items():
        if file and file in seen:
            raise ValueError(f"{setting} must be another file than {seen[file]}")
        seen[file] = setting


def _refuse_unknown_cascades(cascades: tuple[str, ...]) -> None:
    for each in cascades:
        parent, child = each.split("/")
        if parent not in KINDS or KINDS.get(child) not in children(KINDS[parent]):
            raise ValueError(f"deletion.cascades: {each} is not a kind and a kind of its children")


def _refuse_unknown_kinds(setting: str, kinds: tuple[str, ...], *besides: str) -> None:
    for each in kinds:
        if each not in KINDS and each not in besides:
            raise ValueError(f"{setting}: unknown kind {each}")


def _refuse_invalid_proxies(proxies: tuple[str, ...]) -> None:
    try:
        TrustedProxies(proxies)
    except ValueError as error:
        raise ValueError(f"http.trusted_proxies: {error}") from error


def _written(path: Path) -> dict[str, Any]:
    """Parses TOML; or JSON, which `secaplane dev` writes for its child processes."""
    if path.suffix == ".json":
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    written = tomllib.loads(path.read_text())
    cloud = written.get("cloud")
    if isinstance(cloud, dict) and cloud.get("catalogue"):
        cloud["catalogue"] = str(path.parent / cloud["catalogue"])  # relative to the file
    return written


def _overlaid(written: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged = {section: dict(values) for section, values in written.items()}
    for name, value in environment.items():
        section, _, key = name.removeprefix(PREFIX).lower().partition("_")
        if name.startswith(PREFIX) and section not in OTHERS:
            if section not in Config.__struct_fields__:
                raise ValueError(f"{name}: the configuration has no section {section}")
            if section == "cloud" and key.startswith(CLOUD_SETTINGS):
                _set_plugin_setting(merged, key.removeprefix(CLOUD_SETTINGS), value)
                continue
            field = Config.__annotations__[section].__annotations__.get(key)
            plural = field is not None and str(field).startswith("tuple")
            merged.setdefault(section, {})[key] = value.split(",") if plural else value
    return merged


def _set_plugin_setting(merged: dict[str, Any], key: str, value: str) -> None:
    cloud = merged.setdefault("cloud", {})
    cloud["settings"] = {**cloud.get("settings", {}), key: value}
