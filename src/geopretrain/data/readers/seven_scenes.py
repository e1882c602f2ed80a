"""7-Scenes (RGB-D): ``SCENE/seq-XX/frame-NNNNNN.color.*`` with depth moved into the colour camera, and poses.

The native ``*.depth.png`` (millimetres) belongs to another camera and is shifted against the colour image by
up to 50 px. Where ``*.depth.proj.png`` holds it moved already, that is used; else it is moved here, which
takes ``camera-intrinsics.txt`` (depth camera) and ``depth-to-color.txt`` (``4 4`` m) beside the sequence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.file_names import in_order, natural_key, without_clutter
from geopretrain.data.readers.base import found_below
from geopretrain.data.readers.calibrated import nominal_size, resizing
from geopretrain.data.readers.depth_maps import MILLIMETRES, move_depth, read_depth_png
from geopretrain.data.readers.folder import ImageSequence, read_camera_file, read_numbers
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.errors import DataError

CAMERA_FPS = 30.0
CAMERA_SIZE = (480, 640)
DEFAULT_FOCAL = 525.0  # px at 640x480, the usual value for this camera


class SevenScenesSequence(ImageSequence):
    """One hand-held sequence."""

    kind = "7scenes"
    title = "a 7-Scenes sequence"

    def __init__(self, folder: Path, name: str) -> None:
        files = colour_files(folder)
        super().__init__(name, files, path=folder)
        numbers = [_number(file) for file in files]
        step = float(np.median(np.diff(numbers))) if len(files) > 1 else 1.0
        self.fps = CAMERA_FPS / max(step, 1.0)
        self._read_intrinsics(folder)
        self._depth_intrinsics = _beside(folder, "camera-intrinsics.txt", 9)
        self._depth_to_colour = _beside(folder, "depth-to-color.txt", 16)
        self.add_depth(self._depth_files(), "dense")
        self._poses = {i: f for i in range(len(files)) if (f := _sibling(files[i], "pose.txt")).is_file()}
        self.has_poses = bool(self._poses)

    def read_depth(self, file: Path) -> np.ndarray:
        """Return dense depth of the colour camera in metres."""
        depth = read_depth_png(file, MILLIMETRES)
        if file.name.endswith(".proj.png"):
            return depth
        colour = self._colour_intrinsics
        if self._depth_intrinsics is None or self._depth_to_colour is None or colour is None:
            raise DataError(f"{file} cannot be moved into the colour camera without its calibration.")
        own = self._depth_intrinsics
        if nominal_size(own, CAMERA_SIZE) and depth.shape != CAMERA_SIZE:
            own = resizing(CAMERA_SIZE, (depth.shape[0], depth.shape[1])) @ own
        return move_depth(depth, own, self._depth_to_colour, colour, self.size)

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose of the colour camera, ``4 4`` camera to world, m; files hold the depth camera's."""
        if index not in self._poses:
            return None
        pose = read_numbers(self._poses[index], (16,)).reshape(4, 4)
        return pose if self._depth_to_colour is None else pose @ np.linalg.inv(self._depth_to_colour)

    def _depth_files(self) -> dict[int, Path]:
        """Return the moved maps, and the native ones where they can be moved."""
        can_move = self._depth_intrinsics is not None and self._depth_to_colour is not None
        endings = ("depth.proj.png", "depth.png") if can_move else ("depth.proj.png",)
        found = {}
        for index, file in enumerate(self.files):
            candidates = (_sibling(file, ending) for ending in endings)
            if (depth := next((f for f in candidates if f.is_file()), None)) is not None:
                found[index] = depth
        if not can_move and any(_sibling(file, "depth.png").is_file() for file in self.files[:1]):
            self.warnings.append(
                "Native depth maps are not used: moving them into the colour camera takes "
                "camera-intrinsics.txt and depth-to-color.txt (4x4, metres)."
            )
        return found

    def _read_intrinsics(self, folder: Path) -> None:
        """Set the camera of the colour images; what depth is moved into is that of the files."""
        for place in (folder, folder.parent):
            matrix, size = read_camera_file(place / "camera-intrinsics-color.txt")
            if matrix is not None:
                self.use_camera(matrix, size or nominal_size(matrix, CAMERA_SIZE))
                self._colour_intrinsics = self.intrinsics
                return
        height, width = self.size
        focal = DEFAULT_FOCAL * width / CAMERA_SIZE[1]
        self.warnings.append(
            "camera-intrinsics-color.txt is not there: the usual focal length of this camera is used "
            f"({focal:g} px)."
        )
        camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        self.intrinsics = self._colour_intrinsics = camera


def find_sequences(path: Path) -> list[Path]:
    """Return the sequences at, one or two levels below a folder, in natural order."""
    found = {file.parent for file in found_below(path, "frame-*.color.*")}
    return sorted(found, key=lambda p: [natural_key(part) for part in p.parts])


def colour_files(folder: Path) -> list[Path]:
    """Return the colour images of a sequence in natural order."""
    files = (f for f in folder.glob("frame-*.color.*") if f.suffix.lower() in IMAGE_SUFFIXES)
    return in_order(without_clutter(files, folder))


def _number(file: Path) -> int:
    digits = "".join(c for c in file.name.split(".")[0] if c.isdigit())
    return int(digits) if digits else 0


def _sibling(file: Path, ending: str) -> Path:
    """Return ``frame-000003.ENDING`` beside ``frame-000003.color.jpg``."""
    return file.with_name(f"{file.name.split('.')[0]}.{ending}")


def _beside(folder: Path, name: str, count: int) -> np.ndarray | None:
    """Return a square matrix of ``count`` numbers in the sequence's folder or the one above, None without."""
    for place in (folder, folder.parent):
        if (place / name).is_file():
            side = round(count**0.5)
            return read_numbers(place / name, (count,)).reshape(side, side)
    return None
