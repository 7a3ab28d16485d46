"""A store of keys in memory, and events sealed with its keys, for tests."""

from secaplane.eventlog.event_seals import KeyedEvents
from secaplane.sealing.keys.data_keys import KEPT_S, DataKeys
from secaplane.sealing.keys.key_store import MemoryKeyStore
from secaplane.sealing.keys.wrapping import FileWrapper
from secaplane.sealing.sealer import Keyring
from tests.log.new_events import NOON

KEYRING = Keyring.generate()


class KeyScene:
    """One store; each process has keys of its own, and all have one clock."""

    def __init__(self) -> None:
        self.store, self.now = MemoryKeyStore(), 0.0

    def process(self, keyring: Keyring = KEYRING) -> DataKeys:
        return DataKeys(self.store, FileWrapper(keyring), now=lambda: NOON, clock=lambda: self.now)

    def seals(self) -> KeyedEvents:
        return KeyedEvents(self.process())

    def pass_time(self) -> None:
        """Longer than a process keeps a key."""
        self.now += KEPT_S + 1
