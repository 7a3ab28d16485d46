"""A pool whose queries end in a bounded time, also when the server has stopped answering.

The time of a statement is bounded by its connection. What comes before and after it is bounded
here: the wait for a connection, and the end of a statement that was given up, which the server has
to confirm.
"""

from contextlib import suppress
from typing import Any

import asyncpg

ACQUIRE_S_MAX = 2.0
RELEASE_S_MAX = 0.5
"""A connection whose statement has not ended by then is closed."""


class BoundedPool(asyncpg.Pool):
    def acquire(self, *, timeout: float | None = None) -> Any:
        """Raises TimeoutError if no connection becomes free in time. One that is free costs no
        timer."""
        if timeout is None and not self.get_idle_size():
            timeout = ACQUIRE_S_MAX
        return super().acquire(timeout=timeout)

    def release(self, connection: Any, *, timeout: float | None = None) -> Any:
        return self._released(connection, RELEASE_S_MAX if timeout is None else timeout)

    async def _released(self, connection: Any, seconds: float) -> None:
        """A connection that cannot be released in time is closed. What its query has raised stays
        what is raised: a time-out here must not replace a cancellation."""
        with suppress(TimeoutError):
            await super().release(connection, timeout=seconds)


def bounded_pool(url: str, *, size: int, connects_late: bool = False, **more: Any) -> BoundedPool:
    """A pool of at most `size` connections. `connects_late`: its first query connects."""
    return BoundedPool(
        url,
        min_size=0 if connects_late else 1,
        max_size=size,
        **_DEFAULTS | more,
    )


_DEFAULTS: dict[str, Any] = {
    "max_queries": 50_000,
    "max_inactive_connection_lifetime": 300.0,
    "loop": None,
    "connection_class": asyncpg.Connection,
    "record_class": asyncpg.Record,
}
"""As `asyncpg.create_pool`, which makes no other class."""
