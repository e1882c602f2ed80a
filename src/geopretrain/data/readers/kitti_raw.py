"""KITTI raw: rectified drives of the left colour camera, the right one for stereo, LiDAR depth.

Layout: ``DATE/DATE_drive_NNNN_sync/image_02/data/*.png|jpg`` with ``DATE/calib_cam_to_cam.txt``; right images
are in ``image_03/data``. Depth comes from ``proj_depth/velodyne_raw/image_02/*.png`` (metres x 256) or from
``velodyne_points/data/*.bin`` projected here; ``proj_depth/groundtruth`` is used where there is neither.
Which of them, and which drives and frames, may stand behind the path, see `open_kitti_raw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import SourceClip, Unusable, each, files_with, found_below
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.depth_maps import ACCUMULATED, KITTI_UNITS, SINGLE, read_depth_png
from geopretrain.data.readers.folder import ImageSequence, image_files, matched_by_name
from geopretrain.data.readers.kitti_calibration import (
    calibrated_size,
    camera_of,
    matrix,
    read_calibration,
    rigid,
)
from geopretrain.data.readers.kitti_splits import KittiSplit, find_split, frame_key
from geopretrain.data.readers.velodyne import project_lidar, read_scan
from geopretrain.data.spec import one_of_these, options_of, place_of, refuse_unknown
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError

NOMINAL_FPS = 10.0
CALIBRATION = "calib_cam_to_cam.txt"
MAPS = Path("proj_depth", "groundtruth", "image_02")
"""Where a drive has its accumulated scans."""
Truth = Literal["raw", "released", "improved"]
TRUTHS: tuple[Truth, ...] = ("raw", "released", "improved")
_ANNOTATED = ("", "train/", "val/", "*/", "*/train/", "*/val/")
"""Where data_depth_annotated.zip may be unpacked, seen from the folders above a drive."""


class KittiDrive(ImageSequence):
    """One synchronised drive, left colour camera."""

    kind = "kitti_raw"
    title = "a KITTI raw drive"

    def __init__(self, drive: Path, name: str, truth: Truth | None = None) -> None:
        """Open a drive.

        Args:
            drive: its folder.
            name: of the clip.
            truth: what depth is: single scans (``raw``), these as in the ground truth of published numbers
                (``released``, see `project_lidar`), or accumulated ones (``improved``, Uhrig et al. 2017);
                None: single scans, accumulated ones where there are none.
        """
        self.drive, self.truth = drive, truth
        self._calibration_file = drive.parent / CALIBRATION
        self.calibration = read_calibration(self._calibration_file)
        projection = self._projection("02")
        files = image_files(drive / "image_02" / "data")
        super().__init__(name, files, path=drive, fps=NOMINAL_FPS)
        size = calibrated_size(self.calibration, "02", projection[:, :3])
        self._resize = fit_to_pictures(self, projection[:, :3], size)
        if self._resize is not None:
            self.intrinsics, _ = camera_of(self._resize @ projection)
        stamps = _read_timestamps(drive / "image_02" / "timestamps.txt")
        self._timestamps = None if stamps is None or len(stamps) != len(files) else stamps
        if stamps is not None and len(stamps) > len(files):
            self.warnings.append(f"{len(files)} of {len(stamps)} pictures of timestamps.txt are there.")
        if self._timestamps is not None and len(files) > 1:
            self.fps = float(1 / np.median(np.diff(self._timestamps)))
        self._velo_to_rect = self._velodyne_to_rectified()
        self.add_depth(self._depth_files(), "kitti")
        right = drive / "image_03" / "data"
        if right.is_dir():
            self._add_right_camera(right)

    def time(self, index: int) -> float | None:
        """Return seconds since the first frame, from timestamps.txt or 10 frames/s."""
        return float(self._timestamps[index]) if self._timestamps is not None else super().time(index)

    def read_depth(self, file: Path) -> np.ndarray:
        """Return sparse LiDAR depth, float32 ``H W`` metres, 0 = no measurement."""
        if file.suffix.lower() == ".png":
            return read_depth_png(file, KITTI_UNITS)
        return self.project(file, as_released=self.truth == "released")

    def select(self, split: KittiSplit) -> int:
        """Learn from and score some frames only; return how many of those that are listed are there."""
        self.listed_stride = 1 if split.neighbours else None
        if split.frames is None:
            return 0
        keys = [frame_key(self.drive.name, file.stem) for file in self.files]
        self.listed = frozenset(index for index, key in enumerate(keys) if key in split.frames)
        return len(self.listed)

    def project(self, scan: Path, *, as_released: bool = False) -> np.ndarray:
        """Return a Velodyne scan (.bin) as depth of the left camera, see `project_lidar`."""
        if self._velo_to_rect is None:
            day = self.drive.parent
            raise DataError(
                f"{scan} cannot be projected: calib_velo_to_cam.txt or R_rect_00 is missing in {day}."
            )
        return project_lidar(read_scan(scan), self._velo_to_rect, self.size, as_released=as_released)

    def _projection(self, camera: str) -> np.ndarray:
        return matrix(self.calibration, f"P_rect_{camera}", (3, 4), self._calibration_file)

    def _add_right_camera(self, folder: Path) -> None:
        _, to_left = camera_of(self._projection("02"))
        intrinsics, to_right = camera_of(self._projection("03"))
        pairs = matched_by_name(self.files, image_files(folder))
        right = None if self._resize is None else self._resize @ intrinsics
        self.add_stereo(pairs, to_right @ np.linalg.inv(to_left), right)

    def _depth_files(self) -> dict[int, Path]:
        """Return the depth of each frame: projected or raw scans, or accumulated ones, see `Truth`."""
        self.depth_words = ACCUMULATED if self.truth == "improved" else SINGLE
        if self.truth == "improved":
            return matched_by_name(self.files, accumulated_maps(self.drive))
        maps: dict[int, Path] = {}
        if self.truth == "released":
            self.depth_words = f"{SINGLE}, projected as in the released ground truth"
        else:
            projected = files_with(self.drive / "proj_depth" / "velodyne_raw" / "image_02", {".png"})
            maps = matched_by_name(self.files, projected)
        if self._velo_to_rect is not None:
            scans = files_with(self.drive / "velodyne_points" / "data", {".bin"})
            maps = matched_by_name(self.files, scans) | maps
        if maps or self.truth is not None:
            return maps
        maps = matched_by_name(self.files, files_with(self.drive / MAPS, {".png"}))
        if maps:
            self.depth_words = ACCUMULATED
            self.warnings.append("Depth is that of accumulated scans (proj_depth/groundtruth).")
        return maps

    def _velodyne_to_rectified(self) -> np.ndarray | None:
        """Return P_rect_02 * R_rect_00 * [R|T], ``3 4``; None where a calibration is missing."""
        file = self.drive.parent / "calib_velo_to_cam.txt"
        if not file.is_file() or "R_rect_00" not in self.calibration or self._resize is None:
            return None
        velo = read_calibration(file)
        to_camera = rigid(matrix(velo, "R", (3, 3), file), matrix(velo, "T", (3,), file))
        rectify = rigid(matrix(self.calibration, "R_rect_00", (3, 3), self._calibration_file), np.zeros(3))
        return self._resize @ self._projection("02") @ rectify @ to_camera


def find_drives(path: Path) -> list[Path]:
    """Return the drives at, one or two levels below a folder, in natural order."""
    found = {data.parent.parent for data in found_below(path, "image_02/data") if data.is_dir()}
    drives = [d for d in found if (d.parent / CALIBRATION).is_file() and image_files(d / "image_02" / "data")]
    return sorted(drives, key=natural_key)


def open_kitti_raw(spec: str) -> Sequence[SourceClip | Unusable]:
    """Return the drives at a path, and behind it which: ``kitti?split=eigen-test&depth=improved``.

    Args:
        spec: ``split`` names a split or a list of frames (`find_split`), ``depth`` is one of ``TRUTHS``.

    Raises:
        DataError: nothing there is of the split, or has the depth asked for.
        ConfigError: another option or value.
    """
    drives = find_drives(place_of(spec))
    if not drives:
        return []
    refuse_unknown(spec, ("split", "depth"))
    one_of_these(spec, "depth", TRUTHS)
    truth = next((one for one in TRUTHS if one == options_of(spec).get("depth")), None)
    name = options_of(spec).get("split")
    split = None if name is None else find_split(name)
    if split is not None:
        drives = _of_split(drives, split)
    found = each(drives, lambda drive: KittiDrive(drive, drive.name, truth))
    found += _without_calibration(place_of(spec), split)
    clips = [clip for clip in found if isinstance(clip, KittiDrive)]
    if truth is not None and clips and not any(clip.has_depth for clip in clips):
        raise DataError(f"{place_of(spec)} has no {_WHAT[truth]}")
    if split is not None and clips:
        _select(clips, split)
    return found


_WHAT = {
    "raw": "LiDAR: no velodyne_points/data/*.bin (with calib_velo_to_cam.txt), no proj_depth/velodyne_raw.",
    "released": "raw LiDAR scans: no velodyne_points/data/*.bin with calib_velo_to_cam.txt.",
    "improved": "accumulated LiDAR: no DRIVE/proj_depth/groundtruth/image_02 in it, or in train/ and val/ "
    "of a folder beside it. Unpack data_depth_annotated.zip there.",
}
"""What is missing where no drive has the depth that was asked for."""


def _without_calibration(path: Path, split: KittiSplit | None) -> list[SourceClip | Unusable]:
    """Return the drives of days whose calibration is not there."""
    bare = {data.parent.parent for data in found_below(path, "*_sync/image_02/data") if data.is_dir()}
    bare = {drive for drive in bare if not (drive.parent / CALIBRATION).is_file()}
    return [
        Unusable(
            str(drive),
            f"{drive.name}: {drive.parent / CALIBRATION} is not there (in {drive.parent.name}_calib.zip).",
        )
        for drive in sorted(bare, key=natural_key)
        if split is None or drive.name in split.drives
    ]


def _of_split(drives: list[Path], split: KittiSplit) -> list[Path]:
    chosen = [drive for drive in drives if drive.name in split.drives]
    if not chosen:
        raise DataError(
            f"None of the {len(drives)} drives here, such as {drives[0].name}, is of the split "
            f"'{split.name}', which has {min(split.drives)} and {len(split.drives) - 1} others."
        )
    return chosen


def _select(clips: Sequence[KittiDrive], split: KittiSplit) -> None:
    """Select the frames of a split in its drives, and say how much of it is not there."""
    there = sum(clip.select(split) for clip in clips)
    wanted, what = (len(split.drives), "drives") if split.frames is None else (len(split.frames), "frames")
    count = len(clips) if split.frames is None else there
    if count < wanted:
        clips[0].warnings.append(f"{count} of {wanted} {what} of the split '{split.name}' are there.")


def accumulated_maps(drive: Path) -> list[Path]:
    """Return the accumulated scans of a drive, which are often unpacked into a folder of their own."""
    for above in drive.parents[:3]:
        for place in _ANNOTATED:
            for folder in above.glob(f"{place}{drive.name}/{MAPS}"):
                if maps := files_with(folder, {".png"}):
                    return maps
    return []


def _read_timestamps(path: Path) -> np.ndarray | None:
    """Return seconds since the first line; None without the file, or where it holds something else."""
    if not path.is_file():
        return None
    lines = read_text(path, "replace").split("\n")
    try:
        stamps = [datetime.fromisoformat(line.strip()[:26]) for line in lines if line.strip()]
    except ValueError:
        return None
    return np.array([(stamp - stamps[0]).total_seconds() for stamp in stamps]) if stamps else None
