"""Objects scored on any split of labelled images, as at the end of a fine-tuning."""

from __future__ import annotations

from typing import Any

import torch

from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError
from geopretrain.evaluation.segmentation import check_classes
from geopretrain.tasks.transfer.detection import Detection
from geopretrain.tasks.transfer.detection_validation import PROTOCOL

BATCH = 4
_NAMED = 5  # files left out that are named


def score_detection(task: Detection, data: LabelledSet, split: str, every: int = 1) -> dict[str, Any]:
    """Return the average precision of what a task finds in the images of a split.

    Args:
        task: finds objects of the classes of the data.
        data: labelled images with boxes at the size that the network works at.
        split: name of the split.
        every: take every n-th image.

    Returns:
        ``protocol``, ``images``, ``box_map``, ``box_map_50``, ``box_map_75``, ``box_ap`` by class, the same
        of masks where the task finds some (all in [0, 1], None where nothing was to be found), and
        ``left_out`` (a sentence about each image that cannot be read).

    Raises:
        ConfigError: the classes are not those of the run.
        DataError: the split is empty, its images have no such labels, or none can be used.
    """
    check_classes(task, data)
    rows = data.splits(task.required).get(split, ())[::every]
    if not len(rows):
        there = ", ".join(f"{count} {name}" for name, count in data.counts.items() if count)
        raise DataError(
            f"'{data.path}' has no images in its {split} split ({there}). Choose another --split."
        )
    damaged = data.unusable(rows, task.required)
    left_out = [f"{data.names([row])[0]}: {error}" for row, error in damaged.items()]
    for sentence in left_out[:_NAMED]:
        console.warn_left_out(f"Left out: {sentence}")
    kept = [int(row) for row in rows if int(row) not in damaged]
    if not kept:
        raise DataError(f"None of the {len(rows)} {split} images of '{data.path}' can be used, see above.")
    numbers = _scored(task, data, kept, task.required)
    height, width = data.size
    protocol = PROTOCOL.format(images=len(kept), split=split, size=f"{height}x{width}")
    return {"protocol": protocol, "images": len(kept), **numbers, "left_out": left_out}


@torch.no_grad()
def _scored(task: Detection, data: LabelledSet, rows: list[int], fields: Fields) -> dict[str, Any]:
    validation = task.validation(0)
    with console.progress("scoring", len(rows), unit="images") as line:
        for first in range(0, len(rows), BATCH):
            batch = data.read(rows[first : first + BATCH], fields)
            validation.update(batch.to(str(task.device)))
            line.advance(len(batch))
    return validation.compute()


def table(result: dict[str, Any]) -> str:
    """Return the scores as lines of text, the classes from best to worst."""
    kinds = [kind for kind in ("box", "mask") if f"{kind}_map" in result]
    heads = [*(f"{kind} {name}" for kind in kinds for name in ("mAP", "mAP50", "mAP75"))]
    numbers = [result[f"{kind}_{name}"] for kind in kinds for name in ("map", "map_50", "map_75")]
    lines = [f"{result['protocol']}:", "".join(f"{head:>12}" for head in heads)]
    lines.append("".join(map(_percent, numbers)))
    best = sorted(result["box_ap"].items(), key=lambda item: -1.0 if item[1] is None else item[1])
    for name, value in reversed(best):
        if value is not None:
            more = _percent(result["mask_ap"][name]) if "mask" in kinds else ""
            lines.append(f"{_percent(value)}{more}  {name}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return f"{'undefined' if value is None else f'{100 * value:.1f} %':>12}"
