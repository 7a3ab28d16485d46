"""Removal of the bytes that dropped tables leave elsewhere in the database: in the planner's
statistics, which sample values, and in the write-ahead log."""

import asyncpg

from secaplane.readmodel.schema.active import connected

SCRUB_S_MAX = 600.0
ROUNDS = 2
"""The first checkpoint may begin in the segment that holds the last of the old bytes."""


async def scrub(url: str) -> list[str]:
    """Answers what it could not do, and why.

    Raises:
        one of DATABASE_UNAVAILABLE.
    """
    left = list[str]()
    async with connected(url) as connection:
        if await connection.fetchval("show wal_recycle") != "off":
            left.append(
                "wal_recycle is on: pg_wal keeps old bytes until its segments are overwritten"
            )
        statements = ["vacuum full pg_catalog.pg_statistic"]
        statements += ["checkpoint", "select pg_switch_wal()"] * ROUNDS + ["checkpoint"]
        for each in statements:
            try:
                await connection.execute(each, timeout=SCRUB_S_MAX)
            except asyncpg.InsufficientPrivilegeError as error:
                left.append(f"{each}: {error}")
    return left
