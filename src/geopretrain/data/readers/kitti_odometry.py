"""KITTI odometry: ``sequences/NN`` with ``calib.txt``, grey or colour stereo, and ``poses/NN.txt``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.file_names import frame_numbers, natural_key
from geopretrain.data.readers.base import files_with, found_below
from geopretrain.data.readers.calibrated import fit_to_pictures
from geopretrain.data.readers.folder import ImageSequence, image_files, matched_by_name
from geopretrain.data.readers.kitti_calibration import (
    camera_of,
    matrix,
    read_calibration,
    rigid,
    size_of_camera,
)
from geopretrain.data.readers.velodyne import project_lidar, read_scan
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError

NOMINAL_FPS = 10.0


class KittiOdometrySequence(ImageSequence):
    """One sequence: the left colour camera where it is there, else the left grey one."""

    kind = "kitti_odometry"
    title = "a KITTI odometry sequence"

    def __init__(self, folder: Path, name: str) -> None:
        camera = next(c for c in (2, 0) if _images(folder, c))
        calibration = read_calibration(folder / "calib.txt")
        self._projection = matrix(calibration, f"P{camera}", (3, 4), folder / "calib.txt")
        intrinsics, self._to_camera = camera_of(self._projection)
        files = _images(folder, camera)
        super().__init__(name, files, path=folder, fps=NOMINAL_FPS)
        self._resize = fit_to_pictures(self, intrinsics, size_of_camera(intrinsics))
        if self._resize is not None:
            self.intrinsics = self._resize @ intrinsics
        if right := _images(folder, camera + 1):
            projection = matrix(calibration, f"P{camera + 1}", (3, 4), folder / "calib.txt")
            right_intrinsics, to_right = camera_of(projection)
            motion = to_right @ np.linalg.inv(self._to_camera)
            resized = None if self._resize is None else self._resize @ right_intrinsics
            self.add_stereo(matched_by_name(files, right), motion, resized)
        self._numbers = [int(number) for number in frame_numbers(files) or range(len(files))]
        self._poses = self._read_poses(folder.parent.parent / "poses" / f"{folder.name}.txt")
        self.has_poses = len(self._poses) > 0
        if "Tr" in calibration and self._resize is not None:
            self._lidar_to_camera0 = matrix(calibration, "Tr", (3, 4), folder / "calib.txt")
            self.add_depth(matched_by_name(files, files_with(folder / "velodyne", {".bin"})), "kitti")

    def read_depth(self, file: Path) -> np.ndarray:
        """Return a scan as sparse depth in metres."""
        transform = rigid(self._lidar_to_camera0[:, :3], self._lidar_to_camera0[:, 3])
        return project_lidar(read_scan(file), self._resize @ self._projection @ transform, self.size)

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose by GPS/IMU, ``4 4`` from this camera to camera 0 of the first frame, m."""
        number = self._numbers[index]
        if not 0 <= number < len(self._poses):
            return None
        return self._poses[number] @ np.linalg.inv(self._to_camera)

    def _read_poses(self, file: Path) -> list[np.ndarray]:
        """Return ``4 4`` poses of camera 0, by frame number; none for the sequences kept for testing."""
        if not file.is_file():
            return []
        try:
            rows = np.loadtxt([line.text for line in read_lines(file)], dtype=np.float64, ndmin=2)
        except ValueError as error:
            raise DataError(f"{file} holds something else than 12 numbers a line.") from error
        if rows.shape[1] != 12:
            raise DataError(f"{file} has {rows.shape[1]} numbers a line; 12 were expected.")
        return [rigid(row[:, :3], row[:, 3]) for row in rows.reshape(-1, 3, 4)]


def find_odometry(path: Path) -> list[Path]:
    """Return the sequences at or one or two levels below a folder, in natural order."""
    found = [f.parent for f in found_below(path, "calib.txt")]
    return sorted((f for f in found if _images(f, 0) or _images(f, 2)), key=natural_key)


def _images(folder: Path, camera: int) -> list[Path]:
    place = folder / f"image_{camera}"
    return image_files(place) if place.is_dir() else []
