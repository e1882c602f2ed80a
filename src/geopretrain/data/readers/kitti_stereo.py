"""KITTI stereo 2015: rectified pairs with disparities of the left picture, measured by a LiDAR.

``training/image_2`` and ``image_3``, ``training/disp_occ_0`` (16-bit PNG, px x 256, 0 = unknown) and one file
of cameras for each picture in ``training/calib_cam_to_cam``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.readers.base import SourceClip, Unusable, each, files_with
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.depth_maps import (
    ACCUMULATED,
    KITTI_UNITS,
    depth_from_disparity,
    read_depth_png,
)
from geopretrain.data.readers.folder import ImageSequence, image_files, matched_by_name
from geopretrain.data.readers.kitti_calibration import calibrated_size, camera_of, matrix, read_calibration
from geopretrain.errors import DataError

DISPARITIES = ("disp_occ_0", "disp_occ")
_FIRST_FRAME = "_10"  # disparities belong to the first of two pictures


class KittiStereo(ImageSequence):
    """Pictures of one camera, of which there is one for each day of recording."""

    kind = "kitti_stereo"
    title = "a set of KITTI stereo pairs"
    ordered = False

    def __init__(self, folder: Path, name: str, files: Sequence[Path], camera_file: Path) -> None:
        super().__init__(name, files, path=folder)
        calibration = read_calibration(camera_file)
        projections = [matrix(calibration, f"P_rect_0{k}", (3, 4), camera_file) for k in (2, 3)]
        (left, to_left), (right, to_right) = (camera_of(projection) for projection in projections)
        motion = to_right @ np.linalg.inv(to_left)
        self._focal, self._baseline = float(left[0, 0]), float(-motion[0, 3])
        resize = fit_to_pictures(self, left, calibrated_size(calibration, "02", left))
        self.intrinsics = None if resize is None else resize @ left
        if (folder / "image_3").is_dir():
            pairs = matched_by_name(files, image_files(folder / "image_3"))
            self.add_stereo(pairs, motion, None if resize is None else resize @ right)
        maps = files_with(_disparities(folder), {".png"})
        self.add_depth(matched_by_name(files, maps), "kitti")
        self.depth_words = ACCUMULATED

    def read_depth(self, file: Path) -> np.ndarray:
        """Return depth (m) of a disparity map, whose values stay when somebody makes it smaller."""
        return depth_from_disparity(read_depth_png(file, KITTI_UNITS), self._focal, self._baseline)


def training_folder(root: Path, wanted: tuple[str, ...]) -> Path | None:
    """Return the folder with ``image_2`` and one of some others, which is called ``training`` as released."""
    for folder in (root / "training", root):
        if (folder / "image_2").is_dir() and any((folder / name).is_dir() for name in wanted):
            return folder
    return None


def open_kitti_stereo(root: Path) -> list[SourceClip | Unusable]:
    """Open the pictures that have a disparity, one clip for each camera; none where it is no such folder.

    Raises:
        DataError: no picture has a disparity, or the cameras are not there.
    """
    folder = training_folder(root, DISPARITIES)
    if folder is None:
        return []
    known = {file.name for file in files_with(_disparities(folder), {".png"})}
    pictures = [file for file in image_files(folder / "image_2") if f"{file.stem}.png" in known]
    if not pictures:
        raise DataError(
            f"{_disparities(folder)} holds no disparity of a picture in {folder / 'image_2'}: equal names "
            f"are expected, which end in {_FIRST_FRAME}.png."
        )
    groups = _by_camera(pictures, _camera_files(root, folder))
    several = len(groups) > 1
    names = {
        file: f"{root.name}/camera-{k}" if several else root.name for k, file in enumerate(groups, start=1)
    }
    return each(groups, lambda file: KittiStereo(folder, names[file], groups[file], file))


def _by_camera(pictures: Sequence[Path], places: Path) -> dict[Path, list[Path]]:
    """Return pictures that have the same cameras, by the first of their files."""
    found: dict[bytes, tuple[Path, list[Path]]] = {}
    for picture in pictures:
        file = places / f"{picture.stem.removesuffix(_FIRST_FRAME)}.txt"
        found.setdefault(_cameras_of(file), (file, []))[1].append(picture)
    return dict(found.values())


def _disparities(folder: Path) -> Path:
    return next(folder / name for name in DISPARITIES if (folder / name).is_dir())


def _cameras_of(file: Path) -> bytes:
    """Return what tells the cameras of one day from those of others."""
    calibration = read_calibration(file)
    return b"".join(matrix(calibration, f"P_rect_0{k}", (3, 4), file).tobytes() for k in (2, 3))


def _camera_files(root: Path, folder: Path) -> Path:
    """Return the folder of cameras: unpacked into the same one, or beside it as its archive is called."""
    other = root.parent / f"{root.name}_calib"
    places = [base / "calib_cam_to_cam" for base in (folder, other / "training", other)]
    if found := next((place for place in places if place.is_dir()), None):
        return found
    raise DataError(
        f"{folder} has disparities, but no calib_cam_to_cam/ that makes depth of them. Unpack the "
        f"calibration files (data_scene_flow_calib.zip) into {root}."
    )
