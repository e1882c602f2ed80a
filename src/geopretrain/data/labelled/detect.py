"""Recognise a set of labelled images and open it: one row for each layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from geopretrain.data.dataset import IMAGE_FOLDER, SYNTHETIC
from geopretrain.data.file_names import in_order, without_clutter
from geopretrain.data.labelled.base import LabelledSource
from geopretrain.data.labelled.coco import has_panoptic, open_panoptic
from geopretrain.data.labelled.coco_objects import has_objects, open_objects
from geopretrain.data.labelled.image_folder import open_image_folder
from geopretrain.data.labelled.lists import has_lists, open_lists
from geopretrain.data.labelled.native import bdd100k, camvid, coco_stuff, kitti, lsun, nyu, sbd, voc
from geopretrain.data.labelled.native.cityscapes import has_fine_labels, open_fine_labels
from geopretrain.data.labelled.pairing import LABEL_SUFFIXES
from geopretrain.data.labelled.pairs import has_folders, open_folders
from geopretrain.data.labelled.propagated import is_propagated, open_propagated
from geopretrain.data.labelled.synthetic import LabelledWorlds
from geopretrain.data.labelled.tools.cvat import cvat_file, open_cvat
from geopretrain.data.labelled.tools.label_studio import label_studio_file, open_label_studio
from geopretrain.data.labelled.tools.labelme import has_labelme, open_labelme
from geopretrain.data.labelled.tools.yolo import has_yolo, open_yolo
from geopretrain.data.readers.base import files_with
from geopretrain.data.readers.kitti_stereo import training_folder
from geopretrain.data.readers.mat import nyu_file
from geopretrain.data.spec import place_of, refuse_unknown
from geopretrain.errors import DataError

MAX_NEAR = 200
"""Entries of a folder that are looked into for a data set, where the folder itself is none."""
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
        options: names of what may stand behind the path, as ``PATH?NAME=VALUE``.
        gives: fields that its images have; where several layouts recognise the data, the first that gives
            what is wanted opens them. () is anything.
    """

    name: str
    words: str
    recognises: Callable[[str], bool]
    open: Callable[[str], LabelledSource]
    gives: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


LAYOUTS: list[LabelledLayout] = [
    LabelledLayout(
        "synthetic worlds",
        "synthetic:street or synthetic:rooms",
        lambda spec: spec.startswith(SYNTHETIC),
        LabelledWorlds,
    ),
    LabelledLayout(
        "LSUN",
        "images:FOLDER with LSUN's CATEGORY_train_lmdb/data.mdb",
        lambda spec: bool(lsun.databases(spec)),
        lsun.LsunImages,
        ("image_labels",),
    ),
    LabelledLayout(
        "images with one class each",
        "images:FOLDER, with a folder per class (also in train/ and val/); images:LIST of image,class lines",
        lambda spec: spec.startswith(IMAGE_FOLDER),
        open_image_folder,
    ),
    LabelledLayout(
        "propagated labels",
        "what data propagate has written",
        lambda spec: is_propagated(place_of(spec)),
        lambda spec: open_propagated(place_of(spec), open_labelled_source),
        ("labels",),
    ),
    LabelledLayout(
        "Cityscapes, fine labels",
        "Cityscapes (gtFine/SPLIT/CITY with leftImg8bit)",
        lambda spec: has_fine_labels(place_of(spec)),
        lambda spec: open_fine_labels(place_of(spec)),
        ("labels", "depth"),
    ),
    LabelledLayout(
        "KITTI semantics",
        "KITTI semantics (training/image_2 with training/semantic)",
        lambda spec: training_folder(place_of(spec), kitti.LABELS) is not None,
        kitti.open_semantics,
        ("labels",),
        ("train",),
    ),
    LabelledLayout(
        "PASCAL VOC",
        "PASCAL VOC (JPEGImages, SegmentationClass, ImageSets)",
        lambda spec: voc.year_folder(place_of(spec), voc.MAPS) is not None,
        voc.open_maps,
        ("labels",),
        ("train",),
    ),
    LabelledLayout(
        "SBD",
        "SBD (benchmark_RELEASE/dataset/cls/*.mat with img/)",
        lambda spec: sbd.sbd_folder(place_of(spec)) is not None,
        lambda spec: sbd.open_sbd(place_of(spec)),
        ("labels",),
    ),
    LabelledLayout(
        "boxes in XML (VOC)",
        "Annotations/*.xml of VOC's form with the pictures in JPEGImages/ or images/",
        lambda spec: voc.has_boxes(place_of(spec)),
        lambda spec: voc.open_boxes(place_of(spec)),
        ("boxes",),
    ),
    LabelledLayout(
        "CamVid, original",
        "CamVid's 701_StillsRaw_full with LabeledApproved_full",
        lambda spec: camvid.has_stills(place_of(spec)),
        camvid.open_stills,
        ("labels",),
        ("classes",),
    ),
    LabelledLayout(
        "BDD100K",
        "BDD100K (images/10k with labels/sem_seg/masks)",
        lambda spec: bdd100k.has_semantics(place_of(spec)),
        lambda spec: bdd100k.open_semantics(place_of(spec)),
        ("labels",),
    ),
    LabelledLayout(
        "BDD100K boxes",
        "BDD100K (images/100k with labels/det_20)",
        lambda spec: bdd100k.has_boxes(place_of(spec)),
        lambda spec: bdd100k.open_boxes(place_of(spec)),
        ("boxes",),
    ),
    LabelledLayout(
        "CVAT",
        "annotations.xml of CVAT for images 1.1, with the pictures in images/",
        lambda spec: cvat_file(place_of(spec)) is not None,
        lambda spec: open_cvat(place_of(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "Label Studio",
        "the JSON export of Label Studio, with the pictures in images/",
        lambda spec: label_studio_file(place_of(spec)) is not None,
        lambda spec: open_label_studio(place_of(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "NYU Depth v2, labelled",
        "nyu_depth_v2_labeled.mat, with splits.mat and classMapping40.mat beside it",
        lambda spec: nyu_file(place_of(spec)) is not None,
        nyu.NyuLabelled,
        ("labels", "depth"),
        ("classes", "depth"),
    ),
    LabelledLayout(
        "YOLO",
        "YOLO's data.yaml, or images/ with labels/*.txt and classes.txt",
        lambda spec: has_yolo(place_of(spec)),
        lambda spec: open_yolo(place_of(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "Labelme",
        "pictures with the JSON files of Labelme beside them",
        lambda spec: has_labelme(place_of(spec)),
        lambda spec: open_labelme(place_of(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "lists (CamVid)",
        "train.txt, val.txt, test.txt, or one list, of 'image label' lines (CamVid, or with classes.txt)",
        lambda spec: has_lists(place_of(spec)),
        lambda spec: open_lists(place_of(spec)),
    ),
    LabelledLayout(
        "COCO panoptic",
        "annotations/panoptic_train2017.json with its PNG files, and the pictures in train2017/",
        lambda spec: has_panoptic(place_of(spec)),
        lambda spec: open_panoptic(place_of(spec)),
        ("labels",),
    ),
    LabelledLayout(
        "COCO-Stuff",
        "stuffthingmaps/train2017 with the pictures of COCO",
        lambda spec: coco_stuff.maps_folder(place_of(spec)) is not None,
        lambda spec: coco_stuff.open_maps(place_of(spec)),
        ("labels",),
    ),
    LabelledLayout(
        "COCO objects",
        "a JSON file of objects in COCO's form (annotations/instances_train2017.json, "
        "train/_annotations.coco.json, or any beside images/)",
        lambda spec: has_objects(place_of(spec)),
        lambda spec: open_objects(place_of(spec)),
        ("boxes", "masks", "labels"),
    ),
    LabelledLayout(
        "images and labels",
        "images/ and labels/ (also under train/, val/, test/) with classes.txt",
        lambda spec: has_folders(place_of(spec)),
        lambda spec: open_folders(place_of(spec)),
    ),
]
"""Known layouts; the first that recognises the data opens them. A new reader is a class and a row here."""


_OF_ONES_OWN = ("synthetic worlds", "images with one class each", "lists (CamVid)", "images and labels")


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
        if not spec.startswith((SYNTHETIC, IMAGE_FOLDER)):
            refuse_unknown(spec, layout.options)
        return layout.open(spec).viewed(wanted)
    if not place_of(spec).is_dir():
        raise DataError(f"The labelled data set {place_of(spec)} is not a folder.")
    raise DataError(_why_not(place_of(spec)))


def _why_not(folder: Path) -> str:
    """Return why a folder is of no layout; of one that holds pictures itself, how they would have to lie."""
    if (near := _near(folder)) is not None:
        place, layout = near
        return (
            f"{folder} is no known labelled data set, but {place} is one ({layout.name}): the folder given "
            "is of the wrong level."
        )
    if not (pictures := in_order(files_with(folder, LABEL_SUFFIXES))):
        return f"{folder} is no known labelled data set. Expected: {in_words()}."
    first = pictures[0]
    label = next((one for one in pictures[1:] if one.stem.startswith(first.stem) and len(pictures) > 2), None)
    named = label.name if label is not None else f"{first.stem}.png"
    return (
        f"{folder} is no known labelled data set: it holds {len(pictures)} pictures, and nothing says which "
        f"are images and which are labels. Expected: {folder}/images/{first.name}, {folder}/labels/{named} "
        f"and so on, with a list of the classes in {folder}/classes.txt; or, where the files are to stay, a "
        f"list of lines '{first.name} {named}' with classes.txt beside it, given as --data "
        f"{folder}/train.txt. Boxes are in a JSON file of COCO, or of a labelling tool. docs/data.md shows "
        "all layouts."
    )


def _near(folder: Path) -> tuple[Path, LabelledLayout] | None:
    """Return a data set one or two folders below a folder or above it, and its layout; None without one."""
    inside = [place for pattern in ("*", "*/*") for place in islice(folder.glob(pattern), MAX_NEAR)]
    below = sorted(without_clutter((place for place in inside if place.is_dir()), folder))
    for place in (*below, *list(folder.absolute().parents)[:2]):
        for layout in LAYOUTS:
            with suppress(DataError, OSError):  # of a folder that nobody has named
                if layout.recognises(str(place)):
                    return place, layout
    return None


def is_labelled(spec: str) -> bool:
    """Return whether what the user named is a set of images on disk of a known layout."""
    return not spec.startswith(SYNTHETIC) and is_known(spec)


def is_known(spec: str) -> bool:
    """Return whether what the user named is of a known layout, a world to render or a set on disk."""
    return any(layout.recognises(spec) for layout in LAYOUTS)


def in_words() -> str:
    """Return the known layouts: in full what people make themselves, of the others the names."""
    released = [row for row in LAYOUTS if row.name not in _OF_ONES_OWN and _is_ours(row)]
    in_full = [row.words for row in LAYOUTS if row not in released]
    names = "; ".join(row.name for row in released)
    return f"{'; '.join(in_full)}; or a data set as released or exported (docs/data.md shows how): {names}"


def _is_ours(row: LabelledLayout) -> bool:
    """Return whether a layout is of this package, not of a plugin."""
    return row.open.__module__.startswith("geopretrain.")
