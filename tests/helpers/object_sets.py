"""Small sets of images with boxes and masks, written down in full by the test."""

from __future__ import annotations

import numpy as np

from geopretrain.data.labelled.base import LabelledImage, LabelledSource
from geopretrain.data.labelled.labelled_set import LabelledSet


class Listed(LabelledSource):
    """Images as they are given, by split."""

    kind = "listed images"

    def __init__(self, images, class_names=("car", "person"), masks=True):
        self.images = images
        self.counts = {split: len(ones) for split, ones in images.items()}
        self.class_names = class_names
        self.class_colours = np.zeros((len(class_names), 3), np.uint8)
        self.fields = ("boxes", "masks") if masks else ("boxes",)

    def name(self, split, index):
        return f"{split}/{index:03d}.png"

    def original_size(self):
        return self.images["train"][0].image.shape[:2]

    def read(self, split, index, size):
        return self.images[split][index]

    def unread(self):
        return [
            [one.image.tobytes().hex()[:64], str(one.boxes)] for ones in self.images.values() for one in ones
        ]

    def fingerprint(self):
        return "0123456789abcdef"


def rectangles(boxes, size=(64, 96), labels=None, seed=0, masks=True, **more):
    """Return a noisy image with a bright rectangle, and its mask, for each of the boxes."""
    picture = np.random.default_rng(seed).integers(0, 60, (*size, 3)).astype(np.uint8)
    found = np.zeros((len(boxes), *size), bool)
    for mask, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        mask[max(0, int(y0)) : int(y1), max(0, int(x0)) : int(x1)] = True
    labels = [0] * len(boxes) if labels is None else labels
    for number, mask in zip(labels, found, strict=True):
        picture[mask] = (230, 40, 40) if number == 0 else (40, 40, 230)
    return LabelledImage(
        picture,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_labels=np.array(labels, np.int64),
        masks=found if masks else None,
        **more,
    )


def listed(images, size=None, **more):
    """Return a data set of such images."""
    return LabelledSet(Listed(images, **more), size)
