"""How the C library hands out memory to tensors on the CPU."""

from __future__ import annotations

import ctypes
import sys

# of glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 2**30


def keep_freed_memory() -> bool:
    """Let the process keep the memory that a step's tensors give back, for those of the next step.

    By default glibc returns large blocks to the system at once and gets them again page by page, each page
    cleared: at 832 x 256 px that was a tenth of a training step. Does nothing where the C library is another.

    Returns:
        Whether the library took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_M_TRIM_THRESHOLD, -1))
