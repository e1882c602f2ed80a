"""Recognise what a path is and open it: one row for each layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from geopretrain.data.dataset import SYNTHETIC
from geopretrain.data.file_names import in_order, natural_key
from geopretrain.data.options import SourceOptions
from geopretrain.data.readers.base import SourceClip, Unusable, each, files_with, found_below, short_name
from geopretrain.data.readers.cameras.beside import with_cameras
from geopretrain.data.readers.camvid import CamVidSequence, is_camvid
from geopretrain.data.readers.cityscapes import open_cityscapes
from geopretrain.data.readers.depth_folder import (
    IMAGE_FOLDERS,
    DepthFolder,
    KittiDepth,
    KittiDepthSelection,
    NyuScene,
    find_depth_folders,
    find_kitti_depth,
    find_kitti_selections,
    find_nyu_scenes,
    unread_depth,
)
from geopretrain.data.readers.folder import image_files, open_folder
from geopretrain.data.readers.foreign import hint_for_folder, unread_pictures
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.readers.kinect import KinectScene, find_kinect
from geopretrain.data.readers.kitti_odometry import KittiOdometrySequence, find_odometry
from geopretrain.data.readers.kitti_raw import open_kitti_raw
from geopretrain.data.readers.kitti_stereo import open_kitti_stereo
from geopretrain.data.readers.mat_clips import open_ibims, open_nyu_labelled
from geopretrain.data.readers.seven_scenes import SevenScenesSequence, find_sequences
from geopretrain.data.readers.stereo_folder import (
    MiddleburyPair,
    StereoFolder,
    find_middlebury,
    find_stereo_folders,
)
from geopretrain.data.readers.synthetic import open_synthetic
from geopretrain.data.readers.tum_rgbd import TumSequence, find_tum
from geopretrain.data.readers.video import VIDEO_SUFFIXES, VideoClip
from geopretrain.data.spec import place_of, refuse_unknown
from geopretrain.errors import DataError


@dataclass(frozen=True)
class ClipLayout:
    """A way video lies on disk.

    Attributes:
        name: of the layout, as docs/data.md has it.
        words: what it looks like, for people who look for their own.
        open: returns the clips at what the user named, and those of them that are `Unusable`; none where that
            is of another layout. Raises DataError where it is of this one, but cannot be used at all.
        takes_options: whether options may stand behind the path, which ``open`` then checks.
    """

    name: str
    words: str
    open: Callable[[str, SourceOptions], Sequence[SourceClip | Unusable]]
    takes_options: bool = False


_NONE: tuple[ClipLayout | None, list[SourceClip | Unusable]] = (None, [])


def _folders(find: Callable[[Path], list[Path]], reader: Callable[[Path, str], SourceClip]) -> Callable:
    """Return what opens a data set whose clips are folders that ``find`` finds."""

    def open_them(spec: str, options: SourceOptions) -> list[SourceClip | Unusable]:
        path = _path(spec)
        return each(find(path), lambda f: reader(f, short_name(f, path))) if path.is_dir() else []

    return open_them


def _worlds(spec: str, options: SourceOptions) -> Sequence[SourceClip]:
    return open_synthetic(spec) if spec.startswith(SYNTHETIC) else []


def _video(spec: str, options: SourceOptions) -> list[SourceClip]:
    path = _path(spec)
    is_video = path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES | {".mat"}
    return [VideoClip(path, path.name)] if is_video else []


def _camvid(spec: str, options: SourceOptions) -> list[SourceClip]:
    path = _path(spec)
    return [CamVidSequence(path, f"{path.name}/val")] if is_camvid(path) else []


def _stereo_and_depth(spec: str, options: SourceOptions) -> list[SourceClip | Unusable]:
    path, unit = _path(spec), options.depth_unit
    if not path.is_dir():
        return []
    stereo = each(
        find_stereo_folders(path),
        lambda f: StereoFolder(f, short_name(f, path), baseline=options.baseline, depth_unit=unit),
    )
    depth = each(
        (folder for folder in find_depth_folders(path) if not (folder / "left").is_dir()),
        lambda f: DepthFolder(f, short_name(f, path), depth_unit=unit),
    )
    return [*stereo, *depth]


def _videos_and_images(spec: str, options: SourceOptions) -> list[SourceClip | Unusable]:
    path = _path(spec)
    if not path.is_dir():
        return []
    videos = each(_video_files(path), lambda file: VideoClip(file, file.name))
    if not videos and image_files(path):
        return [open_folder(path, path.name)]
    return [*videos, *each(_image_folders(path), lambda folder: _folder_of_images(folder, path))]


def _folder_of_images(folder: Path, root: Path) -> SourceClip:
    clip = open_folder(folder, short_name(folder, root))
    clip.warnings += [said] if (said := unread_depth(folder)) else []
    return clip


LAYOUTS: list[ClipLayout] = [
    ClipLayout("synthetic worlds", "synthetic:street, synthetic:rooms", _worlds, takes_options=True),
    ClipLayout("video", "a video file", _video),
    ClipLayout(
        "KITTI raw",
        "KITTI raw (DATE/DRIVE/image_02/data with DATE/calib_cam_to_cam.txt)",
        lambda spec, options: open_kitti_raw(spec),
        takes_options=True,
    ),
    ClipLayout(
        "KITTI odometry",
        "KITTI odometry (sequences/NN with calib.txt)",
        _folders(find_odometry, KittiOdometrySequence),
    ),
    ClipLayout(
        "KITTI depth",
        "KITTI depth (image_02/data + proj_depth/groundtruth)",
        _folders(find_kitti_depth, KittiDepth),
    ),
    ClipLayout(
        "KITTI depth selection",
        "KITTI depth's validation selection (image/ + groundtruth_depth/)",
        _folders(find_kitti_selections, KittiDepthSelection),
    ),
    ClipLayout(
        "7-Scenes", "7-Scenes (seq-XX/frame-*.color.*)", _folders(find_sequences, SevenScenesSequence)
    ),
    ClipLayout(
        "Cityscapes",
        "Cityscapes (leftImg8bit_sequence/SPLIT/CITY)",
        lambda spec, options: open_cityscapes(spec),
        takes_options=True,
    ),
    ClipLayout(
        "Middlebury 2014", "Middlebury 2014 (im0, im1, calib.txt)", _folders(find_middlebury, MiddleburyPair)
    ),
    ClipLayout("TUM RGB-D", "TUM RGB-D (rgb.txt, depth.txt)", _folders(find_tum, TumSequence)),
    ClipLayout("NYU Depth v2", "NYU Depth v2 (rgb_*, sync_depth_*)", _folders(find_nyu_scenes, NyuScene)),
    ClipLayout(
        "NYU Depth v2, raw",
        "a raw scene of NYU Depth v2 (r-*.ppm, d-*.pgm)",
        _folders(find_kinect, KinectScene),
    ),
    ClipLayout(
        "NYU Depth v2, labelled",
        "nyu_depth_v2_labeled.mat",
        lambda spec, options: open_nyu_labelled(_path(spec)),
    ),
    ClipLayout("iBims-1", "iBims-1 (ibims1_core_mat)", lambda spec, options: open_ibims(_path(spec))),
    ClipLayout(
        "KITTI stereo",
        "KITTI stereo (training/image_2 or colored_0 with training/disp_occ_0 or disp_occ, and cameras)",
        lambda spec, options: open_kitti_stereo(_path(spec)),
    ),
    ClipLayout("CamVid", "CamVid in the SegNet layout (val/, valannot/)", _camvid),
    ClipLayout(
        "stereo or depth folder", "left/ + right/ with calib.txt, images/ + depth/", _stereo_and_depth
    ),
    ClipLayout(
        "folder of videos or images",
        "a folder of videos, a folder of images (or of such folders)",
        _videos_and_images,
    ),
]
"""Known layouts; the first that gives clips is taken. A new reader is a class and a row here."""


def in_words() -> str:
    """Return what the known layouts look like, the most general first."""
    return ", ".join(layout.words for layout in reversed(LAYOUTS))


def open_source(
    spec: str | Path,
    intrinsics: np.ndarray | None = None,
    *,
    baseline: float | None = None,
    depth_unit: float | None = None,
    value_range: tuple[float, float] | None = None,
    camera_file: str | PathLike[str] | None = None,
    unusable: list[Unusable] | None = None,
) -> list[SourceClip]:
    """Open a video, folder or data set as clips, its layout recognised from what is there.

    Args:
        spec: path, or ``synthetic:KIND?frames=..&seed=..&worlds=N``.
        intrinsics: ``3 3`` in pixels of the original frames; replaces what the data set says.
        baseline: distance in metres between the cameras of ``left/`` and ``right/``, instead of calib.txt's.
        depth_unit: units per metre of 16-bit PNGs in ``depth/`` (1000: millimetres).
        value_range: values of pictures of more than 8 bits that become 0 and 255.
        camera_file: cameras of the clips, see `cameras.beside`; None: looked for beside them.
        unusable: gets the files and folders among others that cannot be opened; where it is None, the first
            of them is an error.

    Raises:
        DataError: nothing there, nothing readable, mixed sizes, or of no known layout (the message names
            those known).
        ConfigError: a synthetic spec with an unknown kind or option, or a unit or baseline not above 0.
    """
    options = SourceOptions(baseline=baseline, depth_unit=depth_unit, range=value_range)
    if hint := hint_for_folder(_path(str(spec))):
        raise DataError(hint)
    layout, found = next(
        ((one, list(all_)) for one in LAYOUTS if (all_ := one.open(str(spec), options))), _NONE
    )
    if layout is None:
        raise DataError(_why_not(_path(str(spec))))
    if not layout.takes_options and _path(str(spec)).exists():  # else a plugin's own way to say it
        refuse_unknown(str(spec), ())
    clips = [clip for clip in found if isinstance(clip, SourceClip)]
    bad = [clip for clip in found if isinstance(clip, Unusable)]
    if bad and (unusable is None or not clips):
        raise DataError(none_usable(bad) if not clips else bad[0].reason)
    if unusable is not None:
        unusable += bad
    for clip in clips:
        clip.use_range(options.range)
    if intrinsics is None:
        return [with_cameras(clip, camera_file) for clip in clips]
    for clip in clips:
        clip.set_intrinsics(intrinsics)
    return clips


def none_usable(bad: Sequence[Unusable]) -> str:
    """Return the sentence about files and folders of which not one can be opened."""
    if len(bad) == 1:
        return bad[0].reason
    return f"None of {len(bad)} files and folders can be used. The first: {bad[0].reason}"


def _why_not(path: Path) -> str:
    expected = f"Expected: {in_words()}."
    if not path.exists():
        return f"{path} does not exist. {expected}"
    if path.is_file():
        return f"{path} is a single image; depth is learned from neighbouring frames. {expected}"
    places = (path, *(path / name for name in IMAGE_FOLDERS))
    if unread := next((said for place in places if (said := unread_pictures(place))), None):
        return f"{path} holds no video, and no picture that is read. {unread}"
    return f"{path} has no known layout. {expected}"


def _path(spec: str) -> Path:
    return place_of(spec)


def _video_files(path: Path) -> list[Path]:
    return in_order(files_with(path, VIDEO_SUFFIXES))


# never frames of a camera, though they are image files
_NOT_FRAMES = {
    *("depth", "depths", "proj_depth", "disparity"),
    *(
        f"{what}_{of}{time}"
        for what in ("disp", "flow")
        for of in ("occ", "noc")
        for time in ("", "_0", "_1")
    ),
    *("label", "labels", "mask", "masks", "annotations", "annot", "semantic", "semantic_rgb", "instance"),
    "figures",
}


def _image_folders(path: Path) -> list[Path]:
    """Return folders one to three levels below which hold at least three images."""
    folders = [f for f in found_below(path, "*") if f.is_dir()]
    wanted = [f for f in folders if not _no_frames(f.relative_to(path).parts) and _may_be_a_clip(f)]
    return sorted(wanted, key=lambda f: [natural_key(part) for part in f.parts])


def _may_be_a_clip(folder: Path) -> bool:
    try:
        return len(image_files(folder)) >= 3
    except DataError:  # opening it says why it cannot be listed
        return True


def _no_frames(parts: Sequence[str]) -> bool:
    return any(part.lower() in _NOT_FRAMES for part in parts)
