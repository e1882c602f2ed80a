"""Recognise a set of labelled images and open it: one row for each layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geopretrain.data.dataset import IMAGE_FOLDER, SYNTHETIC
from geopretrain.data.labelled.base import LabelledSource
from geopretrain.data.labelled.coco import has_panoptic, open_panoptic
from geopretrain.data.labelled.coco_objects import has_objects, open_objects
from geopretrain.data.labelled.image_folder import open_image_folder
from geopretrain.data.labelled.pairs import has_folders, has_lists, open_folders, open_lists
from geopretrain.data.labelled.synthetic import LabelledWorlds
from geopretrain.errors import DataError

LABELS = ("labels",)
"""What images with labels are opened for where nothing else is said."""


@dataclass(frozen=True)
class LabelledLayout:
    """A way labelled images lie on disk.

    Attributes:
        name: of the layout, as tables of the docs have it.
        words: what it looks like, for people who look for their own.
        recognises: whether what the user named is of this layout; looks at names, opens no image.
        open: returns the set; raises DataError where it is of this layout, but cannot be used.
        gives: fields that its images have; where several layouts recognise the data, the first that gives
            what is wanted opens them. () is anything.
    """

    name: str
    words: str
    recognises: Callable[[str], bool]
    open: Callable[[str], LabelledSource]
    gives: tuple[str, ...] = ()


def _folder(spec: str) -> Path:
    return Path(spec).expanduser()


LAYOUTS: list[LabelledLayout] = [
    LabelledLayout(
        "synthetic worlds",
        "synthetic:street or synthetic:rooms",
        lambda spec: spec.startswith(SYNTHETIC),
        LabelledWorlds,
    ),
    LabelledLayout(
        "images with one class each",
        "images:FOLDER, with a folder per class (also in train/ and val/); images:LIST of image,class lines",
        lambda spec: spec.startswith(IMAGE_FOLDER),
        open_image_folder,
    ),
    LabelledLayout(
        "lists (CamVid)",
        "train.txt, val.txt and test.txt with 'image label' lines (CamVid, or with classes.txt)",
        lambda spec: has_lists(_folder(spec)),
        lambda spec: open_lists(_folder(spec)),
    ),
    LabelledLayout(
        "COCO panoptic",
        "annotations/panoptic_train2017.json with its PNG files, and the pictures in train2017/",
        lambda spec: has_panoptic(_folder(spec)),
        lambda spec: open_panoptic(_folder(spec)),
        ("labels",),
    ),
    LabelledLayout(
        "COCO objects",
        "a JSON file of objects in COCO's form (annotations/instances_train2017.json, "
        "train/_annotations.coco.json, or any beside images/)",
        lambda spec: has_objects(_folder(spec)),
        lambda spec: open_objects(_folder(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "images and labels",
        "images/ and labels/ (also under train/, val/, test/) with classes.txt",
        lambda spec: has_folders(_folder(spec)),
        lambda spec: open_folders(_folder(spec)),
    ),
]
"""Known layouts; the first that recognises the data opens them. A new reader is a class and a row here."""


def open_labelled_source(spec: str, wanted: Sequence[str] = LABELS) -> LabelledSource:
    """Open a set of labelled images, its layout recognised from what is there.

    Args:
        spec: what the user named.
        wanted: names of the fields that the images are to have; what they have is the caller's to check.

    Raises:
        DataError: nothing is there, or it is of no known layout; the message names those known.
    """
    known = [layout for layout in LAYOUTS if layout.recognises(spec)]
    giving = [layout for layout in known if not layout.gives or set(wanted) <= set(layout.gives)]
    for layout in giving or known:
        return layout.open(spec).viewed(wanted)
    if not _folder(spec).is_dir():
        raise DataError(f"The labelled data set {_folder(spec)} is not a folder.")
    raise DataError(f"{_folder(spec)} is no known labelled data set. Expected: {in_words()}.")


def is_labelled(spec: str) -> bool:
    """Return whether what the user named is a set of images on disk of a known layout."""
    return not spec.startswith(SYNTHETIC) and is_known(spec)


def is_known(spec: str) -> bool:
    """Return whether what the user named is of a known layout, a world to render or a set on disk."""
    return any(layout.recognises(spec) for layout in LAYOUTS)


def in_words() -> str:
    """Return what the known layouts look like."""
    return "; ".join(layout.words for layout in LAYOUTS)
