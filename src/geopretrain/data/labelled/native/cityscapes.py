"""Cityscapes' fine labels: ``gtFine/SPLIT/CITY/*_gtFine_labelIds.png``, pictures in ``leftImg8bit``.

Depth comes from ``disparity`` and ``camera`` where these are there for every picture. The test split is left
out, as its labels are not published.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.labelled.classes import ClassList
from geopretrain.data.labelled.depth_pairs import DepthFiles
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.street_classes import drawn_classes, trained_classes
from geopretrain.data.readers.base import files_with
from geopretrain.data.readers.cityscapes import read_camera, read_disparity
from geopretrain.data.readers.depth_maps import depth_from_disparity
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.errors import DataError
from geopretrain.wording import those

PICTURES, LABELS = "leftImg8bit", "gtFine"
KINDS: dict[str, Callable[[], ClassList]] = {
    "labelIds": drawn_classes,
    "labelTrainIds": trained_classes,
    "color": drawn_classes,
}
"""What a label file holds, by the end of its name, the best first."""


def has_fine_labels(root: Path) -> bool:
    """Return whether there are fine labels of Cityscapes."""
    return next((root / LABELS).glob("*/*/*_gtFine_*.png"), None) is not None


def open_fine_labels(root: Path) -> LabelledPairs:
    """Read pictures with fine labels of 19 classes, and depth where disparities and cameras are there.

    Raises:
        DataError: there are no pictures, or none of them has a label.
    """
    kind = next((one for one in KINDS if next((root / LABELS).glob(f"*/*/*_gtFine_{one}.png"), None)), None)
    if kind is None:
        raise DataError(
            f"{root / LABELS} holds no label that can be read: files that end in _gtFine_labelIds.png are "
            "expected (gtFine_trainvaltest.zip)."
        )
    if not (root / PICTURES).is_dir():
        raise DataError(
            f"{root} holds {LABELS}/, but no {PICTURES}/ with the pictures. Unpack "
            f"{PICTURES}_trainvaltest.zip into the same folder."
        )
    found, warnings = _pairs(root, kind)
    splits, said = with_all_splits(found, root)
    if kind == "color":
        said += ("labels are colours, looked up in the colours of Cityscapes",)
    depth = _depth(root, [image for pairs in splits.values() for image, _ in pairs])
    return LabelledPairs(root, "Cityscapes", KINDS[kind](), splits, warnings + said, depth)


def _pairs(root: Path, kind: str) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
    """Return the pictures with their labels, and how many have none."""
    found: dict[str, list[Pair]] = {}
    missing: list[Path] = []
    for split in ("train", "val"):
        folder = root / PICTURES / split
        pictures = [p for city in sorted(folder.glob("*/")) for p in files_with(city, IMAGE_SUFFIXES)]
        for picture in sorted(pictures, key=natural_key):
            label = _beside(root, picture, LABELS, f"_gtFine_{kind}.png")
            if label.is_file():
                found.setdefault(split, []).append((picture, label))
            else:
                missing.append(picture)
    if not found:
        example = f", {missing[0].name} for example" if missing else ""
        raise DataError(
            f"{root}: no picture of train and val in {PICTURES}/ has a label in {LABELS}/{example}."
        )
    if not missing:
        return found, ()
    unlabelled = those(len(missing), "picture", "has", "have")
    return found, (f"{unlabelled} no label: left out, {missing[0].name} for example",)


def _beside(root: Path, picture: Path, folder: str, ending: str) -> Path:
    """Return the file of a picture in another folder of the data set."""
    stem = picture.stem.removesuffix(f"_{PICTURES}")
    return root / folder / picture.parent.parent.name / picture.parent.name / f"{stem}{ending}"


def _depth(root: Path, pictures: list[Path]) -> DepthFiles | None:
    """Return how depth is read, None where a disparity or a camera is missing."""
    disparities = {one: _beside(root, one, "disparity", "_disparity.png") for one in pictures}
    cameras = {disparities[one]: _beside(root, one, "camera", "_camera.json") for one in pictures}
    if not all(file.is_file() for file in (*disparities.values(), *cameras.values())):
        return None

    def read(file: Path) -> np.ndarray:
        intrinsics, baseline = read_camera(cameras[file])
        return depth_from_disparity(read_disparity(file), float(intrinsics[0, 0]), baseline)

    return DepthFiles(disparities, read)
