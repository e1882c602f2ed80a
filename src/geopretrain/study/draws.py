"""Which samples the trainings of a comparison learn from: numbers of labels, and several sets of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from geopretrain.config.labels import SubsetBy
from geopretrain.config.options import CompareOptions
from geopretrain.config.several import LabelCounts
from geopretrain.study.contests import contest_of
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.data.dataset import Fields
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore


class Drawing(Protocol):
    """Options that say how many labelled samples are learned from, and how they are drawn."""

    @property
    def labels(self) -> LabelCounts | None:
        """Numbers of labels; None: all there are."""

    @property
    def subsets(self) -> int:
        """Sets that are drawn."""

    @property
    def subset_by(self) -> SubsetBy | None:
        """How."""

    @property
    def subset_seed(self) -> int:
        """Of the first set."""


@dataclass(frozen=True)
class Draw:
    """One set of labelled samples, the same for every initialisation, mode and seed.

    Attributes:
        labels: how many.
        subset: seed that it is drawn with.
        by: how it is drawn.
        tag: part of the names of its trials' folders; empty where there is one set only.
        chosen: list that names them; empty where they are drawn.
        unit: what is counted, ``label``, or ``sample`` where nothing is labelled.
    """

    labels: int
    subset: int
    by: SubsetBy
    tag: str = ""
    chosen: str = ""
    unit: str = "label"

    @property
    def options(self) -> dict[str, Any]:
        """What draws it, as options of a fine-tuning."""
        if self.chosen:
            return {"labels": self.labels, "label_list": self.chosen}
        return {"labels": self.labels, "subset_seed": self.subset, "subset_by": self.by}

    @property
    def words(self) -> str:
        """How it is called where there are several."""
        which = "chosen" if self.chosen else f"subset {self.subset}"
        return f"{counted(self.labels, self.unit)}, {which}" if self.tag else ""

    def positions(self, data: LabelledSet | FrameStore, fields: Fields) -> np.ndarray:
        """Return which of the training samples they are.

        Raises:
            ConfigError: there are fewer.
            DataError: the list names others.
        """
        from geopretrain.data.label_lists import listed_subset
        from geopretrain.data.subsets import drawn_subset

        train = drawn_from(data, fields)
        if self.chosen:
            return train[listed_subset(data, fields, self.chosen, self.labels)]
        return train[drawn_subset(data, train, self.labels, self.subset, self.by)]

    def learned(self, data: LabelledSet | FrameStore, fields: Fields) -> np.ndarray:
        """Return all that is learned from: these and the frames that their labels were propagated to."""
        from geopretrain.data.labelled.labelled_set import LabelledSet

        chosen = self.positions(data, fields)
        if not isinstance(data, LabelledSet):
            return chosen
        train = data.splits(fields)["train"]
        numbers = np.searchsorted(train, chosen)
        return train[data.with_propagated(numbers.tolist())]


def drawn_from(data: LabelledSet | FrameStore, fields: Fields) -> np.ndarray:
    """Return the training samples that sets are drawn from: of labelled images those labelled by hand."""
    from geopretrain.data.labelled.labelled_set import LabelledSet

    train = data.splits(fields)["train"]
    return train[: data.labelled_by_hand] if isinstance(data, LabelledSet) else train


def label_counts(options: Drawing, available: int) -> list[int]:
    """Return the numbers of labels that are compared, ascending."""
    asked = "all" if options.labels is None else options.labels
    several = asked if isinstance(asked, tuple) else (asked,)
    return sorted({available if isinstance(one, str) else one for one in several})


def drawn_by(options: Drawing) -> SubsetBy:
    """Return how sets are drawn: what was asked for, or by sequence where there are several."""
    return options.subset_by or ("sequence" if options.subsets > 1 else "chance")


def draws_of(options: CompareOptions, counts: Sequence[int], available: int) -> list[Draw]:
    """Return the sets of labelled samples of a comparison, by number of labels; of all samples there is one.

    Those of a list come last.

    Args:
        options: of ``compare``.
        counts: numbers of labels.
        available: samples there are.
    """
    several = names_sets(options, counts)
    unit = contest_of(options.task, options.supervision).measure.learned
    listed = "" if options.label_list is None else os.path.abspath(options.label_list)
    chosen = [Draw(n, options.subset_seed, "chance", f"-labels{n}-chosen", listed) for n in counts if listed]
    drawn = [
        Draw(count, seed, drawn_by(options), f"-labels{count}-subset{seed}" * several, unit=unit)
        for count in counts
        for seed in range(options.subset_seed, options.subset_seed + options.subsets)
        if count < available or seed == options.subset_seed
    ]
    return [*drawn, *chosen]


def names_sets(options: CompareOptions, counts: Sequence[int]) -> bool:
    """Return whether the trials of a comparison name their set of labelled samples, as there are several."""
    return len(counts) > 1 or options.subsets > 1
