"""Heads that are recorded now, for an export."""

import asyncio
from contextlib import suppress

from nats.aio.client import Client

from secaplane.audit.heads import link
from secaplane.audit.heads.unavailable import NotaryAbsent, NotaryUnavailable

SIGNED_S_MAX, POLL_S = 10.0, 0.1
"""New heads are waited for so long: until the notary has signed their entry, and a quorum of
witnesses has cosigned it. After that the newest heads that are signed are taken."""


async def recorded_heads(nats: Client) -> int:
    """Ask for an entry about the heads of now; its sequence, or 0 where none could be recorded in
    time: no process that records them answers, or the notary does not."""
    clock = asyncio.get_running_loop().time
    until = clock() + SIGNED_S_MAX
    while clock() < until:
        with suppress(NotaryUnavailable):
            try:
                return int(await link.ask(nats, link.PUBLISH))
            except NotaryAbsent:
                return 0
        await asyncio.sleep(POLL_S)
    return 0
