"""Comparing segmenters: mIoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.config.options import CompareOptions, FinetuneSegmentationOptions
from geopretrain.config.several import Mode
from geopretrain.console import console
from geopretrain.errors import OptionError
from geopretrain.schema import given
from geopretrain.study.contests.base import OPTIONS_OF, Words
from geopretrain.study.contests.labelled import LabelledContest
from geopretrain.study.measures import MIOU, RESIDUAL_KEY

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.runs.folder import RunFolder
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.presets import Preset
    from geopretrain.training.train import Training


class SegmentationContest(LabelledContest):
    """Classes of pixels."""

    task = "segmentation"
    measure = MIOU
    words = Words(
        "segmentation network",
        "Mean IoU",
        "IoU",
        "mIoU and pixel accuracy from one confusion matrix over all scored images; "
        "classes in neither truth nor prediction are left out of the mean",
    )
    command = FinetuneSegmentationOptions
    own_options = OPTIONS_OF["segmentation"]

    def presets(self, options: CompareOptions) -> Mapping[str, Preset]:
        """Return the named settings of its training."""
        from geopretrain.tasks.transfer.segmentation_presets import PRESETS

        return PRESETS

    def modes_of(self, options: CompareOptions, settings: Mapping[str, Any]) -> tuple[Mode, ...]:
        """Return what is trained: under a linear probe the head alone (raises where more was asked for)."""
        from geopretrain.training.segmentation import LINEAR_IS_FROZEN

        if settings.get("head") != "linear":
            return super().modes_of(options, settings)
        if "modes" in given(options) and options.modes != ("frozen",):
            raise OptionError("modes", LINEAR_IS_FROZEN.format(mode=", ".join(options.modes)))
        return ("frozen",)

    def check_options(self, options: CompareOptions, searches: bool) -> None:
        """Refuse what contradicts each other; say which trials have nothing beside the labels."""
        super().check_options(options, searches)
        if options.auxiliary is None or "frozen" not in options.modes:
            return
        if set(options.modes) == {"frozen"}:
            raise OptionError(
                "auxiliary", "teaches the backbone beside the labels, and in mode frozen it learns nothing."
            )
        console.say(f"Mode frozen learns from the labels alone: {options.auxiliary} would teach it nothing.")

    def look_at(self, data: LabelledSet, train: np.ndarray, scored: np.ndarray, split: str) -> None:
        """Count what the labels hold, and refuse what cannot be meant."""
        from geopretrain.data.labelled.census import check_labels

        check_labels(data, train, scored, split)

    def training(self, options: Any) -> Training:
        """Return the training that is ready to start."""
        from geopretrain.training.segmentation import segmentation_training

        return segmentation_training(options)

    def train(self, options: Any) -> RunFolder:
        """Train and return the run."""
        from geopretrain.training.segmentation import train_segmentation

        return train_segmentation(options)

    def numbers(self, run: RunFolder, trial: Trial) -> dict[str, Any]:
        """Return the curve and the final numbers of a finished run."""
        results = run.results
        names = ("curve", "miou", "pixel_accuracy", "per_image_miou")
        numbers = {name: results[name] for name in names} | {"iou": list(results["iou"].values())}
        numbers[RESIDUAL_KEY] = results.get(RESIDUAL_KEY)  # runs of earlier versions have none
        numbers |= self.course(run, trial, results["curve"][-1])
        matrix = run.final_scores().get("confusion")
        return numbers if matrix is None else {**numbers, "confusion": matrix}

    def predictions(self, run: RunFolder, trial: Trial) -> dict[str, np.ndarray]:
        """Return what was predicted of the pictured images."""
        import torch

        from geopretrain.data.batches import as_float
        from geopretrain.data.labelled.labelled_set import LabelledSet
        from geopretrain.runs.loading import load_task
        from geopretrain.tasks.base import SegmentationTask

        task = load_task(run).eval()
        assert isinstance(task, SegmentationTask)
        data = LabelledSet.open(trial.settings["data"], size=run.size)
        batch = data.read(data.splits()[trial.evaluate_on][list(trial.pictures)])
        with torch.no_grad():
            predicted = task.predict(as_float(batch.images)).classes
        return {"predicted": predicted.numpy().astype(np.uint8)}

    def drawn(self, kept: Mapping[str, np.ndarray], data: LabelledSet) -> Sequence[np.ndarray]:
        """Return the class maps in colour."""
        from geopretrain import pictures

        maps = np.asarray(kept["predicted"], np.uint8)
        return [pictures.colour_labels(one, data.class_colours) for one in maps]

    def shown(
        self, data: LabelledSet, split: str, positions: Sequence[int], settings: Mapping[str, Any]
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Return name, image and picture of the truth of scored images."""
        from geopretrain import pictures

        chosen = data.splits()[split][list(positions)]
        batch = data.read(chosen)
        truth = [pictures.colour_labels(one.numpy(), data.class_colours) for one in batch.required("labels")]
        images = [one.permute(1, 2, 0).numpy() for one in batch.images]
        return list(zip(data.names(chosen), images, truth, strict=True))
