"""Object storage accounts: S3 credentials, generated once for each account."""

from base64 import b32encode, b64encode

from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

ACCESS_KEY_LENGTH = 20
SECRET_KEY_BYTES = 30
USER_ID_BYTES = 32


def account(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    return thing.status or {
        "accessKey": b32encode(world.random(ACCESS_KEY_LENGTH)).decode()[:ACCESS_KEY_LENGTH],
        "secretKey": b64encode(world.random(SECRET_KEY_BYTES)).decode(),
        "canonicalUserId": world.random(USER_ID_BYTES).hex(),
    }
