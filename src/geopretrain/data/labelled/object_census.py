"""Which objects labelled images hold, looked at before anything is trained on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.labelled.census import refuse_overlap
from geopretrain.data.labelled.labelled_set import BOXES, LabelledSet
from geopretrain.data.labelled.object_checks import NAMED, ObjectCounts
from geopretrain.errors import DataError

MAX_DROPPED = 0.1
"""Part of the boxes that may have no area in their image before the annotations are taken for others'."""


def check_objects(
    data: LabelledSet, train: NDArray[np.int64], scored: NDArray[np.int64], split: str = "test"
) -> None:
    """Read the images, say which objects they have, and refuse what cannot be meant.

    Args:
        data: labelled images with boxes.
        train: positions of those that are learned from.
        scored: positions of those that the outcome is judged on.
        split: name of their split.

    Raises:
        DataError: a file cannot be used; a picture is in both; there is nothing to learn or to score; many
            boxes lie outside of their images.
    """
    data.check(np.concatenate([train, scored]), BOXES)
    refuse_overlap(data, train, scored, split)
    learned, judged = data.object_counts(train), data.object_counts(scored)
    for counts, where in ((learned, "training"), (judged, split)):
        console.say(counts.in_words(data.class_names, where))
        refuse_unlikely(data, counts, where)
    if unknown := sorted(judged.classes - learned.classes):
        names = [data.class_names[c] for c in unknown[:NAMED]]
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        console.warn(
            f"{data.path}: {', '.join(names)}{more}: in the {split} images and in no image that is learned "
            "from, so that it cannot be found and lowers the mean over the classes."
        )


def refuse_unlikely(data: LabelledSet, counts: ObjectCounts, where: str) -> None:
    """Raise DataError where no image of a part shows an object, or many boxes lie outside of their images."""
    every = counts.total + counts.crowds + counts.dropped
    if counts.dropped > MAX_DROPPED * every:
        raise DataError(
            f"{data.path}: {counts.dropped} of {every} boxes in the {where} images have no area in their "
            "image. The annotations are of other pictures, of another size of them, or in another order than "
            "x0, y0, x1, y1."
        )
    if not counts.total:
        raise DataError(
            f"{data.path}: none of the {len(counts.labels)} {where} images shows an object, so there is "
            f"nothing to {'learn' if where == 'training' else 'find'}. Look at the annotations, and whether "
            "they are those of these pictures."
        )
