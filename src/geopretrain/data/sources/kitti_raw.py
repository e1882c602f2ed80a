"""KITTI raw: rectified drives of the left colour camera with LiDAR depth where it is there.

Layout: ``DATE/DATE_drive_NNNN_sync/image_02/data/*.png|jpg`` with ``DATE/calib_cam_to_cam.txt``.
Depth comes from ``proj_depth/velodyne_raw/image_02/*.png`` (metres x 256) or from
``velodyne_points/data/*.bin`` projected here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from geopretrain.data.sources.base import natural_key
from geopretrain.data.sources.folder import ImageSequence, image_files
from geopretrain.errors import DataError

NOMINAL_FPS = 10.0


class KittiDrive(ImageSequence):
    """One synchronised drive, left colour camera."""

    kind = "kitti_raw"

    def __init__(self, drive: Path, name: str) -> None:
        self.drive = drive
        self.calibration = read_calibration(drive.parent / "calib_cam_to_cam.txt")
        projection = matrix(self.calibration, "P_rect_02", (3, 4), drive.parent / "calib_cam_to_cam.txt")
        files = image_files(drive / "image_02" / "data")
        super().__init__(name, files, path=drive, fps=NOMINAL_FPS, intrinsics=projection[:, :3].copy())
        self._timestamps = _read_timestamps(drive / "image_02" / "timestamps.txt", files)
        if self._timestamps is not None and len(files) > 1:
            self.fps = float(1 / np.median(np.diff(self._timestamps)))
        self._velo_to_rect = self._velodyne_to_rectified()
        self.has_depth = any(self._depth_file(i) for i in range(len(files)))
        self.depth_protocol = "kitti" if self.has_depth else None

    def time(self, index: int) -> float | None:
        """Return seconds since the first frame, from timestamps.txt or 10 frames/s."""
        return float(self._timestamps[index]) if self._timestamps is not None else super().time(index)

    def depth(self, index: int) -> np.ndarray | None:
        """Return sparse LiDAR depth, float32 ``H W`` metres, 0 = no measurement."""
        file = self._depth_file(index)
        if file is None:
            return None
        if file.suffix == ".png":
            return read_depth_png(file, 256.0)
        values = np.fromfile(file, dtype=np.float32)
        if self._velo_to_rect is None or values.size == 0 or values.size % 4:
            raise DataError(f"LiDAR scan {file} is damaged: it does not hold rows of four numbers.")
        return project_lidar(values.reshape(-1, 4)[:, :3], self._velo_to_rect, self.size)

    def _depth_file(self, index: int) -> Path | None:
        stem = self.files[index].stem
        png = self.drive / "proj_depth" / "velodyne_raw" / "image_02" / f"{stem}.png"
        if png.is_file():
            return png
        scan = self.drive / "velodyne_points" / "data" / f"{stem}.bin"
        return scan if self._velo_to_rect is not None and scan.is_file() else None

    def _velodyne_to_rectified(self) -> np.ndarray | None:
        """Return P_rect_02 * R_rect_00 * [R|T], ``3 4``; None where a calibration is missing."""
        file = self.drive.parent / "calib_velo_to_cam.txt"
        if not file.is_file() or "R_rect_00" not in self.calibration:
            return None
        velo = read_calibration(file)
        rigid = np.eye(4)
        rigid[:3, :3] = matrix(velo, "R", (3, 3), file)
        rigid[:3, 3] = matrix(velo, "T", (3,), file)
        rectify = np.eye(4)
        camera_file = self.drive.parent / "calib_cam_to_cam.txt"
        rectify[:3, :3] = matrix(self.calibration, "R_rect_00", (3, 3), camera_file)
        return matrix(self.calibration, "P_rect_02", (3, 4), camera_file) @ rectify @ rigid


def find_drives(path: Path) -> list[Path]:
    """Return the drives at, one or two levels below a folder, in natural order."""
    patterns = ("image_02/data", "*/image_02/data", "*/*/image_02/data")
    found = {data.parent.parent for pattern in patterns for data in path.glob(pattern) if data.is_dir()}
    drives = [
        d
        for d in found
        if (d.parent / "calib_cam_to_cam.txt").is_file() and image_files(d / "image_02" / "data")
    ]
    return sorted(drives, key=natural_key)


def read_calibration(path: Path) -> dict[str, np.ndarray]:
    """Return the numeric lines of a KITTI calibration file by name (DataError where the file is missing)."""
    if not path.is_file():
        raise DataError(
            f"{path} is missing. KITTI raw keeps it beside the drives: copy the calibration of that day "
            "there."
        )
    lines = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, values = line.partition(":")
        try:
            lines[name.strip()] = np.array([float(v) for v in values.split()])
        except ValueError:
            continue  # calib_time is a date
    return lines


def matrix(calibration: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return one named matrix of a calibration (DataError where it is missing or of another length)."""
    values = calibration.get(name)
    if values is None or values.size != np.prod(shape):
        raise DataError(
            f"{path} has no line '{name}:' with {np.prod(shape)} numbers. Use the calibration files of KITTI "
            "raw."
        )
    return values.reshape(shape)


def project_lidar(points: np.ndarray, projection: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Project LiDAR points into an image, the nearest point kept where several fall on one pixel.

    Args:
        points: ``N 3`` metres in the LiDAR's axes (x forward).
        projection: ``3 4``, P_rect * R_rect_00 * [R|T].
        size: (height, width) of the image.

    Returns:
        float32 ``H W`` depth in metres along the camera's axis, 0 where nothing was hit.
    """
    height, width = size
    points = points[points[:, 0] > 0]  # behind the scanner is behind the camera
    projected = np.c_[points, np.ones(len(points))] @ projection.T
    z = projected[:, 2]
    in_front = z > 1e-3
    pixels = np.rint(projected[in_front, :2] / z[in_front, None]).astype(np.int64)
    z = z[in_front]
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    np.minimum.at(depth, pixels[inside, 1] * width + pixels[inside, 0], z[inside].astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth.reshape(height, width)


def read_depth_png(path: Path, units_per_metre: float) -> np.ndarray:
    """Return a 16-bit depth PNG as float32 ``H W`` metres; 0 and 65535 mean no measurement (DataError)."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"Depth map {path} cannot be read ({error}).") from error
    if values.ndim != 2 or values.dtype == np.uint8:
        raise DataError(f"Depth map {path} is not a 16-bit grey PNG.")
    values = values.astype(np.float32)
    values[values == 65535] = 0
    return values / np.float32(units_per_metre)


def _read_timestamps(path: Path, files: list[Path]) -> np.ndarray | None:
    """Return seconds since the first line for each file; None without the file or with another length."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        stamps = [datetime.fromisoformat(line.strip()[:26]) for line in lines if line.strip()]
    except ValueError:
        return None
    if len(stamps) != len(files):
        return None
    return np.array([(stamp - stamps[0]).total_seconds() for stamp in stamps])
