"""7-Scenes (RGB-D): ``SCENE/seq-XX/frame-NNNNNN.color.*`` with depth registered to the colour camera.

Only ``*.depth.proj.png`` (millimetres) is used: the native ``*.depth.png`` belongs to another camera and is
shifted against the colour image by up to 50 px.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.depth_maps import read_depth_png
from geopretrain.data.images import IMAGE_SUFFIXES
from geopretrain.data.sources.base import natural_key
from geopretrain.data.sources.folder import ImageSequence, read_matrix_file

CAMERA_FPS = 30.0
DEFAULT_FOCAL = 525.0  # px at 640x480, the usual value for this camera


class SevenScenesSequence(ImageSequence):
    """One hand-held sequence."""

    kind = "7scenes"

    def __init__(self, folder: Path, name: str) -> None:
        files = colour_files(folder)
        super().__init__(name, files, path=folder)
        numbers = [_number(file) for file in files]
        step = float(np.median(np.diff(numbers))) if len(files) > 1 else 1.0
        self.fps = CAMERA_FPS / max(step, 1.0)
        self.intrinsics = self._read_intrinsics(folder)
        self.has_depth = any(self._depth_file(i).is_file() for i in range(len(files)))
        self.depth_protocol = "dense" if self.has_depth else None

    def depth(self, index: int) -> np.ndarray | None:
        """Return registered depth, float32 ``H W`` metres, 0 = no measurement; None without a map."""
        file = self._depth_file(index)
        return read_depth_png(file, 1000.0) if file.is_file() else None

    def _depth_file(self, index: int) -> Path:
        file = self.files[index]
        return file.with_name(file.name.split(".")[0] + ".depth.proj.png")

    def _read_intrinsics(self, folder: Path) -> np.ndarray:
        for place in (folder, folder.parent):
            matrix = read_matrix_file(place / "camera-intrinsics-color.txt")
            if matrix is not None:
                return matrix
        height, width = self.size
        focal = DEFAULT_FOCAL * width / 640
        self.notes.append(
            "camera-intrinsics-color.txt is not there: the usual focal length of this camera is used "
            f"({focal:g} px)."
        )
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])


def find_sequences(path: Path) -> list[Path]:
    """Return the sequences at, one or two levels below a folder, in natural order."""
    found = {file.parent for pattern in ("", "*/", "*/*/") for file in path.glob(pattern + "frame-*.color.*")}
    return sorted(found, key=lambda p: [natural_key(part) for part in p.parts])


def colour_files(folder: Path) -> list[Path]:
    """Return the colour images of a sequence in natural order."""
    files = (f for f in folder.glob("frame-*.color.*") if f.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(files, key=natural_key)


def _number(file: Path) -> int:
    digits = "".join(c for c in file.name.split(".")[0] if c.isdigit())
    return int(digits) if digits else 0
