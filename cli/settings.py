"""The sections of the configuration. `make docs` writes the reference from their docstrings."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.serving.connections import PER_ADDRESS_MAX, TOTAL_MAX, ConnectionLimits
from secaplane.edge.serving.drain import IN_FLIGHT_S, NOT_READY_S, Drain
from secaplane.policy.tokens.issuer import REFETCH_INTERVAL_S, REFRESH_S, STALE_S, Issuer

SIMULATED = "simulated"
TOKEN_LENGTH_MIN = 16
CHECKPOINT_INTERVAL_MS_MAX = 500
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", max_length=64)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class BadConfig(Exception):
    """The configuration cannot be used; the text says in one line what to correct."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True): ...


class SiteSettings(Settings, frozen=True):
    region: Annotated[str, Meta(min_length=1, max_length=64)] = "eu-1"
    """The region served. It is part of every subject in the log, so it never changes."""
    base_url: str = ""
    """Public address, without a trailing slash. Empty: the address listened on."""
    refusals: Literal["spec", "secatest"] = "spec"
    """Status codes of refusals: the standard's, or those that the released conformance runner
    expects."""
    extensions: tuple[str, ...] = ()
    """Keys of `extensions` that are accepted; any other is refused."""


class TlsSettings(Settings, frozen=True):
    """TLS of this process, toward the others and for its own ports."""

    ca: str = ""
    """File with the certificates of the authorities that sign the certificates of NATS and of the
    simulated cloud. Set: NATS is reached by TLS alone. PostgreSQL's is a parameter of its address:
    `sslmode=verify-full&sslrootcert=FILE`."""
    certificate: str = ""
    """File with the certificate of this process. Set: its ports (API, monitor, simulated cloud)
    speak TLS alone."""
    key: str = ""
    """File with the private key of the certificate."""


class NatsSettings(Settings, frozen=True):
    url: str = "nats://127.0.0.1:4222"
    """Address with user and password; several servers of a cluster are separated by commas."""
    stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")] = "SECA"
    """The stream that records every kind, or the regional ones where `global_stream` is set."""
    global_stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,32}\Z")] = ""
    """A stream of its own for the kinds of global providers (authorization, tenants). Empty: they
    are in `stream`. Fixed when the log is created."""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """Replicas of a stream when it is created; 3 in production."""


class PostgresSettings(Settings, frozen=True):
    url: str = "postgresql://127.0.0.1:5432/secaplane"
    """Address with user and password: the owner of the tables for the projector, the reader for
    the others."""
    connections: Annotated[int, Meta(ge=1, le=100)] = 4
    """Size of the pool of each process."""
    list_connections: Annotated[int, Meta(ge=1, le=100)] = 2
    """Further connections of a process that answers GET, for lists alone. Lists that scan take
    all but one of them. Each process that serves the API has as many, and one, for the history."""


class ReadModelSettings(Settings, frozen=True):
    """Replicas of the read model. Each is a database with a projector of its own, which fills it
    from the log; every process belongs to one."""

    replica: Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", max_length=32)] = (
        "main"
    )
    """Name of the replica in the database of `postgres.url`. The projector gives it to a fresh
    database; a process whose name and database do not belong together refuses to start."""


class HttpSettings(Settings, frozen=True):
    host: str = "127.0.0.1"
    """Address of the API."""
    port: Port = 8080
    """Port of the API; 0 takes a free one."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose `X-Forwarded-For` is trusted."""


class MonitorSettings(Settings, frozen=True):
    """Readiness with reasons, figures and metrics. Without a port, a process that serves the API
    shows them on its main port if that is bound to loopback, and nowhere otherwise."""

    host: str = "127.0.0.1"
    """Address of the monitor port."""
    port: Port | None = None
    """The monitor port; none by default."""
    check_port: Port | None = None
    """Port for health checks from the same container: `/healthz` and `/readyz` without details, in
    plain HTTP on 127.0.0.1; none by default."""


class StoppingSettings(Settings, frozen=True):
    """The end of a process after SIGTERM or SIGINT; a second signal ends it at once. Together less
    than the time after which an orchestrator kills it (30 s), with 5 s for what follows."""

    not_ready_seconds: Annotated[float, Meta(ge=0, le=300)] = NOT_READY_S
    """Time for which `/readyz` answers 503 while requests are still accepted, so that a balancer
    sees it; at least its interval between two checks. `secaplane dev`: 0."""
    in_flight_seconds: Annotated[float, Meta(ge=0, le=3600)] = IN_FLIGHT_S
    """Time for the requests, and for the calls to the cloud, that are in flight."""

    def drain(self) -> Drain:
        return Drain(self.not_ready_seconds, self.in_flight_seconds)


class AuthSettings(Settings, frozen=True):
    operators: tuple[str, ...] = ()
    """Subs, with their issuer's prefix, that may create tenants and revoke tokens."""
    issuers: tuple[Issuer, ...] = ()
    """Token issuers, one table each; see below. Without one, every request is refused."""
    stale_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """All requests are refused when the log has been silent for longer, because the authorization
    policy is stale."""
    keys_refresh_seconds: Annotated[float, Meta(ge=REFETCH_INTERVAL_S, le=24 * 3600)] = REFRESH_S
    """Interval between two fetches of an issuer's keys; a withdrawn key is accepted for as long."""
    keys_stale_seconds: Annotated[float, Meta(ge=1, le=30 * 24 * 3600)] = STALE_S
    """Validity of fetched keys while their issuer is unreachable."""


class AuditSettings(Settings, frozen=True):
    """The security audit stream: refused requests, logins, privileged reads. Its limits are set
    when it is created, and changed by an administrator of NATS; the oldest entries are removed
    first."""

    privileged: tuple[str, ...] = ()
    """Kinds whose every allowed GET and list is recorded."""
    entries_per_caller: Annotated[int, Meta(ge=1)] = 1000
    """Entries kept of each type and caller, or of each address where there is no caller."""
    bytes_max: Annotated[int, Meta(ge=1024 * 1024)] = 256 * 1024 * 1024
    """Size of all entries together."""
    days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """Age of the oldest entry."""


class NotarySettings(Settings, frozen=True):
    """The notary: a Merkle log of each stream, with signed checkpoints. Only the process `notary`
    needs these settings; `command` and `serve` use `heads_minutes`."""

    origin: Annotated[str, Meta(pattern=r"^[^\s+]{0,200}\Z")] = ""
    """Name of this control plane in its checkpoints, such as `audit.example.org`: an address
    without a scheme. The log of a stream is named `<origin>/<stream>`. It never changes."""
    folder: str = ""
    """Folder of the logs. Its part `public` may be served to everyone, `private` to none."""
    bucket: Annotated[str, Meta(pattern=r"^(s3://[a-z0-9.-]{3,63}(/[^/\s]+)*)?\Z")] = ""
    """Bucket of the logs instead of a folder, such as `s3://audit/secaplane`: notaries on several
    machines write one log. Needs `secaplane[s3]`; the environment has the credentials
    (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`)."""
    bucket_endpoint: str = ""
    """Address of the object storage, such as `https://s3.example.org`. Empty: that of AWS."""
    bucket_region: str = "us-east-1"
    """Region of the object storage, which signatures name."""
    keys: str = ""
    """File with the signing keys, which `secaplane notary keys` creates. No other process may read
    it. Several keys for one log all sign, so that keys can be rotated."""
    policy: str = ""
    """File with a policy (c2sp.org/tlog-policy). Checkpoints are submitted to its witnesses, which
    need addresses; `cosigned` beside `checkpoint` is the newest one that reached the quorum. Empty:
    no witnesses."""
    host: str = "127.0.0.1"
    """Address of the port that serves the public part of the logs."""
    port: Port | None = None
    """Serves `/<stream>/checkpoint`, `/<stream>/cosigned` and `/<stream>/tile/...` to everyone who
    reaches it; none by default."""
    interval_ms: Annotated[int, Meta(ge=20, le=CHECKPOINT_INTERVAL_MS_MAX)] = 350
    """Least time between two checkpoints of one log, in milliseconds."""
    compare_hours: Annotated[int, Meta(ge=0, le=8760)] = 24
    """Hours between two comparisons of a whole stream with its log, in the background; the first
    one begins with the process. 0: none."""
    heads_minutes: Annotated[int, Meta(ge=1, le=24 * 60)] = 60
    """Minutes between two entries of the audit stream that commit to the newest event of every
    tenant; each export makes another one. `command` and `serve` append them."""
    timestamp_url: str = ""
    """Address of a time-stamping authority (RFC 3161), such as `https://tsa.example.org/tsr`:
    `secaplane audit timestamp` asks it for a time stamp on the newest checkpoints."""


class SecretsSettings(Settings, frozen=True):
    keyring: str = ""
    """Path of the keyring that seals secrets. `command`, `serve` and `reconcilers` need it; `query`
    needs it to show secrets, and answers 503 for a resource with secrets without it."""
    page_keyring: str = ""
    """Path of the keyring that signs page tokens (`skipToken`). `query` and `serve` need it."""


class KeysSettings(Settings, frozen=True):
    """Random keys that seal the events of each tenant, so that they can be erased. They are stored
    in NATS, wrapped by a keyring."""

    keyring: str = ""
    """Path of the keyring that wraps the keys of events. Every process that reads or writes events
    needs it; the notary does not. Without it and without `hsm_module`, events are stored in clear
    and cannot be erased."""
    hsm_module: str = ""
    """Path of the PKCS #11 library of a hardware security module, which wraps the keys of events
    instead of the keyring. Needs `secaplane[hsm]`. With `keyring`, too, keys that the keyring has
    wrapped can still be read."""
    hsm_token: str = ""
    """Label of the token in the module."""
    hsm_key: str = ""
    """Label of the AES key that wraps. Keys that other labels have wrapped can still be read."""
    hsm_pin_file: str = ""
    """Path of a file with the PIN of the token's user."""
    person_months: Annotated[int, Meta(ge=0, le=1200)] = 0
    """Months for which the callers of events are kept, besides the present one; then `secaplane
    retention apply` erases them. 0: without end."""
    secret_days: Annotated[int, Meta(ge=0, le=36_500)] = 30
    """Days for which the key of a resource's secret fields is kept after the resource is gone; then
    `secaplane retention apply` destroys it."""
    holds: tuple[str, ...] = ()
    """Names of tenants under legal hold: no key of theirs is destroyed."""

    @property
    def seal_events(self) -> bool:
        """True if events are sealed."""
        return bool(self.keyring or self.hsm_module)


Rate = Annotated[float, Meta(ge=0, le=1_000_000)]
Burst = Annotated[int, Meta(ge=0, le=1_000_000)]


class LimitsSettings(Settings, frozen=True):
    """Limits of requests. Each process counts rates for itself: behind a proxy that spreads
    requests evenly, each counts its share. Quotas are in the tenant's spec."""

    caller_per_second: Rate = 0.0
    """Requests of one caller in a second, 429 beyond; 0: no limit."""
    caller_burst: Burst = 0
    """Requests of one caller at once; 0: as many as in one second."""
    tenant_per_second: Rate = 0.0
    """Requests of all callers of one tenant in a second, 429 beyond; 0: no limit."""
    tenant_burst: Burst = 0
    """Requests of all callers of one tenant at once; 0: as many as in one second."""
    connections_max: Annotated[int, Meta(ge=16, le=1_000_000)] = TOTAL_MAX
    """Open connections of a port; beyond it, the one that has waited longest for a request is
    closed."""
    connections_per_address_max: Annotated[int, Meta(ge=256, le=1_000_000)] = PER_ADDRESS_MAX
    """Open connections of one address, 503 beyond. Those of `http.trusted_proxies` are not
    limited."""
    url_bytes_max: Annotated[int, Meta(ge=1024, le=48 * 1024)] = 16 * 1024
    """Size of path and query, 414 beyond."""
    body_bytes_max: Annotated[int, Meta(ge=1024, le=2 * 1024 * 1024)] = 1024 * 1024
    """Size of a body, 413 beyond."""

    def of_connections(self, proxies: TrustedProxies) -> ConnectionLimits:
        return ConnectionLimits(
            self.connections_max, self.connections_per_address_max, proxies=proxies
        )


class WritesSettings(Settings, frozen=True):
    wait_for_projection: bool = True
    """Answer a write when GET shows it, after 2 s at most; false: at once."""
    delay_seconds_max: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Longest delay of the answer to an accepted write while the reconcilers are more than a second
    behind in its tenant: a tenth of the time that they are behind. 0: never delayed."""


Mode = Literal["strict", "deferred"]


class ReferencesSettings(Settings, frozen=True):
    """`strict`: the target of a reference must exist when it is written. `deferred`: the reference
    is bound when the target appears."""

    nic_public_ips: Mode = "strict"
    """Public IPs of a NIC."""
    image_block_storage: Mode = "strict"
    """The volume of an image."""
    role_assignment_roles: Mode = "strict"
    """Roles of a role assignment."""


class NetworkSettings(Settings, frozen=True):
    private_ranges: Literal["required", "any"] = "required"
    """`required`: the ranges of a network are private (RFC 1918, RFC 4193), as the standard says.
    `any`: other ranges are accepted, too."""


class DeletionSettings(Settings, frozen=True):
    cascades: tuple[Annotated[str, Meta(pattern=r"^[a-z-]+/[a-z-]+\Z")], ...] = ()
    """`parent/child`, two kinds, such as `network/subnet`: the child is deleted with its parent
    instead of blocking it."""


class CloudSettings(Settings, frozen=True):
    """The cloud behind this control plane, and the process of the simulated one."""

    plugin: Annotated[str, Meta(min_length=1, max_length=64)] = SIMULATED
    """The plugin that drives the cloud: an entry point in the group `secaplane.plugins`."""
    settings: dict[str, Any] = {}
    """Settings of the plugin. Variables set them one by one: `SECAPLANE_CLOUD_SETTINGS_API_URL` is
    `api_url`. The simulated plugin has `url` and `token`, by default those of this section."""
    url: str = "http://127.0.0.1:8090"
    """Address of the simulated cloud, where it listens; https where `tls.certificate` is set."""
    token: str = ""
    """Shared token that the simulated cloud asks of its plugin, at least 16 characters. It and
    `token_file` empty: the simulated cloud does not start."""
    token_file: str = ""
    """File with the token, instead of `token`."""
    file: str = "cloud.sqlite"
    """File with the simulated cloud's state."""
    catalogue: str = ""
    """TOML file with the simulated cloud's zones, SKUs and images, relative to the configuration
    file. Empty: the built-in one."""
    faults: dict[str, Any] = {}
    """Faults of the simulated cloud; `examples/site.toml` lists them."""

    def shared_token(self) -> str:
        """The token of the simulated cloud; empty where none is configured.

        Raises:
            OSError: the file cannot be read.
            ValueError: the token is too short.
        """
        token = Path(self.token_file).read_text().strip() if self.token_file else self.token
        if token and len(token) < TOKEN_LENGTH_MIN:
            raise ValueError(f"cloud.token has fewer than {TOKEN_LENGTH_MIN} characters")
        return token

    def plugin_settings(self, ca: str = "") -> dict[str, Any]:
        """The plugin's settings; the simulated plugin knows address and token of its process, and
        the file with the authorities that sign its certificate.

        Raises:
            OSError, ValueError: as `shared_token`.
        """
        if self.plugin != SIMULATED:
            return self.settings
        own = {"url": self.url, "token": self.shared_token(), "ca": ca}
        return own | self.settings


class DriftSettings(Settings, frozen=True):
    """Comparison of cloud and log, by `reconcilers`. A difference becomes a `DriftDetected`
    condition of the resource."""

    repair: tuple[str, ...] = ()
    """Kinds whose drift is repaired: the resource is made or changed in the cloud as its spec says.
    `*`: every kind. Drift of the others is only reported."""
    ignore: tuple[str, ...] = ()
    """Kinds that are not compared; `*`: none is."""
    per_second: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    """Comparisons in a second, by all processes together; each reads a resource from the cloud."""
    round_hours: Annotated[float, Meta(gt=0, le=24 * 365)] = 24.0
    """Every resource is compared once in that time, if need be with more comparisons in a
    second."""
    confirm_seconds: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    """A difference is reported if it is still there after that time, and the resource had no event
    meanwhile."""
    inventory_minutes: Annotated[float, Meta(gt=0, le=60 * 24 * 365)] = 30.0
    """Interval between two sweeps over what the cloud holds. What two of them find that the log
    knows as gone is removed; what the log never knew is reported."""


class DevSettings(Settings, frozen=True):
    """Created by `secaplane dev`."""

    tenant: Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", max_length=64)] = (
        "demo"
    )
    """Name of the tenant."""
    administrator: Annotated[str, Meta(min_length=1, max_length=128)] = "admin@example.org"
    """Sub of its administrator."""
    token_hours: Annotated[int, Meta(ge=1, le=24 * 365)] = 12
    """Validity of the printed token."""
