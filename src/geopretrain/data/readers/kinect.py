"""NYU Depth v2's raw dumps of a Kinect: ``SCENE/r-TIME-TICKS.ppm`` (colour), ``SCENE/d-TIME-TICKS.pgm``.

Depth files hold 11 bits, low byte first although a PGM has the high one first. As with the toolbox of the
data set (Silberman et al., ECCV 2012; its calibration of the camera): each picture has the depth map that is
nearest in time, what both lenses bend is undone, depth is 351.3 / (1092.5 - value) m and is moved into the
colour camera. Pictures are cut to the part that the data set's evaluations use, where no border is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import Frame, files_with, found_below
from geopretrain.data.readers.cameras.lens import Lens, Undistortion
from geopretrain.data.readers.depth_folder import NYU_SIZE, NYU_VALID
from geopretrain.data.readers.depth_maps import move_depth, read_grey16
from geopretrain.data.readers.derived import DerivedClip
from geopretrain.data.readers.folder import ImageSequence
from geopretrain.data.readers.tum_rgbd import nearest_in_time
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

COLOUR = Lens(
    np.array(
        [[518.85790117450188, 0, 325.58244941119034], [0, 519.46961112127485, 253.73616633400465], [0, 0, 1]]
    ),
    (
        0.20796615318809061,
        -0.58613825163911781,
        7.2231363135888329e-4,
        1.0479627195765181e-3,
        0.49856986684705107,
    ),
)
DEPTH = Lens(
    np.array(
        [[582.62448167737955, 0, 313.04475870804731], [0, 582.69103270988637, 238.44389626620386], [0, 0, 1]]
    ),
    (
        -0.099897236553084481,
        0.39065324602765344,
        1.9290592870229277e-3,
        -1.9422022475975055e-3,
        -0.51031725053400578,
    ),
)
DEPTH_TO_COLOUR = np.array(
    [
        [9.9997798940829263e-1, -5.0359919480810989e-3, -4.3196624923060242e-3, -2.5031875059141302e-2],
        [5.0518419386157446e-3, 9.9998051861143999e-1, 3.6662365748484798e-3, 2.9342312935846411e-4],
        [4.3011152014118693e-3, -3.6879781309514218e-3, 9.9998394948385538e-1, -6.6238747008330102e-4],
        [0, 0, 0, 1],
    ]
)
"""``4 4`` m, points of the depth camera into the colour camera."""
NUMERATOR, OFFSET, MAX_DEPTH = 351.3, 1092.5, 10.0
NOTHING = 2047
"""What is written where nothing was measured; the largest number of 11 bits."""
_NAME = re.compile(r"[rd]-(\d+\.\d+)-\d+$")
_APART = 0.05  # s between a picture and its depth map
_GAP = 0.5  # s without a picture; dumps leave out single ones


class _Dump(ImageSequence):
    """The pictures of a scene as they are, with depth of the depth camera."""

    kind = "nyuv2_raw"
    title = "a raw scene of NYU Depth v2"

    def __init__(self, folder: Path, name: str) -> None:
        files, self._times = _by_time(folder, "r", ".ppm")
        super().__init__(name, files, path=folder)
        if self.size != NYU_SIZE:
            raise DataError(
                f"{folder}: pictures of the Kinect are {in_px(NYU_SIZE)}, not {sides(self.size)}."
            )
        steps = np.diff(self._times)
        self.fps = float(1 / np.median(steps)) if len(steps) and np.median(steps) > 0 else None
        self._gaps = {int(at) + 1 for at in np.flatnonzero(steps > _GAP)}
        maps, times = _by_time(folder, "d", ".pgm")
        self.add_depth({i: maps[j] for i, j in nearest_in_time(self._times, times, _APART).items()}, "dense")

    def time(self, index: int) -> float | None:
        """Return seconds since the first picture."""
        return float(self._times[index] - self._times[0])

    def read_depth(self, file: Path) -> np.ndarray:
        """Return depth of the depth camera, m."""
        return depth_of_values(read_values(file))


class KinectScene(DerivedClip):
    """A raw scene, undistorted, cut, with depth of the colour camera."""

    def __init__(self, folder: Path, name: str) -> None:
        dump = _Dump(folder, name)
        super().__init__(dump)
        self.files = dump.files
        top, left, *size = NYU_VALID
        self.intrinsics = COLOUR.intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        self.size = self.calibrated_size = (size[0], size[1])
        self._colour = Undistortion([COLOUR], self.size, self.intrinsics)
        self._depth = Undistortion([DEPTH], NYU_SIZE, DEPTH.intrinsics)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the pictures, undistorted and cut."""
        return map(self._straight, super().frames(start))

    def frame(self, index: int) -> Frame:
        """Return one picture, undistorted and cut."""
        return self._straight(super().frame(index))

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth of a picture, float32 ``H W`` m; of what the depth camera does not see 0."""
        depth = super().depth(index)
        if depth is None or self.intrinsics is None:
            return None
        straight = self._depth(depth, nearest=True)
        return move_depth(straight, DEPTH.intrinsics, DEPTH_TO_COLOUR, self._colour.intrinsics, self.size)

    def _straight(self, frame: Frame) -> Frame:
        return frame if frame.image is None else replace(frame, image=self._colour(frame.image))


def find_kinect(path: Path) -> list[Path]:
    """Return the raw scenes at or one or two levels below a folder, in natural order."""
    found = {file.parent for file in found_below(path, "r-*.[pP][pP][mM]") if _NAME.match(file.stem)}
    return sorted(found, key=lambda folder: [natural_key(part) for part in folder.parts])


def read_values(file: Path) -> np.ndarray:
    """Return what a depth file holds, ``H W`` integers below 2048 (DataError where it is something else)."""
    values = read_grey16(file).astype(np.uint16)
    if values.max(initial=0) > NOTHING:  # else somebody has put the bytes in order already
        values = values.byteswap()
    if values.max(initial=0) > NOTHING:
        raise DataError(f"Depth map {file} holds more than the 11 bits of a Kinect. Copy it again.")
    return values


def depth_of_values(values: np.ndarray) -> np.ndarray:
    """Return depth in m, float32; 0 where nothing was measured, or beyond 10 m."""
    below = OFFSET - values.astype(np.float32)
    measured = (values > 0) & (values < NOTHING) & (below >= NUMERATOR / MAX_DEPTH)
    return np.where(measured, NUMERATOR / np.where(measured, below, 1), 0).astype(np.float32)


def _by_time(folder: Path, kind: str, ending: str) -> tuple[list[Path], np.ndarray]:
    """Return the files of a kind in the order of their times, and these in s."""
    found = [
        (float(match[1]), file)
        for file in files_with(folder, {ending})
        if file.name.startswith(f"{kind}-") and (match := _NAME.match(file.stem))
    ]
    found.sort()
    return [file for _, file in found], np.array([time for time, _ in found])
