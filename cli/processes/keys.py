"""The data keys of a process: their store beside the log, unwrapped by the keyring of the site."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.settings import BadConfig, KeysSettings
from secaplane.eventlog.event_seals import ClearEvents, KeyedEvents
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore
from secaplane.sealing.keys.data_keys import DataKeys
from secaplane.sealing.keys.wrapping import HSM, FileWrapper, KeyWrapper, MovedWrapper
from secaplane.sealing.life_sealers import LifeSealers
from secaplane.sealing.sealer import Keyring, Sealer


def keyring(setting: str, path: str) -> Keyring:
    """Raises BadConfig where none is configured, or the file cannot be used."""
    if not path:
        raise BadConfig(f"{setting} is not set; `secaplane keyring FILE` creates a keyring")
    try:
        return Keyring.read(Path(path))
    except (OSError, ValueError) as error:
        raise BadConfig(f"{setting}: {error}") from error


def event_wrapper(config: Config) -> KeyWrapper:
    """The key-encryption keys of body and person keys.

    Raises:
        BadConfig: they are not configured, or their files cannot be used.
    """
    settings = config.keys
    if not settings.hsm_module:
        return FileWrapper(keyring("keys.keyring", settings.keyring))
    hsm = hsm_wrapper(settings)
    if not settings.keyring:
        return hsm
    return MovedWrapper(hsm, HSM, FileWrapper(keyring("keys.keyring", settings.keyring)))


def hsm_wrapper(settings: KeysSettings) -> KeyWrapper:
    """The module itself is asked when the first key is needed: it may be away at the start.

    Raises:
        BadConfig: a setting or the extra is missing.
    """
    for name in ("hsm_module", "hsm_token", "hsm_key", "hsm_pin_file"):
        if not getattr(settings, name):
            raise BadConfig(f"keys.{name} is not set: the HSM needs it")
    try:
        from secaplane.sealing.keys.hsm import HsmToken, HsmWrapper

        pin = Path(settings.hsm_pin_file).read_text().strip()
    except ImportError as error:
        raise BadConfig("keys.hsm_module needs the extra `secaplane[hsm]`") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"keys.hsm_pin_file: {error}") from error
    token = HsmToken(settings.hsm_module, settings.hsm_token, pin)
    return HsmWrapper(token, settings.hsm_key)


def key_store(config: Config, client: Client) -> JetStreamKeyStore:
    return JetStreamKeyStore(client, stream=config.nats.stream)


def data_keys(config: Config, client: Client, now: Callable[[], datetime]) -> DataKeys:
    """Raises BadConfig where the keyring cannot be used."""
    return DataKeys(key_store(config, client), event_wrapper(config), now=now)


def life_sealers(config: Config, client: Client, now: Callable[[], datetime]) -> LifeSealers | None:
    """Sealers of secret fields; None for a process without `secrets.keyring`, which cannot open
    any. Their random keys are wrapped by that keyring, so that who reads bodies does not read
    secrets. A site whose events are in clear has no random keys.

    Raises:
        BadConfig: the keyring cannot be used.
    """
    if not config.secrets.keyring:
        return None
    ring = keyring("secrets.keyring", config.secrets.keyring)
    random = config.keys.seal_events
    keys = DataKeys(key_store(config, client), FileWrapper(ring), now=now) if random else None
    return LifeSealers(Sealer(ring), keys)


async def refuse_clear(config: Config, store: JetStreamKeyStore) -> None:
    """A process that writes events writes none in clear beside sealed ones.

    Raises:
        BadConfig: no key of events can be unwrapped, and some were made.
        KeysUnavailable.
    """
    if not config.keys.seal_events and await store.in_use():
        raise BadConfig("keys.keyring is not set, and the events of this log are sealed")


def event_seals(
    config: Config, client: Client, now: Callable[[], datetime]
) -> KeyedEvents | ClearEvents:
    """Raises BadConfig where the keyring cannot be used."""
    if not config.keys.seal_events:
        return ClearEvents()
    return KeyedEvents(data_keys(config, client, now))
