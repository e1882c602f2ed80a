"""Comparing detectors: mAP of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.config.options import CompareOptions, FinetuneDetectionOptions
from geopretrain.data.dataset import Fields
from geopretrain.study.contests.base import Words
from geopretrain.study.contests.labelled import LabelledContest
from geopretrain.study.measures import BOX_MAP

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.runs.folder import RunFolder
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.presets import Preset
    from geopretrain.training.train import Training


class DetectionContest(LabelledContest):
    """Objects."""

    task = "detection"
    measure = BOX_MAP
    words = Words(
        "detector",
        "Mean average precision of boxes",
        "Average precision",
        "COCO's average precision of boxes over all scored images: IoU 0.5 to 0.95 in steps of 0.05, at most "
        "100 objects an image, mean over the classes that occur; mAP50 at IoU 0.5 alone",
    )
    command = FinetuneDetectionOptions
    names = ("boxes", "masks")

    def presets(self, options: CompareOptions) -> Mapping[str, Preset]:
        """Return the named settings of its training."""
        from geopretrain.tasks.transfer.detection import PRESETS

        return PRESETS

    def look_at(self, data: LabelledSet, train: np.ndarray, scored: np.ndarray, split: str) -> None:
        """Count what the labels hold, and refuse what cannot be meant."""
        from geopretrain.data.labelled.object_census import check_objects

        check_objects(data, train, scored, split)

    def training(self, options: Any) -> Training:
        """Return the training that is ready to start."""
        from geopretrain.training.detection import detection_training

        return detection_training(options)

    def train(self, options: Any) -> RunFolder:
        """Train and return the run."""
        from geopretrain.training.detection import train_detection

        return train_detection(options)

    def numbers(self, run: RunFolder, trial: Trial) -> dict[str, Any]:
        """Return the curve and the final numbers of a finished run."""
        from geopretrain.training.detection import NUMBERS

        results = run.results
        names = ["curve", *(name for name in NUMBERS if name in results)]
        numbers = {**{name: results[name] for name in names}, "box_ap": list(results["box_ap"].values())}
        return numbers | self.course(run, trial, results["curve"][-1])

    def predictions(self, run: RunFolder, trial: Trial) -> dict[str, np.ndarray]:
        """Return what was predicted of the pictured images."""
        import torch

        from geopretrain.data.batches import as_float
        from geopretrain.data.labelled.labelled_set import LabelledSet
        from geopretrain.runs.loading import load_task
        from geopretrain.tasks.base import DetectionTask
        from geopretrain.tasks.drawing import draw_objects

        task = load_task(run).eval()
        assert isinstance(task, DetectionTask)
        data = LabelledSet.open(trial.settings["data"], size=run.size, names=self.names)
        batch = data.read(data.splits()[trial.evaluate_on][list(trial.pictures)], Fields())
        with torch.no_grad():
            found = task.predict(as_float(batch.images))
        images = batch.images.permute(0, 2, 3, 1).numpy()
        drawn = [draw_objects(task, image, found, i) for i, image in enumerate(images)]
        return {"pictures": np.stack(drawn)}

    def shown(
        self, data: LabelledSet, split: str, positions: Sequence[int], settings: Mapping[str, Any]
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Return name, image and picture of the truth of scored images."""
        from geopretrain import pictures

        has_masks = "masks" in data.source.fields
        chosen = data.splits()[split][list(positions)]
        batch = data.read(chosen, Fields(names=self.names if has_masks else ("boxes",)))
        images = [one.permute(1, 2, 0).numpy() for one in batch.images]
        truth = [
            pictures.draw_detections(
                image,
                boxes.numpy(),
                labels.numpy(),
                names=data.class_names,
                masks=batch.required("masks")[i].numpy() if has_masks else None,
                colours=data.class_colours,
            )
            for i, (image, boxes, labels) in enumerate(
                zip(images, batch.required("boxes"), batch.required("box_labels"), strict=True)
            )
        ]
        return list(zip(data.names(chosen), images, truth, strict=True))
