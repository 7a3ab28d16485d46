"""The offset of this machine's clock, as the kernel knows it from NTP."""

import ctypes
import ctypes.util
from typing import NamedTuple

TIME_ERROR = 5
"""Answer of `adjtimex` where the clock is not synchronized."""
STA_UNSYNC, STA_NANO = 0x0040, 0x2000
NANOSECONDS = 1000


class ClockReading(NamedTuple):
    """Both in microseconds."""

    offset_us: int
    error_us: int


class _Timex(ctypes.Structure):
    """`struct timex` of Linux (adjtimex(2)); the compiler's padding is that of ctypes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("rest", ctypes.c_long * 32),
    )


def clock_reading() -> ClockReading | None:
    """None where the clock is not synchronized, or the kernel does not say it."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state = _Timex(modes=0)  # reads only
    answer = adjtimex(ctypes.byref(state))
    if answer in (-1, TIME_ERROR) or state.status & STA_UNSYNC:
        return None
    unit = NANOSECONDS if state.status & STA_NANO else 1
    return ClockReading(state.offset // unit, state.maxerror)
