"""Images with objects in them, whatever file says so: boxes, masks, and class maps made of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geopretrain.data.dataset import IGNORE
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import (
    FINGERPRINTED,
    SPLITS,
    LabelledImage,
    LabelledSource,
    digest_files,
    unread_files,
)
from geopretrain.data.labelled.classes import MAX_CLASSES
from geopretrain.data.labelled.outlines import Mask, Outline, Polygons, Size
from geopretrain.data.readers.images import image_size, on_its_side, read_image, turned_alone
from geopretrain.data.sizes import check_original
from geopretrain.data.value_range import range_warning
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette
from geopretrain.wording import in_px, sides

BACKGROUND = "background"
IGNORED = -1
"""Number of the class of what is of none: 255 in class maps, no object (see ``AnnotatedObject.crowd``)."""
SAME_BOX = 0.5
"""Intersection over union below which a box is not the one around its outline."""
_TRIED = 20  # images whose headers are looked at until one can be read
Box = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """One object.

    Attributes:
        label: number of its class.
        box: x0, y0, x1, y1, px of the image.
        outline: which pixels it covers, None where only its box is known.
        crowd: whether it is a group of objects that nobody has told apart: of its class in class maps, but no
            object of its own.
    """

    label: int
    box: Box
    outline: Outline | None = None
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image.

    Attributes:
        file: of the picture.
        objects: in it.
        size: (height, width) that the annotations were made for, px; None where the file does not say so.
        relative: whether boxes and outlines are parts of width and height, from 0 to 1, instead of px.
    """

    file: Path
    objects: tuple[AnnotatedObject, ...]
    size: Size | None = None
    relative: bool = False

    def in_pixels(self, size: Size) -> tuple[AnnotatedObject, ...]:
        """Return the objects in px of the picture, which has this (height, width)."""
        if not self.relative:
            return self.objects
        height, width = size
        scale = np.array([width, height], np.float64)
        return tuple(
            replace(
                one,
                box=one.box * np.tile(scale, 2).astype(np.float32),
                outline=one.outline.scaled(scale) if isinstance(one.outline, Polygons) else one.outline,
            )
            for one in self.objects
        )


@dataclass
class Kept:
    """Objects of a whole data set as they are read: what has no area is counted, and left out.

    Attributes:
        left_out: number of objects without an area.
        total: number of all.
        example: file of the first that was left out.
        elsewhere: number of boxes that are not those around their outlines.
        first_elsewhere: file of the first of these.
    """

    left_out: int = 0
    total: int = 0
    example: str = ""
    elsewhere: int = 0
    first_elsewhere: str = ""

    def add(
        self,
        label: int,
        where: Path,
        *,
        box: Box | None = None,
        outline: Outline | None = None,
        crowd: bool = False,
    ) -> list[AnnotatedObject]:
        """Return the object as a list of one, empty where it has no area.

        Where no box is given, it is that of the outline.
        """
        self.total += 1
        if isinstance(outline, Polygons) and outline.box() is None:
            box = None  # one of the box alone would leave all others without masks
        elif box is None and outline is not None:
            box = outline.box()
        if box is not None and box[2] > box[0] and box[3] > box[1]:
            self._compare(box, outline, where)
            return [AnnotatedObject(label, box, outline, crowd)]
        self.left_out += 1
        self.example = self.example or where.name
        return []

    def _compare(self, box: Box, outline: Outline | None, where: Path) -> None:
        """Count a box that is not the one around its polygons."""
        around = outline.box() if isinstance(outline, Polygons) else None
        if around is not None and _overlap(box, around) < SAME_BOX:
            self.elsewhere += 1
            self.first_elsewhere = self.first_elsewhere or where.name

    def sentences(self) -> tuple[str, ...]:
        """Return what was left out and what may not be meant, nothing where there is nothing of the kind."""
        said = []
        if self.left_out:
            said.append(
                f"{self.left_out} of {self.total} objects have no area ({self.example}, for one) and are "
                "left out"
            )
        if self.elsewhere:
            said.append(
                f"{self.elsewhere} of {self.total} boxes do not lie around their outlines "
                f"({self.first_elsewhere}, for one)"
            )
        return tuple(said)


class LabelledObjects(LabelledSource):
    """Images with boxes, and masks where every object has an outline.

    Seen for class maps (see `viewed`), the classes begin with the background, and objects are painted over
    each other, the smaller ones last.

    Args:
        root: folder that everything lies in.
        kind: of data, in a word or two.
        names: of the classes.
        images: of each split.
        files: of annotations, for telling changes.
        warnings: sentences about assumptions made.
    """

    def __init__(
        self,
        root: Path,
        kind: str,
        names: Sequence[str],
        images: Mapping[str, Sequence[AnnotatedImage]],
        files: Sequence[Path],
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Raise DataError for a split without images, no class or too many."""
        self.root, self.kind, self.images, self.files = root, kind, images, list(files)
        self.counts = {split: len(images[split]) for split in SPLITS}
        if empty := next((split for split, count in self.counts.items() if not count), None):
            raise DataError(f"The split '{empty}' of {root} holds no image with annotations.")
        if not 1 <= len(names) < MAX_CLASSES:
            raise DataError(
                f"{root} has {len(names)} classes of objects; 1 to {MAX_CLASSES - 1} are possible."
            )
        if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
            raise DataError(f"{root} has two classes called '{twice}'. Give each a name of its own.")
        self.class_names, self.class_colours = tuple(names), class_palette(len(names))
        self._first = 0  # number of the first class of objects
        without = sum(
            one.outline is None for each in images.values() for image in each for one in image.objects
        )
        total = sum(len(image.objects) for each in images.values() for image in each)
        if not total:
            why = f" ({'; '.join(warnings)})" if warnings else ""
            raise DataError(
                f"{root}: none of the {sum(self.counts.values())} images has an object in it{why}. Look at "
                "the annotations, and whether they are those of these pictures."
            )
        self.fields = ("boxes",) if without else ("boxes", "masks")
        if without:
            self.absent = {"masks": f"{without} of the {total} objects have a box only"}
        self.warnings = (*warnings, *_without_objects(images))
        if warning := range_warning([image.file for image in images["train"]]):
            self.warnings += (warning,)
        if files and (turned := turned_alone([(one.file, files[0]) for one in images["train"]], "objects")):
            self.warnings += (turned.rstrip("."),)

    def viewed(self, names: Sequence[str]) -> Self:
        """Return the same images with class maps where these are wanted."""
        if "labels" not in names or self._first or "masks" not in self.fields:
            return self
        seen = type(self).__new__(type(self))
        vars(seen).update(vars(self))
        seen._first, seen.fields = 1, (*self.fields, "labels")
        seen.class_names = (BACKGROUND, *self.class_names)
        seen.class_colours = np.concatenate([np.zeros((1, 3), np.uint8), self.class_colours])
        return seen

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the data set."""
        file = self.images[split][index].file
        return file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else file.as_posix()

    def original_size(self) -> Size:
        """Return the (height, width) of the first training image whose header can be read."""
        files = [image.file for image in self.images["train"][:_TRIED]]
        for file in files[:-1]:
            with suppress(DataError):  # reading it will say what is wrong
                return image_size(file)
        return image_size(files[-1])

    def read(self, split: str, index: int, size: Size) -> LabelledImage:
        """Decode an image and draw its objects; masks come at ``size``, brought to it one by one."""
        annotated = self.images[split][index]
        image = read_image(annotated.file)
        full = (image.shape[0], image.shape[1])
        check_original(full, annotated.file)
        if annotated.size is not None and annotated.size != full:
            raise DataError(
                f"The annotations of {annotated.file} are for {in_px(annotated.size)}, but the picture "
                f"has {sides(full)}. Annotate it as it is, or put the one in place that was annotated."
                + (on_its_side("the annotations") if annotated.size == full[::-1] else "")
            )
        objects = annotated.in_pixels(full)
        boxes = [_inside(one.box, full) for one in objects]
        masks = self._masks(annotated.file, objects, boxes, full, size) if "masks" in self.fields else None
        return LabelledImage(
            image,
            labels=self._class_map(annotated.file, objects, full) if self._first else None,
            boxes=np.stack(boxes) if boxes else np.zeros((0, 4), np.float32),
            box_labels=np.array([one.label + self._first for one in objects], np.int64),
            box_crowd=np.array([one.crowd for one in objects], bool),
            masks=masks,
        )

    def unread(self) -> object:
        """Return classes, and names, lengths and times of pictures and annotations."""
        return [self._first, list(self.class_names), unread_files(self.root, self._pictures() + self.files)]

    def fingerprint(self) -> str:
        """Return a digest of classes, splits, pictures and annotations."""
        digest = digest_files(
            Digest().add([list(self.class_names), self.counts]), self.root, self._pictures()
        )
        if len(self.files) > FINGERPRINTED:
            return digest_files(digest, self.root, self.files).hex()
        for file in self.files:
            digest.add_file(file)
        return digest.hex()

    def _class_map(self, file: Path, objects: Sequence[AnnotatedObject], full: Size) -> NDArray[np.uint8]:
        """Return the class of each pixel, 0 = background; objects with the smallest boxes are on top."""
        labels = np.zeros(full, np.uint8)
        for one in sorted(objects, key=lambda one: -_area(one.box)):
            labels[_mask(file, one, full)] = IGNORE if one.label == IGNORED else one.label + self._first
        return labels

    @staticmethod
    def _masks(
        file: Path, objects: Sequence[AnnotatedObject], boxes: Sequence[Box], full: Size, size: Size
    ) -> NDArray[np.bool_]:
        """Return the masks ``N H W`` of objects at ``size``, by nearest neighbour.

        Where an outline covers no pixel (a line, a dot between the centres of pixels), its box is left
        without area.
        """
        small = []
        for one, box in zip(objects, boxes, strict=True):
            mask = _mask(file, one, full)
            box[2:] = box[2:] if mask.any() else box[:2]
            small.append(_reduced(mask, size))
        return np.stack(small) if small else np.zeros((0, *size), bool)

    def _pictures(self) -> list[Path]:
        return [image.file for split in SPLITS for image in self.images[split]]


def _mask(file: Path, one: AnnotatedObject, full: Size) -> Mask:
    if one.outline is None:
        return np.zeros(full, bool)
    try:
        return one.outline.mask(full)
    except DataError as error:
        raise DataError(
            f"{file}: {error}. Put the picture in place that was annotated, or annotate this one."
        ) from error


def _reduced(mask: Mask, size: Size) -> Mask:
    """Return a mask at another size, by nearest neighbour."""
    if mask.shape == size:
        return mask
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.NEAREST)) > 0


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(max(0, sides[0]) * max(0, sides[1]))
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _inside(box: Box, size: Size) -> Box:
    height, width = size
    return np.clip(box, 0, np.array([width, height, width, height], np.float32))


def _without_objects(images: Mapping[str, Sequence[AnnotatedImage]]) -> tuple[str, ...]:
    every = [image for each in images.values() for image in each]
    empty = sum(not image.objects for image in every)
    return (f"{empty} of {len(every)} images have no object in them",) if empty else ()
