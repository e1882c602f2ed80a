"""Images that tell during a transfer which weights are best, where those that are scored must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopretrain.compute import resolve_device
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import OptionError
from geopretrain.training.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import Task
    from geopretrain.training.train import Training

MAX_JUDGES = 100
"""Images that weights are chosen on, at most, evenly spread: they are looked at again and again."""


@dataclass(frozen=True)
class Judges:
    """Images that weights are chosen on.

    Attributes:
        split: that they are of; of ``train`` they are some that are not learned from.
        positions: in the data set.
    """

    split: str
    positions: NDArray[np.int64]

    def as_json(self) -> dict[str, Any]:
        """Return what ``results.json`` has as ``chosen_on``."""
        return {"split": self.split, "images": len(self.positions)}


def judges_of(splits: Mapping[str, NDArray[np.int64]], subset: Sequence[int]) -> Judges:
    """Return images to choose weights on: of the val split, or of the train split those that are left.

    Args:
        splits: of the labelled images.
        subset: those of the train split that are learned from.

    Raises:
        OptionError: there is no val split, and all images are learned from.
    """
    split, there = "val", splits.get("val", np.zeros(0, np.int64))
    if not len(there):
        split, there = "train", np.delete(splits["train"], list(subset))
    if not len(there):
        raise OptionError(
            "monitor",
            "needs images to choose weights on that are not scored: there is no val split, and all training "
            "images are learned from. Learn from fewer (--labels), or add a val split.",
        )
    return Judges(split, there[spread_positions(len(there), MAX_JUDGES)])


def final_scores(training: Training, run: RunFolder, task: Task) -> dict[str, Any]:
    """Return what a finished training is scored by, looking at the scored images where it has not yet."""
    if training.scored is None:
        return run.kept_validation()
    settings, course = training.settings, course_of(run)
    task.to(resolve_device(settings.device))
    record = validate(task, training.scored, settings.batch_size, settings.seed)
    task.to("cpu")
    run.append_metrics({"kind": "score", "step": course["kept_step"], **record})
    return run.final_scores()


def images_scored(training: Training) -> int:
    """Return how many images a training is scored on."""
    return len(training.validation if training.scored is None else training.scored)


def course_of(run: RunFolder) -> dict[str, Any]:
    """Return how a training went whose end a number of the validation decides.

    ``trained_steps``, ``kept_step`` (of the weights handed on), and ``converged``: whether as many
    validations as the patience says were no better than those of the best weights; None without patience.
    """
    steps = [record["step"] for record in run.metrics("validation")]
    kept, patience = run.metrics("kept"), run.config.get("patience")
    last = max(steps, default=0)
    best = kept[-1]["step"] if kept else last
    since = sum(step > best for step in steps)
    return {
        "trained_steps": last,
        "kept_step": best,
        "converged": None if patience is None else since >= patience,
    }


def outcome(training: Training, run: RunFolder, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """Return for results.json the curve of scores, and on what weights were chosen where that is elsewhere.

    Args:
        training: that has ended.
        run: of it.
        curve: numbers of the validations; where these chose the weights only the score at the end is one.
    """
    if training.scored is None:
        return {"curve": curve}
    course = course_of(run)
    final = run.final_scores()
    shown = {name: final[name] for name in curve[-1] if name != "step"}
    return {
        "curve": [{"step": course["trained_steps"], **shown}],
        "chosen_on": {**training.chosen_on, "curve": curve},
        **course,
    }
