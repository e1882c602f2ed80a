"""Order of the training samples and random state of each step, both pure functions of (seed, step)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch

ReadBatch = Callable[[np.ndarray], Any]

_ORDER, _STEP = 0, 1  # streams of random numbers that must not coincide


@lru_cache(maxsize=4)
def _epoch_order(epoch: int, num_samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(num_samples)


def sample_indices(step: int, batch_size: int, num_samples: int, seed: int) -> np.ndarray:
    """Return the ``batch_size`` positions (int64, in ``0 .. num_samples - 1``) that step ``step`` trains on.

    The stream is one seeded permutation per epoch, laid end to end: every sample is seen once before any is
    seen again, and a batch may reach over the border of two epochs.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = np.divmod(positions, num_samples)
    chosen = [
        _epoch_order(int(epoch), num_samples, seed)[place]
        for epoch, place in zip(epochs, places, strict=True)
    ]
    return np.asarray(chosen, dtype=np.int64)


def seed_step(seed: int, step: int) -> None:
    """Set torch's global generators to a state that depends on nothing but ``(seed, step)``."""
    torch.manual_seed(int(np.random.SeedSequence([seed, _STEP, step]).generate_state(1, np.uint64)[0]))


class BatchStream:
    """Endless batches from ``first_step`` on, read in this process; knows how long reading took."""

    def __init__(
        self, read_batch: ReadBatch, num_samples: int, batch_size: int, seed: int, first_step: int = 0
    ) -> None:
        self.read_batch = read_batch
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        step = self.first_step
        while True:
            start = time.perf_counter()
            batch = self.read_batch(sample_indices(step, self.batch_size, self.num_samples, self.seed))
            self.waited_seconds += time.perf_counter() - start
            yield batch
            step += 1
