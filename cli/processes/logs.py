"""Structured logs: one JSON object a line on stderr."""

import logging
import sys

from pythonjsonlogger.msgspec import MsgspecFormatter

QUIET = ("nats", "asyncio", "aiohttp", "casbin", "uvicorn")


def set_up(process: str, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        MsgspecFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"process": process},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
