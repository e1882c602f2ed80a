"""What comparisons with labelled images share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from geopretrain.config.options import (
    CompareOptions,
    FinetuneDetectionOptions,
    FinetuneSegmentationOptions,
    TrainCommandOptions,
)
from geopretrain.data.dataset import Fields
from geopretrain.study.contests.base import Contest

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.presets import Preset


class LabelledContest(Contest):
    """A transfer with labelled images."""

    command: ClassVar[type[FinetuneSegmentationOptions | FinetuneDetectionOptions]]
    names: ClassVar[tuple[str, ...]] = ("labels",)

    def open(self, options: CompareOptions, preset: Preset) -> LabelledSet:
        """Return the data, at the size asked for or that of the preset."""
        from geopretrain.data.labelled.labelled_set import LabelledSet

        return LabelledSet.open(
            os.fspath(options.data or ""), size=options.size or preset.size, names=self.names
        )

    def fields(self, options: CompareOptions) -> Fields:
        """Return what a sample that is learned from must have."""
        return Fields()

    def check_data(
        self, data: LabelledSet, options: CompareOptions, learned: np.ndarray, searches: bool
    ) -> tuple[int, ...]:
        """Look at all that will be needed; return the positions of the test images to show."""
        data.tell()
        splits = data.splits()
        scored = options.evaluate_on
        judged = searches or (options.patience is not None and len(splits.get("val", ())) > 0)
        for split in dict.fromkeys((scored, "val") if judged else (scored,)):
            self.look_at(data, learned, splits[split], split)
        available = len(splits[scored])
        count = min(max(0, options.pictures), available)
        return tuple(round((k + 0.5) * available / count - 0.5) for k in range(count))

    @abstractmethod
    def look_at(self, data: LabelledSet, train: np.ndarray, scored: np.ndarray, split: str) -> None:
        """Count what the labels hold, and refuse what cannot be meant."""

    def options(self, trial: Trial, more: Mapping[str, Any]) -> TrainCommandOptions:
        """Return what is trained, as options of the command that trains it."""
        return self.command(
            out=trial.folder,
            init=trial.source,
            mode=trial.mode,
            lr=trial.lr,
            seed=trial.seed,
            curve_points=trial.curve,
            evaluate_on=trial.evaluate_on,
            **{**trial.settings, **more},
        )
