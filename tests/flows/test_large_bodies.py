"""The process answers others while it parses large bodies, whatever these hold."""

import asyncio
from itertools import islice

from tests.body_shapes import bodies
from tests.flows.client import JSON, Answer, Client, at

BYTES = 1_000_000
BODIES = 12
REFUSED = (400, 413, 422)


async def test_health_is_answered_while_large_bodies_are_parsed(
    client: Client, workspace: str
) -> None:
    await client.made(at("workspace", workspace), {})
    path = at("block-storage", "large", workspace=workspace)
    headers = {"Content-Type": JSON}
    parsing = [
        asyncio.create_task(client.ask("PUT", path, headers=headers, data=body))
        for _, _, body in islice(bodies(BYTES), BODIES)
    ]
    during = list[Answer]()
    while not all(each.done() for each in parsing):
        during.append(await client.get("/healthz"))
    assert {each.status for each in during} == {200}
    answers = await asyncio.gather(*parsing)
    assert {each.status for each in answers} <= set(REFUSED)
    assert len(during) > BODIES, "health was answered between the bodies, not only after them"
