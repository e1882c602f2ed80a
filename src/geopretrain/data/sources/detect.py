"""Recognise what a path is and open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.images import IMAGE_SUFFIXES
from geopretrain.data.sources.base import SourceClip, natural_key
from geopretrain.data.sources.camvid import CamVidSequence, is_camvid
from geopretrain.data.sources.folder import image_files, open_folder
from geopretrain.data.sources.kitti_raw import KittiDrive, find_drives
from geopretrain.data.sources.seven_scenes import SevenScenesSequence, find_sequences
from geopretrain.data.sources.synthetic import PREFIX, open_synthetic
from geopretrain.data.sources.video import VIDEO_SUFFIXES, VideoClip
from geopretrain.errors import DataError

LAYOUTS = (
    "a video file, a folder of videos, a folder of images (or of such folders), KITTI raw "
    "(DATE/DRIVE/image_02/data with DATE/calib_cam_to_cam.txt), 7-Scenes (seq-XX/frame-*.color.*), "
    "CamVid in the SegNet layout (val/, valannot/), synthetic:street, synthetic:rooms"
)
# never frames of a camera, though they are image files
_NOT_FRAMES = {
    "depth",
    "depths",
    "label",
    "labels",
    "mask",
    "masks",
    "annotations",
    "annot",
    "proj_depth",
    "figures",
}


def open_source(spec: str | Path, intrinsics: np.ndarray | None = None) -> list[SourceClip]:
    """Open a video, folder or data set as clips, its layout recognised from what is there.

    Args:
        spec: path, or ``synthetic:KIND?frames=..&seed=..&worlds=N``.
        intrinsics: ``3 3`` in pixels of the original frames; replaces what the data set says.

    Raises:
        DataError: nothing there, unreadable, mixed sizes, or of no known layout (the message names those
            known).
        ConfigError: a synthetic spec with an unknown kind or option.
    """
    clips = _open(spec)
    if intrinsics is not None:
        for clip in clips:
            clip.set_intrinsics(intrinsics)
    return clips


def _open(spec: str | Path) -> list[SourceClip]:
    if str(spec).startswith(PREFIX):
        return list(open_synthetic(str(spec)))
    path = Path(spec).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist. Expected: {LAYOUTS}.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(
            f"{path} is a single image; depth is learned from neighbouring frames. Expected: {LAYOUTS}."
        )
    return [VideoClip(path, path.name)]


def _open_folder(path: Path) -> list[SourceClip]:
    if drives := find_drives(path):
        return [KittiDrive(drive, drive.name) for drive in drives]
    if sequences := find_sequences(path):
        return [SevenScenesSequence(folder, _short_name(folder, path)) for folder in sequences]
    if is_camvid(path):
        return [CamVidSequence(path, f"{path.name}/val")]
    clips: list[SourceClip] = [VideoClip(file, file.name) for file in _videos(path)]
    if not clips and image_files(path):
        return [open_folder(path, path.name)]
    clips += [open_folder(folder, _short_name(folder, path)) for folder in _image_folders(path)]
    if not clips:
        raise DataError(f"{path} has no known layout. Expected: {LAYOUTS}.")
    return clips


def _videos(path: Path) -> list[Path]:
    return sorted(
        (f for f in path.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES and f.is_file()), key=natural_key
    )


def _image_folders(path: Path) -> list[Path]:
    """Return folders one to three levels below which hold at least three images."""
    folders = [f for pattern in ("*", "*/*", "*/*/*") for f in path.glob(pattern) if f.is_dir()]
    wanted = [f for f in folders if not _hidden(f.relative_to(path).parts) and len(image_files(f)) >= 3]
    return sorted(wanted, key=lambda f: [natural_key(part) for part in f.parts])


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") or part.lower() in _NOT_FRAMES for part in parts)


def _short_name(folder: Path, root: Path) -> str:
    relative = folder.relative_to(root)
    return f"{root.name}/{relative}" if str(relative) != "." else f"{root.parent.name}/{root.name}"
