"""The data keys of a process: their store beside the log, unwrapped by the keyring of the site."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.event_seals import ClearEvents, KeyedEvents
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore
from secaplane.sealing.keys.data_keys import DataKeys
from secaplane.sealing.keys.wrapping import FileWrapper, KeyWrapper
from secaplane.sealing.sealer import Keyring


def keyring(setting: str, path: str) -> Keyring:
    """Raises BadConfig where none is configured, or the file cannot be used."""
    if not path:
        raise BadConfig(f"{setting} is not set; `secaplane keyring FILE` creates a keyring")
    try:
        return Keyring.read(Path(path))
    except (OSError, ValueError) as error:
        raise BadConfig(f"{setting}: {error}") from error


def event_wrapper(config: Config) -> KeyWrapper:
    """The key-encryption keys of body and person keys. A KMS is another `KeyWrapper` here."""
    return FileWrapper(keyring("keys.keyring", config.keys.keyring))


def key_store(config: Config, client: Client) -> JetStreamKeyStore:
    return JetStreamKeyStore(client, stream=config.nats.stream)


def data_keys(config: Config, client: Client, now: Callable[[], datetime]) -> DataKeys:
    """Raises BadConfig where the keyring cannot be used."""
    return DataKeys(key_store(config, client), event_wrapper(config), now=now)


def event_seals(
    config: Config, client: Client, now: Callable[[], datetime]
) -> KeyedEvents | ClearEvents:
    """Raises BadConfig where the keyring cannot be used."""
    if not config.keys.keyring:
        return ClearEvents()
    return KeyedEvents(data_keys(config, client, now))
