"""A sealer with keys that exist only in tests."""

from secaplane.sealing.life_sealers import LifeSealers
from secaplane.sealing.sealer import Keyring, Sealer

SEALER = Sealer(Keyring.generate())
SEALERS = LifeSealers(SEALER, None)
"""Of a site without random keys."""
