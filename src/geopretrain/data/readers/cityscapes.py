"""Cityscapes: ``leftImg8bit_sequence`` (or ``leftImg8bit``) by split and city, with ``rightImg8bit*``,
``disparity*`` (16-bit PNG) and ``camera`` (json) beside it.

One clip per city; a snippet of 30 frames begins wherever the frame number does not follow on. Disparity of
value p > 0 is (p - 1) / 256 px, as the data set says.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key, without_clutter
from geopretrain.data.readers.base import SourceClip, Unusable, each, files_with, short_name
from geopretrain.data.readers.calibrated import nominal_size
from geopretrain.data.readers.depth_maps import depth_from_disparity, read_grey16
from geopretrain.data.readers.folder import (
    ImageSequence,
    image_files,
    matched_by_name,
    motion_to_the_right,
)
from geopretrain.data.spec import one_of_these, place_of, refuse_unknown
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError

CAMERA_FPS = 17.0
PICTURE_SIZE = (1024, 2048)
LEFT_FOLDERS = ("leftImg8bit_sequence", "leftImg8bit")
_SPLITS_LEFT_OUT = {"test", "demoVideo"}
SPLITS = ("train", "train_extra", "val", "test")


class CityscapesCity(ImageSequence):
    """The left camera in one city of one split."""

    kind = "cityscapes"
    title = "a Cityscapes city"

    def __init__(self, city: Path, name: str) -> None:
        files = image_files(city)
        super().__init__(name, files, path=city)
        numbers = [_number(file) for file in files]
        self._gaps = {i + 1 for i, (a, b) in enumerate(pairwise(numbers)) if b != (a[0], a[1] + 1)}
        self.fps = CAMERA_FPS if len(self._gaps) < len(files) - 1 else None
        root, place = city.parents[2], (city.parent.name, city.name)
        cameras = matched_by_name(files, _beside(root, ("camera",), place, ".json"), _frame_name)
        if not cameras:
            self.warnings.append("camera/ is not there: intrinsics, stereo and disparity cannot be used.")
            return
        calibrated, self._baseline = read_camera(cameras[min(cameras)])
        self.use_camera(calibrated, nominal_size(calibrated, PICTURE_SIZE))
        right = _beside(root, ("rightImg8bit_sequence", "rightImg8bit"), place, ".png")
        if pairs := matched_by_name(files, right, _frame_name):
            motion = motion_to_the_right(self._baseline)
            self.add_stereo(pairs, motion, None if self.intrinsics is None else self.intrinsics.copy())
        disparities = _beside(root, ("disparity_sequence", "disparity"), place, ".png")
        self._focal = float(calibrated[0, 0])  # of the pictures as released, in whose px disparities are
        self.add_depth(matched_by_name(files, disparities, _frame_name), "dense")

    def read_depth(self, file: Path) -> np.ndarray:
        """Return depth (m) of a disparity map, 0 where it is unknown."""
        return depth_from_disparity(read_disparity(file), self._focal, self._baseline)


def read_disparity(file: Path) -> np.ndarray:
    """Return ``H W`` px, (p - 1) / 256; 0 and 65535 are unknown (DataError)."""
    values = read_grey16(file).astype(np.float32)
    return np.where((values > 0) & (values < 65535), (values - 1) / 256, np.float32(0))


def read_camera(file: Path) -> tuple[np.ndarray, float]:
    """Return intrinsics (``3 3`` px) and baseline (m) of a camera file (DataError where they are missing)."""
    try:
        content = json.loads(read_text(file))
        camera = content["intrinsic"]
        fx, fy, cx, cy = (float(camera[name]) for name in ("fx", "fy", "u0", "v0"))
        baseline = float(content["extrinsic"]["baseline"])
    except (DataError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} is no camera file of Cityscapes: intrinsic (fx, fy, u0, v0) and extrinsic (baseline) "
            "were expected."
        ) from error
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), baseline


def open_cityscapes(spec: str) -> list[SourceClip | Unusable]:
    """Return the cities at a path, and behind it of which split: ``cityscapes?split=val``.

    Raises:
        DataError: the data set is there, and nothing of the split.
        ConfigError: another option, or no such split.
    """
    path = place_of(spec)
    if not path.is_dir() or not (find_cities(path) or find_cities(path, "test")):
        return []
    refuse_unknown(spec, ("split",))
    split = one_of_these(spec, "split", SPLITS)
    cities = find_cities(path, split)
    if split is not None and not cities:
        raise DataError(f"{path} has no pictures of the split '{split}': {LEFT_FOLDERS[0]}/{split}/CITY.")
    return each(cities, lambda city: CityscapesCity(city, short_name(city, path)))


def find_cities(path: Path, split: str | None = None) -> list[Path]:
    """Return the city folders below a Cityscapes folder, of one split, or of all but the test split.

    Sequences are preferred; the single annotated frames serve where there are none.
    """
    root = path.parent if path.name in LEFT_FOLDERS else path
    for name in LEFT_FOLDERS:
        cities = [
            city
            for city in without_clutter((root / name).glob("*/*"), root)
            if city.is_dir() and _is_of(city.parent.name, split)
        ]
        if cities := [c for c in cities if image_files(c)]:
            return sorted(cities, key=lambda c: (c.parent.name, natural_key(c)))
    return []


def _is_of(name: str, split: str | None) -> bool:
    return name not in _SPLITS_LEFT_OUT if split is None else name == split


def _beside(root: Path, folders: tuple[str, ...], place: tuple[str, str], suffix: str) -> list[Path]:
    """Return the files of a split and city in the first of some folders that has any."""
    for folder in folders:
        if files := sorted(files_with(root.joinpath(folder, *place), {suffix})):
            return files
    return []


def _frame_name(stem: str) -> str:
    """Return ``aachen_000000_000019`` of ``aachen_000000_000019_leftImg8bit``."""
    return stem.rsplit("_", 1)[0]


def _number(file: Path) -> tuple[str, int]:
    """Return the sequence (``aachen_000000``) and the frame number (19)."""
    sequence, _, frame = _frame_name(file.stem).rpartition("_")
    if not frame.isdigit():
        raise DataError(f"{file} is not named as in Cityscapes (CITY_SEQUENCE_FRAME_leftImg8bit.png).")
    return sequence, int(frame)
