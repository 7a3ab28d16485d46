"""A small asyncio client: reads a Load from stdin, sends it, writes an Answered to stdout."""

import asyncio
import sys
import time
from itertools import count

import aiohttp
import msgspec

from tests.bench.load import Answered, Load


async def main(load: Load) -> Answered:
    numbers, answered, failed = count(1), 0, 0
    until = time.perf_counter() + load.seconds

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal answered, failed
        while time.perf_counter() < until:
            n = next(numbers)
            path = load.path.replace("{w}", str(n % load.workspaces + 1)).replace("{n}", str(n))
            async with session.request(load.method, load.url + path, data=load.body) as answer:
                await answer.read()
                answered += 1
                failed += answer.status >= 400

    connector = aiohttp.TCPConnector(limit=load.in_flight)
    async with (
        aiohttp.ClientSession(headers=load.headers, connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(load.in_flight):
            group.create_task(one(session))
    return Answered(answered / load.seconds, failed)


if __name__ == "__main__":
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(main(load))))
