"""Which samples the trainings of a comparison learn from: numbers of labels, and several sets of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.config.labels import SubsetBy
from geopretrain.config.options import CompareOptions

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore


@dataclass(frozen=True)
class Draw:
    """One set of labelled samples, the same for every initialisation, mode and seed.

    Attributes:
        labels: how many.
        subset: seed that it is drawn with.
        by: how it is drawn.
        tag: part of the names of its trials' folders; empty where there is one set only.
    """

    labels: int
    subset: int
    by: SubsetBy
    tag: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """What draws it, as options of a fine-tuning."""
        return {"labels": self.labels, "subset_seed": self.subset, "subset_by": self.by}

    @property
    def words(self) -> str:
        """How it is called where there are several."""
        return f"{self.labels} labels, subset {self.subset}" if self.tag else ""

    def positions(self, data: LabelledSet | FrameStore, train: np.ndarray) -> np.ndarray:
        """Return which of the training samples they are (ConfigError where there are fewer)."""
        from geopretrain.data.subsets import drawn_subset

        return train[drawn_subset(data, train, self.labels, self.subset, self.by)]


def label_counts(options: CompareOptions, available: int) -> list[int]:
    """Return the numbers of labels that are compared, ascending."""
    asked = available if options.labels is None else options.labels
    return [asked] if isinstance(asked, int) else list(asked)


def drawn_by(options: CompareOptions) -> SubsetBy:
    """Return how sets are drawn: what was asked for, or by sequence where there are several."""
    return options.subset_by or ("sequence" if options.subsets > 1 else "chance")


def draws_of(options: CompareOptions, counts: Sequence[int], available: int) -> list[Draw]:
    """Return the sets of labelled samples of a comparison, by number of labels; of all samples there is one.

    Args:
        options: of ``compare``.
        counts: numbers of labels.
        available: samples there are.
    """
    several = len(counts) > 1 or options.subsets > 1
    return [
        Draw(count, seed, drawn_by(options), f"-labels{count}-subset{seed}" * several)
        for count in counts
        for seed in range(options.subset_seed, options.subset_seed + options.subsets)
        if count < available or seed == options.subset_seed
    ]
