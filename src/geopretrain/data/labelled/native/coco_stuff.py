"""COCO-Stuff's class maps of pixels: ``stuffthingmaps/train2017/*.png`` beside the pictures of COCO.

Ids are those of COCO's categories less 1, from 0 to 181 (11 of them never occur); 255 is unlabelled. Names
come from ``labels.txt`` of the data set, whose ids count from 1, where it is there.
"""

from __future__ import annotations

import re
from pathlib import Path

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.classes import ClassList
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.readers.base import files_with
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

MAPS, LIST, CLASSES = "stuffthingmaps", "labels.txt", 182
ABSENT = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Ids that COCO has left out."""


def maps_folder(path: Path) -> Path | None:
    """Return the folder of maps at or in a place."""
    places = [path] if path.name == MAPS else [path / MAPS, path / "annotations" / MAPS]
    return next((place for place in places if next(place.glob("*2017/*.png"), None)), None)


def open_maps(path: Path) -> LabelledPairs:
    """Read the maps of 171 classes (DataError where no picture is there)."""
    folder = maps_folder(path)
    if folder is None:
        raise DataError(f"{path} holds no {MAPS}/ with train2017/ and val2017/.")
    above = folder.parent.parent if folder.parent.name == "annotations" else folder.parent
    found: dict[str, list[Pair]] = {}
    missing = 0
    for split in ("train", "val"):
        name = f"{split}2017"
        bases = [above / name, above / "images" / name]
        pictures = {file.stem: file for base in bases for file in files_with(base, {".jpg"}) if base.is_dir()}
        maps = sorted((folder / name).glob("*.png"))
        missing += sum(file.stem not in pictures for file in maps)
        if pairs := [(pictures[file.stem], file) for file in maps if file.stem in pictures]:
            found[split] = pairs
    if not found:
        raise DataError(f"{above}: none of the pictures is there that {folder} has maps of (train2017.zip).")
    splits, said = with_all_splits(found, above)
    said += (f"{missing} maps have no picture and are left out",) if missing else ()
    return LabelledPairs(above, "COCO-Stuff", _classes(folder, above), splits, said)


def _classes(folder: Path, above: Path) -> ClassList:
    listing = next((place / LIST for place in (folder, above) if (place / LIST).is_file()), None)
    listed = _names(listing) if listing else {}
    kept = [number for number in range(CLASSES) if number not in ABSENT]
    names = tuple(listed.get(number + 1, f"category {number + 1}") for number in kept)
    ids = dict.fromkeys(ABSENT, IGNORE) | {number: place for place, number in enumerate(kept)}
    return ClassList(names, class_palette(len(names)), False, ids)


def _names(listing: Path) -> dict[int, str]:
    """Read lines ``1: person`` (DataError)."""
    found = {}
    for number, text in read_lines(listing):
        match = re.fullmatch(r"(\d+)\s*:\s*(\S.*)", text)
        if match is None:
            raise DataError(f"{listing}, line {number}: '{text}' is not 'id: name'.")
        found[int(match[1])] = match[2]
    return found
