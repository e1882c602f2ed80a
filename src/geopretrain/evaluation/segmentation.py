"""Predicted class maps against labels: the scores of a finished run on any split of labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from geopretrain.console import console
from geopretrain.data.batches import as_float
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import ConfigError, DataError
from geopretrain.evaluation.averaging import AveragedTask, Averaging
from geopretrain.metrics.calibration import BINS, CalibrationError
from geopretrain.metrics.residual import PROTOCOL as RESIDUAL_PROTOCOL
from geopretrain.tasks.transfer.segmentation_validation import (
    PER_IMAGE_PROTOCOL,
    PROTOCOL,
    SegmentationValidation,
    number,
)

if TYPE_CHECKING:
    from geopretrain.data.batches import LabelledBatch
    from geopretrain.runs.folder import RunFolder
    from geopretrain.tasks.base import DetectionTask, SegmentationTask

BATCH = 8
ECE_PROTOCOL = f"expected calibration error over all labelled pixels, {BINS} intervals of confidence"
_NAMED = 5  # images left out that are named in a sentence


def check_classes(task: SegmentationTask | DetectionTask, data: LabelledSet) -> None:
    """Refuse labels of other classes than those that were learned.

    Raises:
        ConfigError: names or their order differ; the first difference is named.
    """
    learned, there = tuple(task.class_names), tuple(data.class_names)
    if learned == there:
        return
    if len(learned) != len(there):
        what = f"{len(there)} classes, the run {len(learned)}"
    else:
        number, (one, other) = next(
            (i, pair) for i, pair in enumerate(zip(learned, there, strict=True)) if pair[0] != pair[1]
        )
        what = f"'{other}' as class {number}, the run '{one}'"
    raise ConfigError(
        f"The classes of '{data.path}' are not those of the run: the data have {what}. Give labels whose "
        "class list has the same names in the same order."
    )


def score_segmentation(
    task: SegmentationTask, data: LabelledSet, split: str, every: int = 1, averaging: Averaging | None = None
) -> dict[str, Any]:
    """Return the scores of ``task.predict`` on the images of a split, as at the end of a fine-tuning.

    Args:
        task: predicts classes, those of the data.
        data: labelled images at the size that the network works at.
        split: name of the split.
        every: take every n-th image.
        averaging: how each image is looked at; None: once, whole.

    Returns:
        ``protocol``, ``images``, ``miou``, ``pixel_accuracy``, ``iou`` by class (all in [0, 1], None where
        nothing was to be scored), ``residual_information`` (bits a pixel) with its protocol, ``classes``
        (of each the ``iou``, the ``accuracy`` of its true pixels, the ``precision`` of those predicted and
        the number of ``pixels``), ``confusion`` (pixels by true class, rows, and predicted class), ``ece``
        with its protocol and ``reliability``, ``per_image_miou`` with its protocol, ``left_out`` (a sentence
        about each image that cannot be read) and ``per_image``: ``name`` and ``miou`` of each.

    Raises:
        ConfigError: the classes are not those of the run.
        DataError: the split is empty, none of its images can be used, or all labels are ignored.
    """
    check_classes(task, data)
    rows = data.splits(LABELS).get(split, ())[::every]
    if not len(rows):
        there = ", ".join(f"{count} {name}" for name, count in data.counts.items() if count)
        raise DataError(
            f"'{data.path}' has no images in its {split} split ({there}). Choose another --split."
        )
    damaged = data.unusable(rows, LABELS)
    left_out = [f"{data.names([row])[0]}: {error}" for row, error in damaged.items()]
    for sentence in left_out[:_NAMED]:
        console.warn_left_out(f"Left out: {sentence}")
    kept = [int(row) for row in rows if int(row) not in damaged]
    if not kept:
        raise DataError(f"None of the {len(rows)} {split} images of '{data.path}' can be used, see above.")
    averaging = averaging or Averaging()
    validation = FullValidation(AveragedTask(task, averaging))
    with torch.no_grad():
        for batch in _batches(data, kept):
            validation.update(batch.to(str(task.device)))
    scores, (height, width) = validation.compute(), data.size
    if scores["miou"] is None:
        raise DataError(f"All labels of the {split} split of '{data.path}' are ignored (255).")
    protocol = PROTOCOL.format(images=len(kept), split=split, size=f"{height}x{width}")
    names = zip(data.names(kept), validation.per_image, strict=True)
    return {
        "protocol": ", ".join(part for part in (protocol, averaging.words) if part),
        "images": len(kept),
        **scores,
        "per_image_protocol": PER_IMAGE_PROTOCOL,
        "residual_protocol": RESIDUAL_PROTOCOL,
        "left_out": left_out,
        "per_image": [{"name": name, "miou": number(miou)} for name, miou in names],
    }


class FullValidation(SegmentationValidation):
    """The scores of a validation, and what it costs more to know: calibration, and what is taken for what."""

    def __init__(self, averaged: AveragedTask) -> None:
        super().__init__(averaged)
        self.calibration = CalibrationError(ignore=IGNORE)

    def update(self, batch: LabelledBatch) -> None:
        """Add the images of a batch."""
        prediction = self.task.predict(as_float(batch.images))
        self.add(prediction, batch.required("labels"))
        self.calibration.update(prediction.logits.float().softmax(1), batch.required("labels"))

    def compute(self) -> dict[str, Any]:
        """Return the numbers over everything that was added."""
        total, confusion = self.score.compute(), self.score.confusion()
        classes = {
            name: {
                **{what: number(total[what][i]) for what in ("iou", "accuracy", "precision")},
                "pixels": int(confusion[i].sum()),
            }
            for i, name in enumerate(self.task.class_names)
        }
        told = {"classes": classes, "confusion": confusion.tolist(), "ece_protocol": ECE_PROTOCOL}
        return {**super().compute(), **told, **self.calibration.compute()}


def _batches(data: LabelledSet, rows: list[int]) -> Iterator[LabelledBatch]:
    return (data.read(rows[start : start + BATCH], LABELS) for start in range(0, len(rows), BATCH))


def familiarity(run: RunFolder, data: LabelledSet, split: str) -> str:
    """Return what the run has to do with the images of a split, as a sentence; empty: nothing is known.

    Args:
        run: a finished run.
        data: what it is scored on, wherever it lies now.
        split: name of the split.
    """
    if run.lineage.get("data_fingerprint") != data.fingerprint():
        return ""
    if split == "train":
        return "The run was trained on images of this split: these numbers are in sample."
    chosen_on = run.results.get("chosen_on", {}).get("split", run.config.get("evaluate_on"))
    if run.config.get("monitor") and chosen_on == split:
        return f"Weights or steps were chosen on {split}: these numbers are better than those of new images."
    return ""


def table(result: dict[str, Any]) -> str:
    """Return the scores as lines of text, the classes from best to worst."""
    known = {name: row for name, row in result["classes"].items() if row["iou"] is not None}
    width, total = (
        max([len(name) for name in result["iou"]] + [20]),
        sum(row["pixels"] for row in known.values()),
    )
    lines = [
        f"{result['protocol']}:",
        f"{'mIoU':{width}}{_percent(result['miou'])}",
        f"{'pixel accuracy':{width}}{_percent(result['pixel_accuracy'])}",
        f"{'calibration error':{width}}{_percent(result['ece'])}",
        f"{'residual information':{width}}{_bits(result['residual_information'])}",
        f"{'':{width}}{'IoU':>9}{'accuracy':>11}{'precision':>11}{'pixels':>9}",
    ]
    for name, row in sorted(known.items(), key=lambda item: -item[1]["iou"]):
        cells = f"{_percent(row['iou'])}  {_percent(row['accuracy'])}  {_percent(row['precision'])}"
        lines.append(f"{name:{width}}{cells}{_percent(row['pixels'] / total)}")
    if absent := [name for name in result["iou"] if name not in known]:
        lines.append(f"Neither in labels nor in predictions: {', '.join(absent)}.")
    if result["left_out"]:
        lines.append(f"{len(result['left_out'])} damaged, and in none of these numbers.")
    if result["familiarity"]:
        lines.append(result["familiarity"])
    return "\n".join(lines)


def _bits(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:7.3f} bits a pixel"


def _percent(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{100 * value:7.1f} %"
