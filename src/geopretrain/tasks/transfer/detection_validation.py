"""Scores of a detector over all images of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopretrain.data.batches import LabelledBatch, as_float
from geopretrain.metrics.detection import DetectionScore

if TYPE_CHECKING:
    from geopretrain.tasks.transfer.detection import Detection

PROTOCOL = (
    "COCO's average precision (IoU 0.5 to 0.95, at most 100 objects an image, mean over the classes that "
    "occur) over all {images} images of '{split}' at {size} px (h x w)"
)


class DetectionValidation:
    """Collects ``box_map``, ``box_map_50``, ``box_map_75`` and ``box_ap`` by class, and those of masks.

    Numbers are in [0, 1]; None where there was nothing to score.
    """

    protocol = "COCO's average precision over all images"

    def __init__(self, task: Detection) -> None:
        self.task = task
        self.masks = task.config.masks
        self.score = DetectionScore(len(task.class_names), masks=self.masks)

    def update(self, batch: LabelledBatch) -> None:
        """Add the images of a batch."""
        found = self.task.predict(as_float(batch.images))
        parts = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
        true = {"boxes": batch.required("boxes"), "labels": batch.required("box_labels")}
        if batch.box_crowd is not None:
            true["crowd"] = batch.box_crowd
        if self.masks and found.masks is not None:
            parts["masks"], true["masks"] = found.masks, batch.required("masks")
        self.score.update(
            *([{name: one[i] for name, one in of.items()} for i in range(len(batch))] for of in (parts, true))
        )

    def compute(self) -> dict[str, Any]:
        """Return the numbers over everything that was added."""
        found, names = self.score.compute(), self.task.class_names
        kinds = ("box", "mask") if self.masks else ("box",)
        by_class = {
            f"{kind}_ap": dict(zip(names, found.pop(f"{kind}_map_per_class"), strict=True)) for kind in kinds
        }
        return {**found, **by_class}
