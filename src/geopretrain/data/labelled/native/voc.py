"""PASCAL VOC: class maps (``SegmentationClass``) and boxes (``Annotations``), with the lists of the data set.

``VOCdevkit/VOC2012``, its parent, or the folder of a year. With SBD's labels beside them, as PNG
(``SegmentationClassAug`` with ``train_aug.txt``) or as released (`sbd`), ``PATH?train=aug`` learns from
10 582 pictures. Other tools write boxes in the same form (XML beside the pictures).
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.labelled.native.sbd import SbdMaps, augmented, sbd_folder, voc_classes
from geopretrain.data.labelled.objects import AnnotatedImage, AnnotatedObject, Kept, LabelledObjects
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.palettes import VOC_NAMES as NAMES
from geopretrain.data.readers.base import files_with
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.spec import one_of_these, place_of
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError

PICTURES, MAPS, AUGMENTED, BOXES = "JPEGImages", "SegmentationClass", "SegmentationClassAug", "Annotations"
LISTS = "ImageSets/Segmentation"
AUGMENTED_LISTS = ("train_aug", "trainaug", "train_aug_id")


def year_folder(root: Path, inside: str) -> Path | None:
    """Return the newest folder of a year that has pictures and something else."""
    below = [*root.glob("VOC2*/"), *root.glob("VOCdevkit/VOC2*/")]
    for folder in (root, *sorted(below, key=lambda path: path.name, reverse=True)):
        if (folder / PICTURES).is_dir() and (folder / inside).is_dir():
            return folder
    return None


def open_maps(spec: str) -> LabelledPairs:
    """Read the class maps of VOC.

    Raises:
        DataError: a list or its files are not there.
        ConfigError: ``train`` is not ``aug``.
    """
    root, train = place_of(spec), one_of_these(spec, "train", ("aug",))
    folder = year_folder(root, MAPS)
    if folder is None:
        raise DataError(f"{root} holds no {PICTURES}/ with {MAPS}/ beside it.")
    found = {"train": _listed(folder, "train", MAPS), "val": _listed(folder, "val", MAPS)}
    if train == "aug":
        found["train"] = _augmented(folder, found)
    found = {split: pairs for split, pairs in found.items() if pairs}
    if not found:
        raise DataError(f"{folder / LISTS} holds no train.txt or val.txt that names pictures.")
    splits, said = with_all_splits(found, root)
    return SbdMaps(root, "PASCAL VOC", voc_classes(), splits, said)


def _listed(folder: Path, name: str, maps: str) -> list[Pair]:
    """Return the pairs of a list, none where it is not there (DataError for a file that it names in vain)."""
    listing = folder / LISTS / f"{name}.txt"
    if not listing.is_file():
        return []
    stems = [Path(line.text.split()[0]).stem for line in read_lines(listing)]
    pairs = [(folder / PICTURES / f"{stem}.jpg", folder / maps / f"{stem}.png") for stem in stems]
    if missing := [file for pair in pairs for file in pair if not file.is_file()]:
        raise DataError(
            f"{listing} names {len(pairs)} pictures, but {missing[0].relative_to(folder)} and "
            f"{len(missing) - 1} other files are not there. Unpack the archive again."
        )
    return pairs


def _augmented(folder: Path, own: dict[str, list[Pair]]) -> list[Pair]:
    """Return VOC's own and SBD's pictures without those of val (DataError where SBD is not there)."""
    name = next((one for one in AUGMENTED_LISTS if (folder / LISTS / f"{one}.txt").is_file()), None)
    if name is not None and (folder / AUGMENTED).is_dir():
        val = {image for image, _ in own["val"]}
        return [pair for pair in _listed(folder, name, AUGMENTED) if pair[0] not in val]
    sbd = next((found for place in (folder, *folder.parents[:3]) if (found := sbd_folder(place))), None)
    if sbd is None:
        raise DataError(
            f"{folder}: train=aug needs {AUGMENTED}/ with SBD's class maps as PNG and {LISTS}/train_aug.txt, "
            "or SBD as released (benchmark_RELEASE/dataset/cls/*.mat) in a folder beside it. Leave "
            "?train=aug away to learn from VOC's own pictures."
        )
    return augmented(folder / PICTURES, sbd, own["train"], own["val"])


# ---------------------------------------------------------------- boxes


def has_boxes(root: Path) -> bool:
    """Return whether there are XML files of VOC's form with their pictures."""
    return _box_folders(root) is not None


def open_boxes(root: Path) -> LabelledObjects:
    """Read the boxes of VOC, or of a tool that writes XML files like these.

    Raises:
        DataError: a file is damaged, or no picture has one.
    """
    folders = _box_folders(root)
    if folders is None:
        raise DataError(f"{root} holds no {BOXES}/*.xml with {PICTURES}/ beside them.")
    pictures = {file.stem: file for file in files_with(folders[0], IMAGE_SUFFIXES)}
    files = [file for file in sorted(folders[1].glob("*.xml"), key=natural_key) if file.stem in pictures]
    contents = [_parsed(file) for file in files]
    names = _class_names(contents)
    kept = Kept()
    images = {
        file.stem: _image(pictures[file.stem], content, names, kept, file)
        for file, content in zip(files, contents, strict=True)
    }
    splits, said = with_all_splits(_by_list(folders[1].parent, images), root)
    return LabelledObjects(root, "boxes in XML (VOC)", names, splits, files, said + kept.sentences())


def _box_folders(root: Path) -> tuple[Path, Path] | None:
    """Return the folders of pictures and XML files."""
    year = year_folder(root, BOXES)
    pairs = [(year / PICTURES, year / BOXES)] if year else []
    pairs += [
        (root / images, root / boxes) for images in ("images", "") for boxes in ("annotations", BOXES, "")
    ]
    for pictures, boxes in pairs:
        first = next(boxes.glob("*.xml"), None) if pictures.is_dir() and boxes.is_dir() else None
        if first is not None and _is_of_voc(first):
            return pictures, boxes
    return None


def _is_of_voc(file: Path) -> bool:
    try:
        return re.search(rb"<annotation[\s>]", file.read_bytes()[:1000]) is not None  # CVAT: <annotations>
    except OSError:
        return False


def _parsed(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{file} is no XML that can be read ({error}). Export it again.") from error


def _class_names(contents: list[ElementTree.Element]) -> tuple[str, ...]:
    """Return the names that occur: VOC's own in its order where all are of these, else by name."""
    found = {
        name.strip()
        for content in contents
        for one in content.iter("object")
        if (name := one.findtext("name"))
    }
    return NAMES[1:] if found <= set(NAMES[1:]) else tuple(sorted(found))


def _by_list(folder: Path, images: dict[str, AnnotatedImage]) -> dict[str, list[AnnotatedImage]]:
    """Return the images by VOC's lists of the main task, ``all`` without any."""
    found = {}
    for split in ("train", "val"):
        listing = folder / "ImageSets" / "Main" / f"{split}.txt"
        stems = [line.text.split()[0] for line in read_lines(listing)] if listing.is_file() else []
        if there := [images[stem] for stem in stems if stem in images]:
            found[split] = there
    return found or {"all": list(images.values())}


def _image(
    picture: Path, content: ElementTree.Element, names: tuple[str, ...], kept: Kept, file: Path
) -> AnnotatedImage:
    objects: list[AnnotatedObject] = []
    first = 1 if "VOC" in (content.findtext("source/database") or "") else 0  # VOC counts pixels from 1
    for one in content.iter("object"):
        name = (one.findtext("name") or "").strip()
        try:
            x0, y0, x1, y1 = (float(one.findtext(f"bndbox/{side}") or "") for side in _SIDES)
        except ValueError as error:
            raise DataError(
                f"{file}: an object without a box (xmin, ymin, xmax, ymax). Mend or remove it."
            ) from error
        if name not in names:
            raise DataError(f"{file}: an object without a name. Mend or remove it.")
        box = np.array([x0 - first, y0 - first, x1, y1], np.float32)
        objects += kept.add(names.index(name), file, box=box)
    return AnnotatedImage(picture, tuple(objects), _size(content))


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _size(content: ElementTree.Element) -> tuple[int, int] | None:
    """Return (height, width) as the file says it, None where it says 0 or nothing."""
    sides = [(content.findtext(f"size/{side}") or "").strip() for side in ("height", "width")]
    if not all(side.isdecimal() and int(side) for side in sides):
        return None
    return int(sides[0]), int(sides[1])
