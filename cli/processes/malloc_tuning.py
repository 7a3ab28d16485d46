"""Settings of the C library's allocator: memory of large values goes back to the system.

By default, glibc raises its threshold with each large block that is freed, up to 32 MiB, and then
keeps such blocks in its heap: after 300 specs of 1 MB a process held 50 MB more than it used.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt(3)`."""
LARGE_BYTES = 256 * 1024
"""Blocks of this size are mapped on their own, and unmapped when they are freed."""
FREE_BYTES_MAX = 8 * 1024 * 1024
"""Free memory at the end of the heap that is kept: small requests do not give it back and ask for
it again."""


def starting() -> None:
    """Call it before large values are allocated. Without effect where the library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, FREE_BYTES_MAX)
