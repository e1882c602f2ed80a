"""KITTI's small benchmarks: semantics (200 labelled pictures) and stereo 2015 (200 disparity maps).

Semantics: ``training/image_2``, ``training/semantic`` with the ids of Cityscapes. Stereo and flow 2015:
``training/image_2``, ``training/disp_occ_0`` (16-bit PNG, px x 256), ``training/calib_cam_to_cam``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.labelled.depth_pairs import DepthFiles, LabelledDepth
from geopretrain.data.labelled.pairing import paired
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.street_classes import drawn_classes
from geopretrain.data.readers.depth_maps import KITTI_UNITS, depth_from_disparity, read_depth_png
from geopretrain.data.spec import place_of, whole_number
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError

LABELS = ("semantic", "semantic_rgb")
DISPARITIES = ("disp_occ_0", "disp_occ")
_FIRST_FRAME = "_10"  # disparities belong to the first of two pictures


def training_folder(root: Path, wanted: tuple[str, ...]) -> Path | None:
    """Return the folder with ``image_2`` and one of some others, which is called ``training`` as released."""
    for folder in (root / "training", root):
        if (folder / "image_2").is_dir() and any((folder / name).is_dir() for name in wanted):
            return folder
    return None


def open_semantics(spec: str) -> LabelledPairs:
    """Read the 200 labelled pictures of KITTI semantics.

    The data set has no split of its own. ``PATH?train=16`` makes the one of Lao et al.: the first pictures
    are train, all others test (and val, for the method has none).

    Raises:
        DataError: a picture has no label.
        ConfigError: ``train`` is no number of pictures that leaves some for testing.
    """
    root, first = place_of(spec), whole_number(spec, "train")
    folder = training_folder(root, LABELS)
    if folder is None:
        raise DataError(f"{root} holds no training/image_2 with training/semantic beside it.")
    labels = next(folder / name for name in LABELS if (folder / name).is_dir())
    pairs = paired(folder / "image_2", labels)
    splits, said = _first_ones(pairs, first, spec) if first else with_all_splits({"all": pairs}, root)
    if labels.name == LABELS[1]:
        said += ("labels are colours (semantic_rgb), looked up in the colours of Cityscapes",)
    return LabelledPairs(root, "KITTI semantics", drawn_classes(), splits, said)


def _first_ones(pairs: list[Pair], count: int, spec: str) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
    if count >= len(pairs):
        raise DataError(f"'{spec}': of {len(pairs)} pictures, {count} for training leave none for testing.")
    rest = pairs[count:]
    said = f"the first {count} are train and all others test, as Lao et al. did"
    return {"train": pairs[:count], "val": rest, "test": rest}, (said,)


def open_stereo(spec: str) -> LabelledDepth:
    """Read the pictures of KITTI stereo 2015 (or 2012) with depth from their disparities.

    Raises:
        DataError: no picture has a disparity, or the calibration is not there.
    """
    root = place_of(spec)
    folder = training_folder(root, DISPARITIES)
    if folder is None:
        raise DataError(f"{root} holds no training/image_2 with training/disp_occ_0 beside it.")
    maps = next(folder / name for name in DISPARITIES if (folder / name).is_dir())
    pictures = sorted((folder / "image_2").glob(f"*{_FIRST_FRAME}.png"))
    files = {picture: maps / picture.name for picture in pictures if (maps / picture.name).is_file()}
    if not files:
        raise DataError(f"{maps} holds no disparity of a picture in {folder / 'image_2'}.")
    calibrations = _calibrations(root, folder)

    def read(file: Path) -> np.ndarray:
        focal, baseline = _camera(calibrations / f"{file.stem.removesuffix(_FIRST_FRAME)}.txt")
        return depth_from_disparity(read_depth_png(file, KITTI_UNITS), focal, baseline)

    splits, said = with_all_splits({"all": list(files)}, root)
    return LabelledDepth(root, "KITTI stereo", splits, DepthFiles(files, read), said)


def _calibrations(root: Path, folder: Path) -> Path:
    """Return the folder of cameras: unpacked into the same one, or beside it as its archive is called."""
    other = root.parent / f"{root.name}_calib"
    places = [base / "calib_cam_to_cam" for base in (folder, other / "training", other)]
    if found := next((place for place in places if place.is_dir()), None):
        return found
    raise DataError(
        f"{folder} has disparities, but no calib_cam_to_cam/ that makes depth of them. Unpack the "
        f"calibration files (data_scene_flow_calib.zip) into {root}."
    )


def _camera(file: Path) -> tuple[float, float]:
    """Return focal length (px) and baseline (m) of the colour cameras 2 and 3."""
    rows = dict(line.text.split(":", 1) for line in read_lines(file) if ":" in line.text)
    try:
        left, right = (np.array(rows[f"P_rect_0{k}"].split(), float).reshape(3, 4) for k in (2, 3))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{file} is no calibration of KITTI: P_rect_02 and P_rect_03 were expected."
        ) from error
    return float(left[0, 0]), float((left[0, 3] - right[0, 3]) / left[0, 0])
