"""Sharing the processor with others: how threads wait for each other, and saying when that goes wrong.

Threads that compute while they wait for each other (the default of OpenMP) make a training step on two cores
half as fast again as threads that sleep. But as soon as another process wants one of the cores, the others
wait at full speed for the thread that has lost its core, and a step becomes several times slower.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # of the numbers in a line of /proc/stat: idle, waiting for a disk
BUSY_FROM = 0.4
"""So many cores in use by others mean that they are at work, not only breathing."""
CROWDED_BELOW = 0.65
"""Share of the cores below which threads that wait by computing have lost some to others."""


def choose_waiting() -> None:
    """Let threads sleep while they wait where others use this machine now, if the user has not chosen.

    Takes effect only before torch is loaded. Changes no number, only the time it takes.
    """
    if os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}:
        return
    if busy_cores() > BUSY_FROM:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def busy_cores(seconds: float = 0.1) -> float:
    """Return how many cores all processes use during ``seconds``; 0 where Linux does not tell."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[1] <= before[1]:
        return 0.0
    used, total = (b - a for a, b in zip(before, after, strict=True))
    return used / total * (os.cpu_count() or 1)


def crowded(cores_used: float, threads: int) -> str | None:
    """Return a sentence if this process gets far fewer cores than it has threads that wait by computing."""
    if threads < 2 or cores_used >= CROWDED_BELOW * threads:
        return None
    if os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE":
        return None
    return (
        f"Other processes use this processor, too: {threads} threads get {cores_used:.1f} cores, and wait "
        "for each other at full speed. Steps may get several times faster if you interrupt this with "
        "Ctrl-C, set OMP_WAIT_POLICY=PASSIVE and continue; the numbers stay the same."
    )


def _ticks() -> tuple[int, int] | None:
    try:
        numbers = [int(word) for word in _STAT.read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    return sum(numbers) - sum(numbers[i] for i in _IDLE), sum(numbers)
