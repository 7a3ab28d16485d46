"""Structured logs: one JSON object a line on stderr. No line quotes a value of an exception."""

import logging
import sys
import traceback
from types import TracebackType

from pythonjsonlogger.msgspec import MsgspecFormatter

from secaplane.model.reasons import reason_of

QUIET = ("nats", "asyncio", "aiohttp", "casbin", "uvicorn")


CHAIN_MAX = 10
"""Exceptions of one traceback that are shown, with their causes."""
Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class ValuelessFormatter(MsgspecFormatter):
    """Tracebacks with the reasons of their exceptions in place of their messages, which may quote
    contents of a tenant."""

    def formatException(self, ei: Raised) -> str:
        parts, error = list[str](), ei[1]
        while error is not None and len(parts) < CHAIN_MAX:
            frames = "".join(traceback.format_tb(error.__traceback__))
            inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
            reasons = [reason_of(error), *(f"  {reason_of(each)}" for each in inner[:CHAIN_MAX])]
            parts.append(frames + "\n".join(reasons))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\ncaused by\n\n".join(parts)


def set_up(process: str, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ValuelessFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"process": process},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
