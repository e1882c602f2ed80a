"""The classes of Cityscapes, KITTI and BDD100K: 19 that are learned of the 34 that are drawn."""

from __future__ import annotations

import numpy as np

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.classes import ClassList


def drawn_classes() -> ClassList:
    """Return the 19 classes by the ids of label files (``labelIds``: 7 is road); the other ids are ignored.

    Colours are known, so that files of colours can be read: where a learned and an ignored class share one
    (pole and group of poles, car and its number plate), it is the learned one.
    """
    from torchvision.datasets import Cityscapes

    learned = [one for one in Cityscapes.classes if not one.ignore_in_eval]
    ids = {one.id: IGNORE for one in Cityscapes.classes if one.ignore_in_eval and one.id >= 0}
    ignored = tuple(one.color for one in Cityscapes.classes if one.ignore_in_eval)
    return ClassList(
        tuple(one.name for one in learned),
        np.array([one.color for one in learned], np.uint8),
        coded=True,
        ids={**ids, **{one.id: one.train_id for one in learned}},
        ignored_colours=ignored,
    )


def trained_classes() -> ClassList:
    """Return the 19 classes by the ids they are learned under (``labelTrainIds``: 0 is road)."""
    drawn = drawn_classes()
    ids = {number: number for number in range(len(drawn.names))}
    return ClassList(drawn.names, drawn.colours, True, ids, drawn.ignored_colours)
