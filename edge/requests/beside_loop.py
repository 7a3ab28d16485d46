"""Work of large requests, in a thread beside the event loop, which answers others meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LARGE_BYTES = 64 * 1024
"""Above it a body is read beside the event loop; a smaller one takes less than 20 ms of it."""
_THREAD = ThreadPoolExecutor(1, "large-bodies")
"""One: large bodies wait for each other, and the event loop has at least half of the time."""
Done = TypeVar("Done")


async def in_proportion(size: int, work: Callable[[], Done]) -> Done:
    """The result of `work` on a body of that size."""
    if size <= LARGE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
