"""Threads on a processor: how they wait for each other, and saying when other programs take their cores."""

from __future__ import annotations

import os

WAITING_TURNS = "20000"
"""How often a waiting thread of GNU OpenMP looks for work before it sleeps: 0.3 ms, by default some 4 ms."""

CROWDED_BELOW = 0.8
"""Share of its threads below which a process has lost cores to others; alone monodepth has 0.98."""


def wait_briefly() -> None:
    """Let torch's threads compute on while they wait, but not for long; call it before torch is imported.

    A step has thousands of short parallel pieces, so that sleeping at once costs a third of its speed.
    Between them other threads work for milliseconds (loops over pixels), and need the cores. What the user
    has set in the environment stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", WAITING_TURNS)


def crowded(cores_used: float, threads: int) -> str | None:
    """Return a sentence if this process gets far fewer cores than it has threads.

    The threads of a step wait for each other thousands of times. When another process takes one of two cores,
    both wait for the thread that has lost its core, and two threads are half as fast as one.
    """
    if threads < 2 or cores_used >= CROWDED_BELOW * threads:
        return None
    fewer = max(1, min(round(cores_used), threads - 1))
    return (
        f"Other programs use this processor, too: {threads} threads get {cores_used:.1f} cores and wait for "
        f"each other. If this lasts, interrupt with Ctrl-C and continue with --threads {fewer} (last digits "
        "may differ)."
    )
