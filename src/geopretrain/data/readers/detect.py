"""Recognise what a path is and open it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.readers.base import SourceClip, natural_key
from geopretrain.data.readers.camvid import CamVidSequence, is_camvid
from geopretrain.data.readers.cityscapes import CityscapesCity, find_cities
from geopretrain.data.readers.depth_folder import (
    DepthFolder,
    KittiDepth,
    KittiDepthSelection,
    NyuScene,
    find_depth_folders,
    find_kitti_depth,
    find_kitti_selections,
    find_nyu_scenes,
)
from geopretrain.data.readers.folder import image_files, open_folder
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.readers.kitti_odometry import KittiOdometrySequence, find_odometry
from geopretrain.data.readers.kitti_raw import KittiDrive, find_drives
from geopretrain.data.readers.seven_scenes import SevenScenesSequence, find_sequences
from geopretrain.data.readers.stereo_folder import (
    MiddleburyPair,
    StereoFolder,
    find_middlebury,
    find_stereo_folders,
)
from geopretrain.data.readers.synthetic import PREFIX, open_synthetic
from geopretrain.data.readers.tum_rgbd import TumSequence, find_tum
from geopretrain.data.readers.video import VIDEO_SUFFIXES, VideoClip
from geopretrain.errors import ConfigError, DataError

LAYOUTS = (
    "a video file, a folder of videos, a folder of images (or of such folders), left/ + right/ with "
    "calib.txt, images/ + depth/, KITTI raw (DATE/DRIVE/image_02/data with DATE/calib_cam_to_cam.txt), "
    "KITTI odometry (sequences/NN with calib.txt), KITTI depth (image_02/data + proj_depth/groundtruth), "
    "Cityscapes (leftImg8bit_sequence/SPLIT/CITY), Middlebury 2014 (im0, im1, calib.txt), NYU Depth v2 "
    "(rgb_*, sync_depth_*), TUM RGB-D (rgb.txt, depth.txt), 7-Scenes (seq-XX/frame-*.color.*), CamVid in the "
    "SegNet layout (val/, valannot/), synthetic:street, synthetic:rooms"
)
Reader = Callable[[Path, str], SourceClip]
# how the folders of a layout are found, and how one of them is opened; the first that finds any is taken
_DATA_SETS: tuple[tuple[Callable[[Path], list[Path]], Reader], ...] = (
    (find_drives, lambda drive, _: KittiDrive(drive, drive.name)),
    (find_odometry, KittiOdometrySequence),
    (find_kitti_depth, KittiDepth),
    (find_kitti_selections, KittiDepthSelection),
    (find_sequences, SevenScenesSequence),
    (find_cities, CityscapesCity),
    (find_middlebury, MiddleburyPair),
    (find_tum, TumSequence),
    (find_nyu_scenes, NyuScene),
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
    "disparity",
}


def open_source(
    spec: str | Path,
    intrinsics: np.ndarray | None = None,
    *,
    baseline: float | None = None,
    depth_unit: float | None = None,
) -> list[SourceClip]:
    """Open a video, folder or data set as clips, its layout recognised from what is there.

    Args:
        spec: path, or ``synthetic:KIND?frames=..&seed=..&worlds=N``.
        intrinsics: ``3 3`` in pixels of the original frames; replaces what the data set says.
        baseline: distance in metres between the cameras of ``left/`` and ``right/``, instead of calib.txt's.
        depth_unit: units per metre of 16-bit PNGs in ``depth/`` (1000: millimetres).

    Raises:
        DataError: nothing there, unreadable, mixed sizes, or of no known layout (the message names those
            known).
        ConfigError: a synthetic spec with an unknown kind or option, or a unit or baseline not above 0.
    """
    for name, value in (("baseline", baseline), ("depth unit", depth_unit)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"The {name} must be a number above 0, not {value:g}.")
    clips = _open(spec, baseline, depth_unit)
    if intrinsics is not None:
        for clip in clips:
            clip.set_intrinsics(intrinsics)
    return clips


def _open(spec: str | Path, baseline: float | None, depth_unit: float | None) -> list[SourceClip]:
    if str(spec).startswith(PREFIX):
        return list(open_synthetic(str(spec)))
    path = Path(spec).expanduser()
    if not path.exists():
        raise DataError(f"{path} does not exist. Expected: {LAYOUTS}.")
    if path.is_dir():
        return _open_folder(path, baseline, depth_unit)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(
            f"{path} is a single image; depth is learned from neighbouring frames. Expected: {LAYOUTS}."
        )
    return [VideoClip(path, path.name)]


def _open_folder(path: Path, baseline: float | None, depth_unit: float | None) -> list[SourceClip]:
    for find, reader in _DATA_SETS:
        if folders := find(path):
            return [reader(folder, _short_name(folder, path)) for folder in folders]
    if is_camvid(path):
        return [CamVidSequence(path, f"{path.name}/val")]
    clips: list[SourceClip] = [
        StereoFolder(folder, _short_name(folder, path), baseline=baseline, depth_unit=depth_unit)
        for folder in find_stereo_folders(path)
    ]
    clips += [
        DepthFolder(folder, _short_name(folder, path), depth_unit=depth_unit)
        for folder in find_depth_folders(path)
        if not (folder / "left").is_dir()
    ]
    return clips or _open_plain(path)


def _open_plain(path: Path) -> list[SourceClip]:
    """Open videos and folders of images with nothing beside them."""
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
    if str(relative) != ".":
        return f"{root.name}/{relative}"
    return f"{root.parent.name}/{root.name}".lstrip("/")  # a relative path has a parent without a name
