"""COLMAP models: ``cameras``, ``images`` and ``points3D`` as text or binary, poses world to camera.

Pixels are counted from the corner of the first one. Formats: colmap.github.io/format.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geopretrain.data.readers.cameras.calibration import (
    ADVICE,
    Calibration,
    CameraFileError,
    NamedPicture,
    checked_pose,
    distinct,
    pinhole_matrix,
)
from geopretrain.data.readers.cameras.lens import Lens
from geopretrain.data.text_lists import read_text
from geopretrain.errors import DataError

_COPY = "Copy the model again, or export it again (colmap model_converter)."
_MAX_SIDE = 10**6
_SEEN_BY, _FAR = 3, 4.0
"""Pictures that see a point at least, and mean reprojection error (px) at most: COLMAP's own limit."""


class _Point(NamedTuple):
    number: int
    place: np.ndarray
    error: float
    """px; below 0 or no number where it was not computed."""
    seen_by: int


class _Model(NamedTuple):
    """A camera model: how many parameters it has, whether one focal length stands for both, what follows.

    ``order`` says where each of OpenCV's coefficients is among the parameters behind the principal point;
    None for a model that is not undone here.
    """

    parameters: int
    one_focal: bool
    order: tuple[int, ...] | None
    fisheye: bool = False


_MODELS = {
    "SIMPLE_PINHOLE": _Model(3, True, ()),
    "PINHOLE": _Model(4, False, ()),
    "SIMPLE_RADIAL": _Model(4, True, (0,)),
    "RADIAL": _Model(5, True, (0, 1)),
    "OPENCV": _Model(8, False, (0, 1, 2, 3)),
    "OPENCV_FISHEYE": _Model(8, False, (0, 1, 2, 3), fisheye=True),
    "FULL_OPENCV": _Model(12, False, (0, 1, 2, 3, 4, 5, 6, 7)),
    "FOV": _Model(5, False, None),
    "SIMPLE_RADIAL_FISHEYE": _Model(4, True, (0,), fisheye=True),
    "RADIAL_FISHEYE": _Model(5, True, (0, 1), fisheye=True),
    "THIN_PRISM_FISHEYE": _Model(12, False, None),
    "RAD_TAN_THIN_PRISM_FISHEYE": _Model(16, False, None),
    "SIMPLE_DIVISION": _Model(4, True, None),
    "DIVISION": _Model(5, False, None),
    "SIMPLE_FISHEYE": _Model(3, True, (), fisheye=True),
    "FISHEYE": _Model(4, False, (), fisheye=True),
    "EUCM": _Model(6, False, None),
    "EQUIRECTANGULAR": _Model(2, False, None),
}
"""In the order of the numbers that binary files have for them."""


@dataclass(frozen=True)
class _Picture:
    name: str
    camera: int
    pose: np.ndarray
    seen: np.ndarray
    """Numbers of the points that it sees."""


def has_model(folder: Path, *, pictures: bool = False) -> bool:
    """Return whether a folder holds a COLMAP model; with ``pictures`` only where these are listed, too."""
    parts = ("cameras", "images") if pictures else ("cameras",)
    return any(all((folder / f"{part}{ending}").is_file() for part in parts) for ending in (".bin", ".txt"))


def read_model(folder: Path) -> Calibration:
    """Read the cameras of a model and, where they are there, its pictures; binary files come first.

    Raises:
        CameraFileError: cut off, damaged, or of a camera model that is not known.
    """
    binary = (folder / "cameras.bin").is_file()
    read_cameras, read_pictures = (
        (_binary_cameras, _binary_pictures) if binary else (_text_cameras, _text_pictures)
    )
    ending = ".bin" if binary else ".txt"
    cameras = dict(read_cameras(folder / f"cameras{ending}"))
    if not cameras:
        raise CameraFileError(f"{folder / f'cameras{ending}'} holds no camera. {ADVICE}")
    images = folder / f"images{ending}"
    pictures = list(read_pictures(images)) if images.is_file() else []
    missing = next((p for p in pictures if p.camera not in cameras), None)
    if missing is not None:
        raise CameraFileError(
            f"{images}: {missing.name} was taken with camera {missing.camera}, which is not in "
            f"cameras{ending}. {_COPY}"
        )
    used = [cameras[p.camera] for p in pictures] or list(cameras.values())
    different, which = distinct(used)
    points, problem = _points_of(folder / f"points3D{ending}", pictures)
    named = [
        NamedPicture(p.name, at, p.pose, _in_camera(points, p))
        for p, at in zip(pictures, which, strict=False)
    ]
    return Calibration(folder, different, named, problem)


def _points_of(path: Path, pictures: Sequence[_Picture]) -> tuple[dict[int, np.ndarray], str]:
    """Return the points of a model that can be relied on, and what is wrong with their file.

    Cameras and poses are of use without them.
    """
    if not path.is_file() or not pictures:
        return {}, ""
    read = _binary_points if path.suffix == ".bin" else _text_points
    try:
        return {
            point.number: point.place
            for point in read(path)
            if point.seen_by >= _SEEN_BY and not point.error > _FAR and np.isfinite(point.place).all()
        }, ""
    except CameraFileError as error:
        return {}, f"The points of the model are left out: {error}"


def _in_camera(points: Mapping[int, np.ndarray], picture: _Picture) -> np.ndarray:
    """Return the points that a picture was found to see, ``N 3`` in its camera: never one that is hidden."""
    seen = np.array([points[one] for one in picture.seen.tolist() if one in points]).reshape(-1, 3)
    return np.asarray((seen - picture.pose[:3, 3]) @ picture.pose[:3, :3])


def _lens(model: str, width: float, height: float, values: tuple[float, ...], where: str) -> Lens:
    known = _MODELS.get(model)
    if known is None or known.order is None:
        usable = ", ".join(name for name, one in _MODELS.items() if one.order is not None)
        raise CameraFileError(
            f"{where} is of the camera model {model}, which cannot be brought to a pinhole camera here "
            f"(known: {usable}). Undistort the pictures with colmap image_undistorter."
        )
    if len(values) != known.parameters:
        raise CameraFileError(
            f"{where}: {model} has {known.parameters} parameters, not {len(values)}. {_COPY}"
        )
    if not np.isfinite(values).all() or not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
        raise CameraFileError(f"{where} holds numbers that cannot be a camera's. {_COPY}")
    focal = (values[0], values[0]) if known.one_focal else values[:2]
    centre_at = len(focal) - known.one_focal
    cx, cy = values[centre_at : centre_at + 2]
    rest = values[centre_at + 2 :]
    bends = tuple(float(rest[at]) for at in known.order)
    filled = bends + (0.0,) * (4 - len(bends)) if bends else ()
    matrix = pinhole_matrix(focal[0], focal[1], cx, cy, corner=True, where=where)
    bent = filled if any(filled) or known.fisheye else ()
    return Lens(matrix, bent, known.fisheye, (round(height), round(width)))


def _pose(quaternion: tuple[float, ...], translation: tuple[float, ...], where: str) -> np.ndarray:
    """Return ``4 4`` camera to world from the rotation (w x y z) and translation of world to camera."""
    from scipy.spatial.transform import Rotation

    if not np.isfinite([*quaternion, *translation]).all() or not any(quaternion):
        raise CameraFileError(f"{where} has no pose: its numbers are not finite, or all 0. {_COPY}")
    w, x, y, z = quaternion
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat([x, y, z, w]).as_matrix(), translation
    return checked_pose(np.linalg.inv(pose), where)


# ---------------------------------------------------------------------------------- text


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where each line is, for messages, and its text; comments are left out, empty lines are not."""
    try:
        text = read_text(path)
    except DataError as error:
        raise CameraFileError(f"{error} {_COPY}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", line.strip()


def _text_cameras(path: Path) -> Iterator[tuple[int, Lens]]:
    for where, line in _lines(path):
        if not line:
            continue
        parts = line.split()
        try:
            number, model, width, height = int(parts[0]), parts[1], float(parts[2]), float(parts[3])
            values = tuple(float(part) for part in parts[4:])
        except (IndexError, ValueError) as error:
            raise CameraFileError(
                f"{where}: CAMERA_ID MODEL WIDTH HEIGHT PARAMS was expected. {_COPY}"
            ) from error
        yield number, _lens(model, width, height, values, where)


def _text_pictures(path: Path) -> Iterator[_Picture]:
    """Yield the pictures: every second line; between them lie their points, perhaps none."""
    lines = _lines(path)
    for where, line in lines:
        if not line:
            continue
        parts = line.split(maxsplit=9)
        try:
            numbers = tuple(float(part) for part in parts[1:8])
            camera, name = int(parts[8]), parts[9]
        except (IndexError, ValueError) as error:
            raise CameraFileError(
                f"{where}: IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME was expected. {_COPY}"
            ) from error
        where_points, observed = next(lines, (where, ""))
        try:
            seen = np.array(observed.split()[2::3], dtype=np.int64)
        except ValueError as error:
            raise CameraFileError(
                f"{where_points}: X Y POINT3D_ID for each point was expected. {_COPY}"
            ) from error
        yield _Picture(name, camera, _pose(numbers[:4], numbers[4:], where), seen)


def _text_points(path: Path) -> Iterator[_Point]:
    for where, line in _lines(path):
        if not line:
            continue
        parts = line.split()
        try:
            place = np.array(parts[1:4], dtype=np.float64).reshape(3)
            yield _Point(int(parts[0]), place, float(parts[7]), len(parts[8::2]))
        except (IndexError, ValueError) as error:
            raise CameraFileError(
                f"{where}: POINT3D_ID X Y Z R G B ERROR TRACK was expected. {_COPY}"
            ) from error


# -------------------------------------------------------------------------------- binary


_OBSERVED = np.dtype([("x", "<f8"), ("y", "<f8"), ("point", "<i8")])


class _Bytes:
    """Reads a binary file in order; what is cut off is said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise CameraFileError(f"{path} cannot be read ({error.strerror or error}). {_COPY}") from error
        self.at = 0

    def take(self, layout: str) -> tuple[float, ...]:
        """Return the numbers of a layout of `struct`, little-endian."""
        length = struct.calcsize("<" + layout)
        self._have(length)
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += length
        return values

    def text(self) -> str:
        """Return text up to a zero byte."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self._cut_off()
        text, self.at = self.data[self.at : end].decode("utf-8", "replace"), end + 1
        return text

    def array(self, kind: np.dtype[Any], count: int) -> np.ndarray:
        """Return so many records."""
        begin = self.at
        self.skip(kind.itemsize * count)
        return np.frombuffer(self.data, kind, count, begin)

    def skip(self, length: int) -> None:
        """Pass over some bytes."""
        self._have(length)
        self.at += length

    def _have(self, length: int) -> None:
        if length < 0 or self.at + length > len(self.data):
            raise self._cut_off()

    def _cut_off(self) -> CameraFileError:
        return CameraFileError(f"{self.path} is cut off or damaged. {_COPY}")


def _binary_cameras(path: Path) -> Iterator[tuple[int, Lens]]:
    file, names = _Bytes(path), list(_MODELS)
    for _ in range(int(file.take("Q")[0])):
        number, model, width, height = file.take("iiQQ")
        where = f"{path}, camera {number:.0f}"
        if not 0 <= model < len(names):
            raise CameraFileError(f"{where} is of the unknown camera model {model:.0f}. {_COPY}")
        name = names[int(model)]
        values = file.take("d" * _MODELS[name].parameters)
        yield int(number), _lens(name, width, height, values, where)


def _binary_pictures(path: Path) -> Iterator[_Picture]:
    file = _Bytes(path)
    for _ in range(int(file.take("Q")[0])):
        _, *numbers = file.take("i7d")
        (camera,) = file.take("i")
        name = file.text()
        observed = file.array(_OBSERVED, int(file.take("Q")[0]))
        pose = _pose(tuple(numbers[:4]), tuple(numbers[4:]), f"{path}, {name}")
        yield _Picture(name, int(camera), pose, observed["point"].astype(np.int64))


def _binary_points(path: Path) -> Iterator[_Point]:
    file = _Bytes(path)
    for _ in range(int(file.take("Q")[0])):
        number, x, y, z, _, _, _, error, seen_by = file.take("Q3d3BdQ")
        file.skip(8 * int(seen_by))  # picture and number of the point in it
        yield _Point(int(number), np.array([x, y, z]), error, int(seen_by))
