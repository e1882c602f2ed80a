"""How the C library hands out memory to tensors on the CPU, how much is used, and how much may be."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch

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


def peak_memory(work: Callable[[], None], device: str) -> int:
    """Return the most memory in bytes that is in use while ``work`` is done: of the GPU, or of the process.

    On Linux it is that of the work itself; elsewhere it may be that of something done before. 0 where the
    system does not say.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated()
    forgotten = _forget_peak()
    work()
    return _status("VmHWM") if forgotten else round(most_memory())


def _forget_peak() -> bool:
    """Let the system count the process's largest memory anew; return whether it does.

    What the process has kept of freed memory goes back first, or the work would hide in it.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        return False
    return _status("VmHWM") > 0


def most_memory() -> float:
    """Return the most memory in bytes that the process has used so far, 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # not on this operating system
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def usable_memory(device: str) -> int:
    """Return up to how many bytes may be in use, with those that are: of the GPU, or of the process."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return free + torch.cuda.memory_reserved()
    free = _free_of_system()
    for limit, used in _LIMITS:
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            free = min(free, most - now)
    return free + (_status("VmRSS") or round(most_memory()))


_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""What a container may use, and what it does."""


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError):  # none, or "max"
        return None


def _free_of_system() -> int:
    """Return the bytes that programs may still take; half of all where the system does not say."""
    if sys.platform == "win32":
        return _free_of_windows()
    free = _line("/proc/meminfo", "MemAvailable")
    return free or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _free_of_windows() -> int:
    # MEMORYSTATUSEX of sysinfoapi.h: two 32-bit numbers, then seven of 64 bits, the second of them free
    status = (ctypes.c_uint64 * 8)()
    ctypes.memset(status, 0, ctypes.sizeof(status))
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(status)  # type: ignore[attr-defined,unused-ignore]
    return int(status[2])


def _status(name: str) -> int:
    return _line("/proc/self/status", name)


def _line(path: str, name: str) -> int:
    """Return the bytes in a line ``name:   123 kB``, 0 where there is none."""
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
