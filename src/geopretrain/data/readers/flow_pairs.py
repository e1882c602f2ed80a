"""Pairs of frames with known optical flow: KITTI, FlyingChairs, FlyingChairs2, stereo with depth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from geopretrain.console import console
from geopretrain.data.file_names import natural_key
from geopretrain.data.readers.base import SourceClip, Unusable, found_below
from geopretrain.data.readers.detect import open_source
from geopretrain.data.readers.flow_files import read_flow
from geopretrain.data.readers.folder import image_files
from geopretrain.data.readers.images import read_image
from geopretrain.errors import DataError
from geopretrain.wording import sides

ReadImage = Callable[[], np.ndarray]


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the flow between them: ``target[p] = source[p + flow[p]]``.

    Attributes:
        name: what the user knows it by.
        target, source: ``H W 3`` uint8.
        flow: ``2 H W`` float32 px (right, down), 0 where not valid.
        valid: ``H W`` bool, where the flow is known.
        occluded: ``H W`` bool, where the target's pixel is hidden or outside in the source; None when that is
            not said.
    """

    name: str
    target: np.ndarray
    source: np.ndarray
    flow: np.ndarray
    valid: np.ndarray
    occluded: np.ndarray | None = None


@dataclass(frozen=True)
class FlowPairFile:
    """A pair not read yet: its name and what reads it (DataError for damaged files or sizes that differ)."""

    name: str
    kind: str
    _read: Callable[[], FlowPair]

    def read(self) -> FlowPair:
        """Read images and flow.

        Raises:
            DataError: a file is unreadable or truncated, or images and flow are of different sizes.
        """
        pair = self._read()
        shapes = {pair.target.shape[:2], pair.source.shape[:2], pair.flow.shape[1:], pair.valid.shape}
        if pair.occluded is not None:
            shapes.add(pair.occluded.shape)
        if len(shapes) > 1:
            sizes = ", ".join(map(sides, sorted(shapes)))
            raise DataError(
                f"{self.name}: images and flow are of different sizes ({sizes}, each height x width)."
            )
        return pair


def open_flow_pairs(path: str | Path) -> list[FlowPairFile]:
    """Find the pairs with known flow at or below a folder; nothing is read yet.

    Of rectified stereo with depth, the left image is the target and the right one the source.

    Raises:
        DataError: there are none; the message names the layouts known.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Expected: {in_words()}.")
    pairs = flow_files(root) or _stereo(root)
    if not pairs:
        raise DataError(f"{root} holds no pairs with optical flow. Expected: {in_words()}.")
    return pairs


def flow_files(root: Path) -> list[FlowPairFile]:
    """Return the pairs whose flow is stored as such at or below a folder; none is no error."""
    return [pair for layout in LAYOUTS for pair in layout.find(root)]


def _in_order(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: [natural_key(part) for part in path.parts])


# ---------------------------------------------------------------- KITTI


def _kitti(root: Path) -> list[FlowPairFile]:
    """Return the pairs of KITTI 2012 and 2015: frames ``_10`` and ``_11``, flow of the ``_10``."""
    folders = [flow.parent for flow in found_below(root, "flow_occ")]
    return [pair for folder in _in_order(folders) for pair in _kitti_folder(folder)]


def _kitti_folder(folder: Path) -> list[FlowPairFile]:
    images = next((folder / n for n in ("image_2", "colored_0", "image_0") if (folder / n).is_dir()), None)
    if images is None:
        raise DataError(f"{folder} has flow_occ, but neither image_2, colored_0 nor image_0 beside it.")
    files = {file.stem: file for file in image_files(images)}
    pairs = []
    for flow in _in_order((folder / "flow_occ").glob("*_10.png")):
        stem = flow.stem[:-3]
        target, source = (_image(files, f"{stem}_{n}", images) for n in ("10", "11"))
        visible = folder / "flow_noc" / flow.name
        read = partial(_read_kitti, flow.stem, target, source, flow, visible if visible.is_file() else None)
        pairs.append(FlowPairFile(flow.stem, "kitti_flow", read))
    return pairs


def _read_kitti(
    name: str, target: ReadImage, source: ReadImage, flow: Path, visible: Path | None
) -> FlowPair:
    """Read a pair; what is known in flow_occ but not in flow_noc is occluded."""
    values, valid = read_flow(flow)
    occluded = None if visible is None else valid & ~read_flow(visible)[1]
    return FlowPair(name, target(), source(), values, valid, occluded)


# ---------------------------------------------------------------- FlyingChairs


def _chairs(root: Path) -> list[FlowPairFile]:
    pairs = []
    for flow in _in_order(found_below(root, "*_flow.flo")):
        stem = flow.name.removesuffix("_flow.flo")
        files = {file.stem: file for file in flow.parent.glob(f"{stem}_img?.*")}
        target, source = (_image(files, f"{stem}_img{n}", flow.parent) for n in (1, 2))
        read = partial(_read_chairs, stem, target, source, flow, None)
        pairs.append(FlowPairFile(stem, "flying_chairs", read))
    return pairs


def _chairs2(root: Path) -> list[FlowPairFile]:
    """Return the pairs of FlyingChairs2: each two images are a pair forwards (01) and one backwards (10)."""
    pairs = []
    for flow in _in_order(found_below(root, "*-flow_[01][01].flo")):
        stem, first, second = re.findall(r"(.*)-flow_(\d)(\d)", flow.stem)[0]
        files = {file.stem: file for file in flow.parent.glob(f"{stem}-img_?.*")}
        target, source = (_image(files, f"{stem}-img_{n}", flow.parent) for n in (first, second))
        hidden = flow.with_name(f"{stem}-occ_{first}{second}.png")
        name = f"{stem}-{first}{second}"
        read = partial(_read_chairs, name, target, source, flow, hidden if hidden.is_file() else None)
        pairs.append(FlowPairFile(name, "flying_chairs2", read))
    return pairs


def _read_chairs(
    name: str, target: ReadImage, source: ReadImage, flow: Path, hidden: Path | None
) -> FlowPair:
    values, valid = read_flow(flow)
    occluded = None if hidden is None else read_image(hidden)[..., 0] > 127
    return FlowPair(name, target(), source(), values, valid, occluded)


def _image(files: dict[str, Path], stem: str, folder: Path) -> ReadImage:
    """Return what reads an image of a pair; that it is not there costs this pair alone."""
    return partial(_read_image, files.get(stem), stem, folder)


def _read_image(file: Path | None, stem: str, folder: Path) -> np.ndarray:
    if file is None:
        raise DataError(f"{folder} has the flow of a pair, but not its image '{stem}'. Copy the pair again.")
    return read_image(file)


@dataclass(frozen=True)
class FlowLayout:
    """A way pairs with flow lie on disk: what it looks like, and what finds the pairs (none is no error)."""

    words: str
    find: Callable[[Path], list[FlowPairFile]]


LAYOUTS: list[FlowLayout] = [
    FlowLayout("KITTI (training/image_2 or colored_0 with flow_occ and flow_noc)", _kitti),
    FlowLayout("FlyingChairs (NNNNN_img1, _img2, _flow.flo)", _chairs),
    FlowLayout("FlyingChairs2 (NNNNNNN-img_0, -img_1, -flow_01.flo, -occ_01.png)", _chairs2),
]
"""Known layouts; a new one is a function and a row here."""


def in_words() -> str:
    """Return what the known layouts look like."""
    return ", ".join([*(layout.words for layout in LAYOUTS), "or stereo with depth"])


# ---------------------------------------------------------------- rectified stereo with depth


def _stereo(root: Path) -> list[FlowPairFile]:
    unusable: list[Unusable] = []
    try:
        clips = open_source(root, unusable=unusable)
    except DataError:
        return []  # open_flow_pairs says what was expected
    for one in unusable:
        console.warn_left_out(f"Left out: {one.reason}")
    return [
        FlowPairFile(f"{clip.name}/{index}", "stereo", partial(_read_stereo, clip, index))
        for clip in clips
        if clip.has_stereo and clip.intrinsics is not None
        for index in clip.depth_indices()
    ]


def _read_stereo(clip: SourceClip, index: int) -> FlowPair:
    """Return the left image as target, the right as source, and the flow its depth makes."""
    frame, right, depth = clip.frame(index), clip.stereo(index), clip.depth(index)
    if frame.image is None or right is None or depth is None:
        raise DataError(f"{clip.name}: {frame.error or 'a frame has no right image or no depth.'}")
    flow = flow_of_depth(depth, *_cameras(clip))
    return FlowPair(f"{clip.name}/{index}", frame.image, right, flow, depth > 0)


def _cameras(clip: SourceClip) -> Sequence[np.ndarray]:
    cameras = (clip.intrinsics, clip.T_to_stereo, clip.stereo_intrinsics)
    return [np.asarray(camera, dtype=np.float64) for camera in cameras]


def flow_of_depth(
    depth: np.ndarray, intrinsics: np.ndarray, T_to_source: np.ndarray, source_intrinsics: np.ndarray
) -> np.ndarray:
    """Return the flow (``2 H W`` px) of a static scene of known depth (``H W`` m); 0 where there is none."""
    y, x = np.nonzero(depth > 0)
    rays = np.linalg.inv(intrinsics) @ np.stack([x, y, np.ones_like(x)]).astype(np.float64)
    moved = source_intrinsics @ (T_to_source[:3, :3] @ (rays * depth[y, x]) + T_to_source[:3, 3:])
    flow = np.zeros((2, *depth.shape), dtype=np.float32)
    flow[:, y, x] = moved[:2] / moved[2] - np.stack([x, y])
    return flow
