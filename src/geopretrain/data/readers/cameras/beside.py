"""The file of cameras that stands beside pictures or a video, or that the user names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from geopretrain.data.readers.base import SourceClip, files_with
from geopretrain.data.readers.cameras.calibration import ADVICE, Calibration, CameraFileError
from geopretrain.data.readers.cameras.colmap import has_model, read_model
from geopretrain.data.readers.cameras.nerfstudio import read_transforms
from geopretrain.data.readers.cameras.opencv import read_opencv
from geopretrain.data.readers.cameras.undistorted import apply
from geopretrain.data.readers.video import VIDEO_SUFFIXES
from geopretrain.errors import DataError

_TRANSFORMS = ("transforms.json", "transforms_train.json")
_MODELS = ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "colmap", "colmap_text", "")
_OPENCV = frozenset({".yaml", ".yml", ".xml"})
_MAX_FILES, _MAX_BYTES = 20, 2**20
"""Of YAML and XML files that are looked into: calibrations are few and small."""
_LOOKED_FOR = frozenset({"video", "folder", "images_depth"})
"""Kinds of clips beside which a file is looked for: other layouts have calibrations of their own."""


def with_cameras(clip: SourceClip, camera_file: str | os.PathLike[str] | None = None) -> SourceClip:
    """Return a clip with the camera of a file: undistorted where its lens bends, with its poses.

    Args:
        clip: as its layout gives it.
        camera_file: file or folder that the user named; None: it is looked for beside clips whose camera is
            not known.

    Raises:
        DataError: the file cannot be used; where it was found and not named, ``clip.camera_problem`` says so.
    """
    if camera_file is not None:
        return apply(clip, _read(Path(camera_file).expanduser(), clip), named=True)
    if clip.kind not in _LOOKED_FOR or clip.intrinsics is not None or clip.camera_problem or clip.has_stereo:
        return clip
    try:
        found = _find(clip)
        return clip if found is None else apply(clip, found, named=False)
    except DataError as error:
        clip.camera_problem = str(error)
        return clip


def files_beside(path: Path) -> list[Path]:
    """Return the files of cameras that stand beside a video or folder, not in it: they decide on it, too."""
    if not path.exists():
        return []
    folder = path.parent
    fixed = [folder / name for name in _TRANSFORMS]
    fixed += [
        folder / place / f"{part}{ending}"
        for place in _MODELS
        for part in ("cameras", "images", "points3D")
        for ending in (".bin", ".txt")
    ]
    named = [file for file in _small(folder) if _is_named_like(file, path) or _says_so(file)]
    return [file for file in fixed if file.is_file()] + named


def _read(path: Path, clip: SourceClip) -> Calibration:
    """Read the file or the model that the user named."""
    if path.is_dir():
        for place in _MODELS[:-1]:
            if has_model(path / place):
                return read_model(path / place)
        if has_model(path):
            return read_model(path)
        raise CameraFileError(
            f"{path} holds no COLMAP model (cameras.bin or cameras.txt, here or in sparse/0). {ADVICE}"
        )
    if not path.is_file():
        raise CameraFileError(f"{path} does not exist. {ADVICE}")
    if path.name in (
        "cameras.bin",
        "cameras.txt",
        "images.bin",
        "images.txt",
        "points3D.bin",
        "points3D.txt",
    ):
        return read_model(path.parent)
    if path.suffix.lower() == ".json":
        return read_transforms(path, clip.size)
    if path.suffix.lower() in _OPENCV:
        if (found := read_opencv(path)) is not None:
            return found
        raise CameraFileError(f"{path} holds no camera_matrix with distortion_coefficients. {ADVICE}")
    raise CameraFileError(
        f"{path} is no file of cameras that is read: transforms.json, a COLMAP model, or a calibration of "
        f"OpenCV or ROS (.yaml, .xml). {ADVICE}"
    )


def _find(clip: SourceClip) -> Calibration | None:
    """Return what the first file found says: beside the frames, else in the folder above."""
    path = Path(clip.path)
    for folder in _folders(path, video=clip.kind == "video"):
        for name in _TRANSFORMS:
            if (folder / name).is_file():
                return read_transforms(folder / name, clip.size)
        for place in _MODELS:
            if has_model(folder / place, pictures=not place):
                return read_model(folder / place)
        if (found := _opencv_in(folder, path)) is not None:
            return found
    return None


def _folders(path: Path, *, video: bool) -> Iterator[Path]:
    """Yield the folders that are looked into: that of the frames, and the one above where they lie apart."""
    if video:
        yield path.parent
        return
    yield path
    yield path.parent


def _opencv_in(folder: Path, clip: Path) -> Calibration | None:
    """Return the calibration in a folder: that named like the clip, else the only one."""
    others = {file.stem for file in _listed(folder, VIDEO_SUFFIXES)} - {clip.stem}
    small = [file for file in _small(folder) if file.stem not in others]
    own = [file for file in small if _is_named_like(file, clip)]
    found = [one for file in own or small if (one := _holds(file, certain=bool(own))) is not None]
    if len(found) > 1:
        names = ", ".join(one.path.name for one in found[:3])
        raise CameraFileError(
            f"{folder} holds {len(found)} calibrations ({names}): name the one of these pictures with "
            "--camera-file."
        )
    return found[0] if found else None


def _small(folder: Path) -> list[Path]:
    files = sorted(_listed(folder, _OPENCV))
    return [file for file in files if file.is_file() and file.stat().st_size <= _MAX_BYTES][:_MAX_FILES]


def _listed(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return files of a folder; one above the frames may not be ours to list, and holds nothing then."""
    try:
        return files_with(folder, suffixes)
    except DataError:
        return []


def _is_named_like(file: Path, clip: Path) -> bool:
    return file.stem == clip.stem or file.stem.startswith(f"{clip.stem}_")


def _says_so(file: Path) -> bool:
    return any(word in file.stem.lower() for word in ("calib", "camera", "intrinsic"))


def _holds(file: Path, *, certain: bool) -> Calibration | None:
    """Return what a YAML or XML file says; others' files that are damaged are none of cameras."""
    try:
        return read_opencv(file)
    except CameraFileError:
        if certain or _says_so(file):
            raise
        return None
