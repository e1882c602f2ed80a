"""KITTI raw: rectified drives of the left colour camera, the right one for stereo, LiDAR depth.

Layout: ``DATE/DATE_drive_NNNN_sync/image_02/data/*.png|jpg`` with ``DATE/calib_cam_to_cam.txt``; right images
are in ``image_03/data``. Depth comes from ``proj_depth/velodyne_raw/image_02/*.png`` (metres x 256) or from
``velodyne_points/data/*.bin`` projected here; ``proj_depth/groundtruth`` is used where there is neither.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import files_with, found_below
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.depth_maps import KITTI_UNITS, read_depth_png
from geopretrain.data.readers.folder import ImageSequence, image_files, matched_by_name
from geopretrain.data.readers.kitti_calibration import (
    calibrated_size,
    camera_of,
    matrix,
    read_calibration,
    rigid,
)
from geopretrain.data.readers.velodyne import project_lidar, read_scan
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError

NOMINAL_FPS = 10.0


class KittiDrive(ImageSequence):
    """One synchronised drive, left colour camera."""

    kind = "kitti_raw"
    title = "a KITTI raw drive"

    def __init__(self, drive: Path, name: str) -> None:
        self.drive = drive
        self._calibration_file = drive.parent / "calib_cam_to_cam.txt"
        self.calibration = read_calibration(self._calibration_file)
        projection = self._projection("02")
        files = image_files(drive / "image_02" / "data")
        super().__init__(name, files, path=drive, fps=NOMINAL_FPS)
        size = calibrated_size(self.calibration, "02", projection[:, :3])
        self._resize = fit_to_pictures(self, projection[:, :3], size)
        if self._resize is not None:
            self.intrinsics, _ = camera_of(self._resize @ projection)
        self._timestamps = _read_timestamps(drive / "image_02" / "timestamps.txt", files)
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
        return read_depth_png(file, KITTI_UNITS) if file.suffix.lower() == ".png" else self.project(file)

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
        """Return projected scans, raw scans for frames without; accumulated scans where there is neither."""
        maps, accumulated = (
            matched_by_name(self.files, files_with(self.drive / "proj_depth" / name / "image_02", {".png"}))
            for name in ("velodyne_raw", "groundtruth")
        )
        if self._velo_to_rect is not None:
            scans = files_with(self.drive / "velodyne_points" / "data", {".bin"})
            maps = matched_by_name(self.files, scans) | maps
        if accumulated and not maps:
            self.warnings.append("Depth is that of accumulated scans (proj_depth/groundtruth).")
        return maps or accumulated

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
    drives = [
        d
        for d in found
        if (d.parent / "calib_cam_to_cam.txt").is_file() and image_files(d / "image_02" / "data")
    ]
    return sorted(drives, key=natural_key)


def _read_timestamps(path: Path, files: list[Path]) -> np.ndarray | None:
    """Return seconds since the first line for each file; None without the file or with another length."""
    if not path.is_file():
        return None
    lines = read_text(path, "replace").split("\n")
    try:
        stamps = [datetime.fromisoformat(line.strip()[:26]) for line in lines if line.strip()]
    except ValueError:
        return None
    if len(stamps) != len(files):
        return None
    return np.array([(stamp - stamps[0]).total_seconds() for stamp in stamps])
