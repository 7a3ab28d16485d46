"""The bare parts: Litestar routes on the same HTTP server, without any part of Secaplane.

`/bytes` answers constant bytes, `/select/...` answers one row by one select, `PUT /publish/...`
decodes a body and does one synced publish.
"""

import sys
from typing import Any

import asyncpg
import msgspec
import nats
import uvicorn
import uvloop
from litestar import Litestar, Request, Response, get, put
from msgspec import UNSET, UnsetType

from secaplane.kinds.storage.block_storage import BlockStorageSpec
from secaplane.model.shape import Labels, Wire

JSON = "application/json"
STREAM = "BARE"
SELECT = "select document from resources_1.resources where kind = $1 and path = $2 and not gone"


class Settings(msgspec.Struct):
    port: int
    nats: str
    postgres: str
    body: str


class Body(Wire, frozen=True):
    spec: BlockStorageSpec
    labels: Labels | UnsetType = UNSET


async def main(settings: Settings) -> None:
    client = await nats.connect(settings.nats)
    stream = {"name": STREAM, "subjects": ["bare.>"], "allow_direct": True}
    made = await client.request(
        f"$JS.API.STREAM.CREATE.{STREAM}", msgspec.json.encode(stream), timeout=5
    )
    assert b"error" not in made.data, made.data
    pool = await asyncpg.create_pool(settings.postgres, min_size=4, max_size=4)
    constant = settings.body.encode()
    decode = msgspec.json.Decoder(Body).decode

    @get("/bytes/{tenant:str}/workspaces/{workspace:str}/block-storages/{name:str}")
    async def constant_bytes(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(constant, media_type=JSON)

    @get("/select/{tenant:str}/workspaces/{workspace:str}/block-storages/{name:str}")
    async def select(request: Request[Any, Any, Any]) -> Response[bytes]:
        ids = request.path_params
        path = f"tenants/{ids['tenant']}/workspaces/{ids['workspace']}/block-storages/{ids['name']}"
        document = await pool.fetchval(SELECT, "block-storage", path)
        return Response(document.encode(), media_type=JSON)

    @put("/publish/{workspace:str}/{name:str}")
    async def publish(request: Request[Any, Any, Any]) -> Response[bytes]:
        body = await request.body()
        decode(body)
        ids = request.path_params
        subject = f"bare.{ids['workspace']}.{ids['name']}"
        answer = await client.request(subject, body, timeout=5)
        return Response(answer.data, media_type=JSON)

    app = Litestar([constant_bytes, select, publish], openapi_config=None, logging_config=None)
    config = uvicorn.Config(app, port=settings.port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Settings)))
