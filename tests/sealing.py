"""A sealer with keys that exist only in tests."""

from secaplane.sealing.sealer import Keyring, Sealer

SEALER = Sealer(Keyring.generate())
