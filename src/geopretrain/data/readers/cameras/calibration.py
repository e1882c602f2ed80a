"""What a file of cameras says: lenses, and for the pictures that it names their lens and pose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from geopretrain.data.readers.cameras.lens import Lens
from geopretrain.errors import DataError

ADVICE = (
    "Correct or remove it, name another with --camera-file, or give the camera with --intrinsics fx,fy,cx,cy "
    "or --fov."
)
_HALF = 0.5


class CameraFileError(DataError):
    """A file of cameras that cannot be used."""


@dataclass(frozen=True)
class NamedPicture:
    """A picture that a file of cameras names.

    Attributes:
        name: its path as the file has it, with ``/``.
        lens: number of its lens.
        pose: ``4 4``, camera (x right, y down, z forward) to world, in units of the file; None if not said.
        points: ``N 3`` in its camera, of the units of the pose: what it was found to see.
    """

    name: str
    lens: int
    pose: np.ndarray | None = None
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))


@dataclass(frozen=True)
class Calibration:
    """What a file of cameras says.

    Attributes:
        path: of the file, or of the folder of the model.
        lenses: the different ones.
        pictures: those it names; none where it is about a camera, not about pictures.
        problem: what of it could not be read and is done without; empty where all was read.
    """

    path: Path
    lenses: list[Lens]
    pictures: list[NamedPicture] = field(default_factory=list)
    problem: str = ""

    @property
    def called(self) -> str:
        """Its name for people: models lie in folders that are numbers (``sparse/0``)."""
        return "/".join(self.path.parts[-2:]) if self.path.name.isdigit() else self.path.name

    def matched(self, files: Sequence[Path]) -> dict[int, NamedPicture]:
        """Return by position which of the pictures named is each of the files.

        Endings may differ; where several pictures have one name, their folders must be those of the files.
        """
        by_stem: dict[str, list[NamedPicture]] = {}
        for picture in self.pictures:
            by_stem.setdefault(PurePosixPath(picture.name).stem.lower(), []).append(picture)
        found = {}
        for index, file in enumerate(files):
            candidates = by_stem.get(file.stem.lower(), [])
            if len(candidates) > 1:
                candidates = [one for one in candidates if _in_same_folder(one.name, file)]
            if len(candidates) == 1:
                found[index] = candidates[0]
        return found


def _in_same_folder(name: str, file: Path) -> bool:
    folders = PurePosixPath(name).parts[:-1]
    return not folders or file.parts[-1 - len(folders) : -1] == folders


def distinct(lenses: Iterable[Lens]) -> tuple[list[Lens], list[int]]:
    """Return the different lenses among some, and the number of the one that each is."""
    numbers: dict[tuple[object, ...], int] = {}
    different: list[Lens] = []
    which: list[int] = []
    for lens in lenses:
        if lens.key not in numbers:
            numbers[lens.key] = len(different)
            different.append(lens)
        which.append(numbers[lens.key])
    return different, which


def pinhole_matrix(
    fx: float, fy: float, cx: float, cy: float, *, corner: bool = False, where: object
) -> np.ndarray:
    """Return ``3 3`` px with pixel centres at whole numbers.

    Args:
        fx, fy, cx, cy: px.
        corner: whether the file counts from the corner of the first pixel, as COLMAP does, not its centre.
        where: is named where the numbers cannot be a camera's.

    Raises:
        CameraFileError: they are not finite, or a focal length is not above 0.
    """
    if not np.isfinite([fx, fy, cx, cy]).all() or min(fx, fy) <= 0:
        numbers = f"fx, fy, cx, cy = {fx:g}, {fy:g}, {cx:g}, {cy:g}"
        raise CameraFileError(f"{where} holds a camera that cannot be one ({numbers}). {ADVICE}")
    shift = _HALF if corner else 0.0
    return np.array([[fx, 0, cx - shift], [0, fy, cy - shift], [0, 0, 1.0]])


def checked_pose(values: object, where: object) -> np.ndarray:
    """Return ``4 4`` of a pose given as ``3 4`` or ``4 4``.

    Raises:
        CameraFileError: of another shape, not finite, or its rotation is none.
    """
    try:
        given = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    pose = np.eye(4)
    if given.shape not in ((3, 4), (4, 4)) or not np.isfinite(given).all():
        raise CameraFileError(f"{where} must be 4x4 finite numbers. {ADVICE}")
    pose[: len(given)] = given
    scale = np.cbrt(abs(np.linalg.det(pose[:3, :3])))
    rotation = pose[:3, :3] / (scale or 1.0)
    if scale < 1e-9 or not np.allclose(rotation @ rotation.T, np.eye(3), atol=0.01):
        raise CameraFileError(f"{where} is no pose: its left 3x3 part is no rotation. {ADVICE}")
    pose[:3, :3] = rotation
    return pose
