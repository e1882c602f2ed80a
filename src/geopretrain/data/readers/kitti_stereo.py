"""KITTI stereo 2015 and 2012: rectified pairs with disparities of the left picture, measured by a LiDAR.

2015: ``training/image_2`` and ``image_3``, ``training/disp_occ_0`` (16-bit PNG, px x 256, 0 = unknown) and
one file of cameras for each picture in ``training/calib_cam_to_cam``. 2012: ``training/colored_0`` and
``colored_1`` (else ``image_0`` and ``image_1``, grey), ``training/disp_occ`` and ``training/calib``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

_FIRST_FRAME = "_10"  # disparities belong to the first of two pictures


@dataclass(frozen=True)
class _Release:
    """What a data set is called in its archives.

    Attributes:
        left: folder of the pictures that have a disparity.
        right: folder of the others.
        disparities: folders of them, the first that is there counts.
        cameras: folder of the calibration.
        projections: lines of the left and the right camera in its files.
        archive: that it comes in.
    """

    left: str
    right: str
    disparities: tuple[str, ...]
    cameras: str
    projections: tuple[str, str]
    archive: str

    def disparity_folder(self, folder: Path) -> Path:
        return next(folder / name for name in self.disparities if (folder / name).is_dir())


_OF_2015 = _Release(
    *("image_2", "image_3", ("disp_occ_0", "disp_occ"), "calib_cam_to_cam"),
    *(("P_rect_02", "P_rect_03"), "data_scene_flow_calib.zip"),
)
_OF_2012 = _Release(
    *("colored_0", "colored_1", ("disp_occ",), "calib", ("P0", "P1"), "data_stereo_flow_calib.zip")
)
_RELEASES = (_OF_2015, _OF_2012, replace(_OF_2012, left="image_0", right="image_1"))


class KittiStereo(ImageSequence):
    """Pictures of one camera, of which there is one for each day of recording."""

    kind = "kitti_stereo"
    title = "a set of KITTI stereo pairs"
    ordered = False

    def __init__(
        self, release: _Release, folder: Path, name: str, files: Sequence[Path], camera_file: Path
    ) -> None:
        super().__init__(name, files, path=folder)
        calibration = read_calibration(camera_file)
        projections = [matrix(calibration, line, (3, 4), camera_file) for line in release.projections]
        (left, to_left), (right, to_right) = (camera_of(projection) for projection in projections)
        motion = to_right @ np.linalg.inv(to_left)
        self._focal, self._baseline = float(left[0, 0]), float(-motion[0, 3])
        resize = fit_to_pictures(self, left, calibrated_size(calibration, "02", left))
        self.intrinsics = None if resize is None else resize @ left
        if (folder / release.right).is_dir():
            pairs = matched_by_name(files, image_files(folder / release.right))
            self.add_stereo(pairs, motion, None if resize is None else resize @ right)
        maps = files_with(release.disparity_folder(folder), {".png"})
        self.add_depth(matched_by_name(files, maps), "kitti")
        self.depth_words = ACCUMULATED

    def read_depth(self, file: Path) -> np.ndarray:
        """Return depth (m) of a disparity map, whose values stay when somebody makes it smaller."""
        return depth_from_disparity(read_depth_png(file, KITTI_UNITS), self._focal, self._baseline)


def training_folder(root: Path, wanted: tuple[str, ...], pictures: str = "image_2") -> Path | None:
    """Return the folder with pictures and one of some others, which is called ``training`` as released."""
    for folder in (root / "training", root):
        if (folder / pictures).is_dir() and any((folder / name).is_dir() for name in wanted):
            return folder
    return None


def open_kitti_stereo(root: Path) -> list[SourceClip | Unusable]:
    """Open the pictures that have a disparity, one clip for each camera; none where it is no such folder.

    Raises:
        DataError: no picture has a disparity, or the cameras are not there.
    """
    found = {one: training_folder(root, one.disparities, one.left) for one in _RELEASES}
    there = {one: folder for one, folder in found.items() if folder is not None}
    if _OF_2012 in there:
        there.pop(_RELEASES[-1], None)  # the same pictures in grey
    if len(there) > 1 and _OF_2015.disparity_folder(there[_OF_2015]).name in _OF_2012.disparities:
        del there[_OF_2015]  # image_2 is of another benchmark
    groups = {
        (file, release): files
        for release, folder in there.items()
        for file, files in _by_camera(
            _pictures(release, folder), _camera_files(release, root, folder), release
        ).items()
    }
    several = len(groups) > 1
    clips = {
        file: (release, there[release], f"{root.name}/camera-{k}" if several else root.name, files)
        for k, ((file, release), files) in enumerate(groups.items(), start=1)
    }
    return each(clips, lambda file: KittiStereo(*clips[file], file))


def _pictures(release: _Release, folder: Path) -> list[Path]:
    """Return the pictures that have a disparity (DataError where there is none)."""
    disparities = release.disparity_folder(folder)
    known = {file.name for file in files_with(disparities, {".png"})}
    if pictures := [file for file in image_files(folder / release.left) if f"{file.stem}.png" in known]:
        return pictures
    raise DataError(
        f"{disparities} holds no disparity of a picture in {folder / release.left}: equal names are "
        f"expected, which end in {_FIRST_FRAME}.png."
    )


def _by_camera(pictures: Sequence[Path], places: Path, release: _Release) -> dict[Path, list[Path]]:
    """Return pictures that have the same cameras, by the first of their files."""
    found: dict[bytes, tuple[Path, list[Path]]] = {}
    for picture in pictures:
        file = places / f"{picture.stem.removesuffix(_FIRST_FRAME)}.txt"
        found.setdefault(_cameras_of(file, release), (file, []))[1].append(picture)
    return dict(found.values())


def _cameras_of(file: Path, release: _Release) -> bytes:
    """Return what tells the cameras of one day from those of others."""
    calibration = read_calibration(file)
    return b"".join(matrix(calibration, line, (3, 4), file).tobytes() for line in release.projections)


def _camera_files(release: _Release, root: Path, folder: Path) -> Path:
    """Return the folder of cameras: unpacked into the same one, or beside it as its archive is called."""
    other = root.parent / f"{root.name}_calib"
    places = [base / release.cameras for base in (folder, other / "training", other)]
    if found := next((place for place in places if place.is_dir()), None):
        return found
    raise DataError(
        f"{folder} has disparities, but no {release.cameras}/ that makes depth of them. Unpack the "
        f"calibration files ({release.archive}) into {root}."
    )
