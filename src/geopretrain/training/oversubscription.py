"""Sharing the processor with other programs: saying when that goes wrong."""

from __future__ import annotations

MIN_CORES_USED = 0.8
"""Fraction of its threads below which a process has lost cores to others; alone monodepth has 0.98."""


def oversubscribed(cores_used: float, threads: int) -> str | None:
    """Return a sentence if this process gets far fewer cores than it has threads.

    The threads of a step wait for each other thousands of times. When another process takes one of two cores,
    both wait for the thread that has lost its core, and two threads are half as fast as one.
    """
    if threads < 2 or cores_used >= MIN_CORES_USED * threads:
        return None
    fewer = max(1, min(round(cores_used), threads - 1))
    return (
        f"Other programs use this processor, too: {threads} threads get {cores_used:.1f} cores and wait for "
        f"each other. If this lasts, interrupt with Ctrl-C and continue with --threads {fewer} (last digits "
        "may differ)."
    )
