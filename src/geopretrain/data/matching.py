"""Which frames of a video labelled images are: found by what they show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.resize import resize
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.frame_store import FrameStore

Place = tuple[int, int]
"""Clip and number of a frame."""
Crop = tuple[int, int, int, int]
Floats = NDArray[np.float32]

MAX_DIFFERENCE = 4.0
"""Mean difference of 8-bit values up to which an image is taken for a frame: packing with loss costs about 1
to 3."""
_ROUNDED = 1.0  # by which averages of rounded values differ at most
_THUMBNAIL = (12, 16)
_ASPECT_TOLERANCE = 0.01
_LOOKED_AT = 256  # candidates compared px by px
_AS_GOOD = 0.1  # difference within which the name decides


@dataclass(frozen=True)
class Match:
    """The frame that a labelled image is.

    Attributes:
        place: clip and number of the frame; None where it is none.
        difference: mean difference of 8-bit values from it, or from the nearest one where it is none; NaN
            where no frame has its shape.
        alike: all frames that look nearly the same, this one among them.
    """

    place: Place | None
    difference: float
    alike: frozenset[Place] = frozenset()


class FrameFinder:
    """Finds images among all frames of a store.

    Images may be larger or smaller than the video; of another shape they are none of its frames.
    """

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._places = [(k, frame) for k, clip in enumerate(store.clips) for frame in clip.frames]
        self._thumbnails = np.stack([_thumbnail(store.frame_image(*place)) for place in self._places])

    def find(self, image: NDArray[np.uint8], name: str = "") -> Match:
        """Return the frame that an image ``H W 3`` uint8 shows.

        Args:
            image: as large as it is.
            name: decides between frames that show the same.
        """
        bounds = np.full(len(self._places), np.nan, np.float32)
        images: dict[Crop | None, NDArray[np.uint8]] = {}
        crops = [crop_in(clip, (image.shape[0], image.shape[1])) for clip in self._store.clips]
        for crop in {one for one in crops if one is not None}:
            images[crop] = resize(image, crop, self._store.size)
            rows = np.flatnonzero([crops[clip] == crop for clip, _ in self._places])
            bounds[rows] = np.abs(self._thumbnails[rows] - _thumbnail(images[crop])).mean(1)
        order = np.argsort(bounds, kind="stable")  # NaN comes last
        candidates = [row for row in order[:_LOOKED_AT] if bounds[row] <= MAX_DIFFERENCE + _ROUNDED]
        differences = {
            place: self._difference(place, images[crops[place[0]]])
            for place in (self._places[row] for row in candidates)
        }
        good = {place: one for place, one in differences.items() if one <= MAX_DIFFERENCE}
        if not good:
            return Match(None, min(differences.values(), default=float(bounds[order[0]])))
        best = min(good.values())
        equal = sorted((p for p in good if good[p] <= best + _AS_GOOD), key=good.__getitem__)
        place = next((one for one in equal if _is_called(one, name)), equal[0])
        return Match(place, good[place], frozenset(good))

    def _difference(self, place: Place, image: NDArray[np.uint8]) -> float:
        stored = self._store.frame_image(*place).astype(np.float32)
        return float(np.abs(stored - image).mean())


def frames_of_images(labelled: LabelledSet, store: FrameStore) -> list[Match]:
    """Return for each image of all splits, in order, the frame of the store that it is."""
    from geopretrain.console import console

    finder, found = FrameFinder(store), list[Match]()
    names = labelled.names(range(len(labelled)))
    with console.progress("images among frames", len(labelled), unit="images") as line:
        for position, name in enumerate(names):
            found.append(finder.find(labelled.original(position).image, name))
            line.advance(1)
    return found


def _thumbnail(image: NDArray[np.uint8]) -> Floats:
    import cv2

    small = cv2.resize(image, _THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()


def crop_in(clip: ClipInfo, size: tuple[int, int]) -> Crop | None:
    """Return the part of an image that the store has of such frames, px; None for another shape."""
    height, width = clip.original_size
    if abs(size[0] * width / (size[1] * height) - 1) > _ASPECT_TOLERANCE:
        return None
    down, right = size[0] / height, size[1] / width
    top, left, tall, wide = clip.crop
    return round(top * down), round(left * right), round(tall * down), round(wide * right)


def _is_called(place: Place, name: str) -> bool:
    """Return whether a name ends with the number of a frame, as ``CLIP_000042.png`` does."""
    number = re.search(r"(\d+)$", PurePosixPath(name).stem)
    return number is not None and int(number[1]) == place[1]
