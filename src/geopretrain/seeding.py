"""Random states as pure functions of the seed, so that nothing random depends on what happened before."""

from __future__ import annotations

import numpy as np

ORDER, STEP, START = 0, 1, 2
"""Streams of random numbers that must not coincide: order of samples, a step, the first weights."""


def seed_step(seed: int, step: int, part: int = 0) -> None:
    """Set torch's global generators to a state that depends on nothing but ``(seed, step, part)``."""
    _seed([seed, STEP, step, *([part] if part else [])])


def seed_start(seed: int) -> None:
    """Set torch's generators for building a network: a function of the seed alone."""
    _seed([seed, START])


def _seed(numbers: list[int]) -> None:
    import torch

    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))
