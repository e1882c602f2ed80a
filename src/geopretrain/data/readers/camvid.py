"""CamVid in the SegNet layout, used without its labels: the validation split is a video sequence.

The training and test splits hold one frame a second or fewer of other drives: too far apart for neighbours to
overlap, and test images must not be looked at during pre-training.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from geopretrain.data.file_names import frame_numbers
from geopretrain.data.readers.folder import ImageSequence, image_files
from geopretrain.errors import DataError

CAMERA_FPS = 30.0


class CamVidSequence(ImageSequence):
    """The validation sequence; file names count the frames of a 30 frames/s video."""

    kind = "camvid"
    title = "CamVid's validation sequence"

    def __init__(self, folder: Path, name: str) -> None:
        files = image_files(folder / "val")
        if not files:
            raise DataError(
                f"{folder / 'val'} holds no images. CamVid's validation sequence was expected there."
            )
        super().__init__(name, files, path=folder / "val")
        steps = sorted(float(b - a) for a, b in pairwise(frame_numbers(files) or []) if b > a)
        self.fps = CAMERA_FPS / steps[len(steps) // 2] if steps else None
        self.warnings.append(
            "Only CamVid's validation sequence is used: the other splits are no sequences, or are for "
            "testing."
        )


def is_camvid(path: Path) -> bool:
    """Return whether a folder has the SegNet layout of CamVid."""
    return (path / "val").is_dir() and (path / "valannot").is_dir()
