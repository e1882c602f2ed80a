"""What every reader of a video layout gives: clips of frames in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from geopretrain.data.file_names import is_clutter, without_clutter
from geopretrain.data.structure import Structure
from geopretrain.errors import DataError

NO_RANGE_NEEDED = "--range changes nothing here: it is for pictures of more than 8 bits."
MEASURED = "of the data set"
"""Where poses are from that came with the data."""
METRES, OF_THE_FILE, UNKNOWN = "m", "the unit of their file", "an unknown unit"
"""Units of poses."""
Role = Literal["train", "val", "test"]
"""What the samples of a clip are for."""


@dataclass(frozen=True)
class Frame:
    """One frame of a clip, or the sentence that says why it cannot be read.

    Attributes:
        index: position in the clip, counted over all frames, broken ones included.
        name: what the user knows it by (file name, or time in a video).
        image: ``H W 3`` uint8 RGB, None when broken.
        error: why the frame cannot be used, None when it can.
    """

    index: int
    name: str
    image: np.ndarray | None
    error: str | None = None


@dataclass(frozen=True)
class Unusable:
    """A file or folder among others that cannot be opened.

    Attributes:
        path: of it.
        reason: the sentence that says why, which names it.
    """

    path: str
    reason: str


class SourceClip:
    """One camera moving through one scene, frames in the order of time (or a set of single images).

    Attributes:
        name: short name, unique within what was opened.
        path: where it comes from (a path, or ``synthetic:...``).
        kind: which reader it is of, e.g. 'video', 'folder', 'kitti_raw', 'middlebury', 'synthetic'.
        title: the same in words, e.g. 'a KITTI raw drive'.
        ordered: whether the frames follow each other in time; False for a set of single images.
        size: (height, width) of the frames, px.
        fps: frames per second, None when unknown.
        intrinsics: ``3 3`` in pixels of the original frames, None when unknown.
        length: number of frames, None when it is only known at the end.
        calibrated_size: (height, width) of the pictures that were calibrated, None where nothing says it.
        camera_origin: where ``intrinsics`` are from, as the rest of "the camera is".
        camera_problem: why the calibration that is there cannot be used, None when all is well.
        has_depth: whether `depth` can answer for some frame.
        depth_protocol: evaluation protocol that fits the depth: 'kitti' (sparse LiDAR), 'dense', or None.
        depth_words: what the depth is, in words, where a data set has several kinds; else empty.
        has_stereo: whether `stereo` can answer for some frame.
        T_to_stereo: ``4 4`` in metres, maps points of this camera into the right one; None without stereo.
        stereo_intrinsics: ``3 3`` of the right camera, px of the original frames; None where `intrinsics`
            is or without stereo.
        has_poses: whether `pose` can answer for some frame.
        listed: frames that a list chooses to be learned from and scored, None without a list.
        listed_stride: distance between the frames of a sample where a split prescribes it, None where it does
            not.
        role: what all of its samples are for, None where a part of them is held out.
        pose_unit: unit of the poses: `METRES`, that of a file of cameras, or unknown.
        pose_origin: where they are from, as the rest of "the poses are".
        warnings: sentences about assumptions made while opening.
    """

    kind = "folder"
    title = "a folder of images"
    ordered = True  # frames follow each other in time; False for sets of single images

    def __init__(
        self,
        name: str,
        path: str,
        size: tuple[int, int],
        *,
        fps: float | None = None,
        intrinsics: np.ndarray | None = None,
        length: int | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.size = size
        self.fps = fps
        self.intrinsics = intrinsics
        self.length = length
        self.calibrated_size: tuple[int, int] | None = None
        self.camera_origin = "from the data set"
        self.camera_problem: str | None = None
        self.has_depth = False
        self.depth_protocol: str | None = None
        self.depth_words = ""
        self.has_stereo = False
        self.T_to_stereo: np.ndarray | None = None
        self.stereo_intrinsics: np.ndarray | None = None
        self.has_poses = False
        self.listed: frozenset[int] | None = None
        self.listed_stride: int | None = None
        self.role: Role | None = None
        self.pose_unit = METRES
        self.pose_origin = MEASURED
        self.warnings: list[str] = []

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames from ``start`` on; broken ones come with ``error`` set and are never left out."""
        raise NotImplementedError

    def depth(self, index: int) -> np.ndarray | None:
        """Return measured depth, float32 ``H W`` metres, 0 = no measurement; None for a frame without."""
        return None

    def depth_indices(self) -> list[int]:
        """Return the frames which have a depth map, found without reading one."""
        return list(range(self.length or 0)) if self.has_depth else []

    def stereo_indices(self) -> list[int]:
        """Return the frames which have a right image, found without reading one."""
        return list(range(self.length or 0)) if self.has_stereo else []

    def stereo(self, index: int) -> np.ndarray | None:
        """Return the right image of the stereo pair, ``H W 3`` uint8 of this clip's size; None without.

        Raises:
            DataError: it is there but unreadable or of another size.
        """
        return None

    def pose(self, index: int) -> np.ndarray | None:
        """Return the pose, ``4 4`` from this camera to the world; None for a frame without.

        ``pose_unit`` says in what unit.

        Raises:
            DataError: it is there but unreadable.
        """
        return None

    def points(self, index: int) -> np.ndarray | None:
        """Return points that the frame sees, ``N 3``: x and y in px of the frame, and depth; None without.

        Depth is in ``pose_unit``; of several worlds (`trajectory`) each has a unit of its own.
        """
        return None

    def trajectory(self, index: int) -> int:
        """Return the number of the world that the pose of a frame is in; two have nothing in common."""
        return 0

    def structure(self, index: int) -> Structure | None:
        """Return depth boundaries and planes of a frame; None where nothing is known of them.

        Raises:
            DataError: they are there but unreadable or of another size.
        """
        return None

    def use_range(self, value_range: tuple[float, float] | None) -> None:
        """Set the values of pictures of more than 8 bits that become 0 and 255, see value_range.py."""
        if value_range is not None:
            self.warnings.append(NO_RANGE_NEEDED)

    def set_intrinsics(self, intrinsics: np.ndarray) -> None:
        """Replace ``intrinsics`` (``3 3`` px); those of the right camera move along."""
        given = np.asarray(intrinsics, dtype=np.float64)
        if self.has_stereo:
            own, right = self.intrinsics, self.stereo_intrinsics
            self.stereo_intrinsics = given if own is None or right is None else given + (right - own)
        self.intrinsics = given

    def frame(self, index: int) -> Frame:
        """Return one frame; readers of image files need not read those before it."""
        return next(frame for frame in self.frames(index) if frame.index == index)

    def time(self, index: int) -> float | None:
        """Return the time of a frame in seconds from the start, None when unknown."""
        return None if self.fps is None else index / self.fps

    def starts_anew(self, index: int) -> bool:
        """Return whether frames are missing just before this one (a gap in the numbering or in time)."""
        return False


def each(paths: Iterable[Path], reader: Callable[[Path], SourceClip]) -> list[SourceClip | Unusable]:
    """Return the clips of some files or folders; one that cannot be opened does not cost the others."""
    found: list[SourceClip | Unusable] = []
    for path in paths:
        try:
            found.append(reader(path))
        except DataError as error:
            found.append(Unusable(str(path), str(error)))
        except OSError as error:
            found.append(Unusable(str(path), f"{path} cannot be read ({error.strerror or error})."))
    return found


def found_below(folder: Path, pattern: str) -> list[Path]:
    """Return what fits a pattern in a folder or one or two levels below it, clutter left out."""
    found = (path for levels in ("", "*/", "*/*/") for path in folder.glob(levels + pattern))
    return without_clutter(found, folder)


def files_with(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return what has one of some endings (given in lower case) directly in a folder, clutter left out.

    Nothing where there is no such folder.

    Raises:
        DataError: the folder cannot be listed.
    """
    if not folder.is_dir():
        return []
    try:
        return [p for p in folder.iterdir() if p.suffix.lower() in suffixes and not is_clutter(p.name)]
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error


def short_name(folder: Path, root: Path) -> str:
    """Return what a folder in what the user named is called, e.g. ``videos/garden``."""
    relative = folder.relative_to(root)
    if str(relative) != ".":
        return f"{root.name}/{relative}"
    return f"{root.parent.name}/{root.name}".lstrip("/")  # a relative path has a parent without a name
