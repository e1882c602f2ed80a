"""Samples in the order they are learned from, a pure function of (seed, step)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from geopretrain.data.batches import JointBatch
from geopretrain.data.dataset import Dataset, Fields
from geopretrain.seeding import ORDER


@dataclass(frozen=True)
class Samples:
    """Some samples of a data set, with what is read of each.

    Attributes:
        data: the data set.
        positions: ``N`` int64, which of its samples these are.
        fields: what is read.
    """

    data: Dataset[Any]
    positions: np.ndarray
    fields: Fields

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, numbers: Any) -> Any:
        """Return the batch of these samples, counted from 0 to ``len - 1``."""
        return self.data.read(self.positions[np.asarray(numbers, dtype=np.int64)], self.fields)

    def of_step(self, step: int, batch_size: int, seed: int) -> np.ndarray:
        """Return what `read` takes for the batch of a step (0-based), a row for each sample."""
        return sample_indices(step, batch_size, len(self), seed)

    def batches(self, size: int) -> Iterator[Any]:
        """Yield all samples once, in their order, in batches of ``size`` (the last may be smaller)."""
        for first in range(0, len(self), size):
            yield self.read(np.arange(first, min(first + size, len(self))))

    def check(self) -> None:
        """Make sure that all of them can be read (raises as `Dataset.check` does)."""
        self.data.check(self.positions, self.fields)


@dataclass(frozen=True)
class JointSamples(Samples):
    """Labelled samples, which are read together with samples of video; each kind has an order of its own.

    Attributes:
        frames: samples of the video.
        of_video: how many of them a step reads, at most as many as labelled ones; None: as many.
    """

    frames: Samples
    of_video: int | None = None

    def of_step(self, step: int, batch_size: int, seed: int) -> np.ndarray:
        """Return the numbers ``B 2`` of labelled samples, and of those of the video, -1 for none.

        Where there are fewer of the video, they are spread over the rows, so that equal parts have equally
        many.
        """
        count = batch_size if self.of_video is None else self.of_video
        labelled = sample_indices(step, batch_size, len(self), seed)
        video = np.full(batch_size, -1, dtype=np.int64)
        places = np.diff(np.arange(batch_size + 1) * count // batch_size) > 0
        video[places] = sample_indices(step, count, len(self.frames), seed)
        return np.stack([labelled, video], 1)

    def read(self, numbers: Any) -> JointBatch:
        """Return the batch of rows of `of_step`; of numbers alone, each with the video sample of its own."""
        rows = np.asarray(numbers, dtype=np.int64)
        if rows.ndim == 1:
            rows = np.stack([rows, rows % len(self.frames)], 1)
        return JointBatch(super().read(rows[:, 0]), self.frames.read(rows[rows[:, 1] >= 0, 1]))

    def batches(self, size: int) -> Iterator[Any]:
        """Yield the labelled samples once, as `Samples.batches` does."""
        return Samples(self.data, self.positions, self.fields).batches(size)

    def check(self) -> None:
        """Make sure that all of both can be read."""
        super().check()
        self.frames.check()


@lru_cache(maxsize=4)
def _epoch_order(epoch: int, num_samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, ORDER, epoch]).permutation(num_samples)


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


class BatchStream:
    """Endless parts of batches from ``first_step`` on, read in this process; knows how long reading took.

    Args:
        samples: what is learned from.
        batch_size: samples of a step.
        seed: of the order.
        first_step: step (0-based) to begin with.
        parts: equal parts that the batch of a step is handed out in.
        rank: of the process among ``processes``, which take turns at the parts.
        processes: that share the batch of a step.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        seed: int,
        first_step: int = 0,
        parts: int = 1,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.parts = parts
        self.rank, self.processes = rank, processes
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        step = self.first_step
        while True:
            numbers = self.samples.of_step(step, self.batch_size, self.seed)
            for part in np.split(numbers, self.parts)[self.rank :: self.processes]:
                start = time.perf_counter()
                batch = self.samples.read(part)
                self.waited_seconds += time.perf_counter() - start
                yield batch
            step += 1
