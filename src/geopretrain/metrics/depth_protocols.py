"""Named protocols of depth evaluation: which pixels count, and how a prediction is made comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geopretrain.errors import ConfigError, nearest_name

# Crops as fractions of the image (top, bottom, left, right), cut down to whole pixels.
CROPS = {
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "nyu": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
}


_ALIGNMENTS = {
    "none": "not aligned",
    "median": "scaled by the median of each picture",
    "scale": "scaled by least squares in depth in each picture",
    "scale_shift": "scaled and shifted by least squares in disparity in each picture",
    "scale_shift_depth": "scaled and shifted by least squares in depth in each picture",
}


@dataclass(frozen=True)
class DepthProtocol:
    """How a predicted depth map is made comparable with the truth.

    Attributes:
        name: the name results are stored under.
        min_depth: pixels with truth at or below it (m) are left out, predictions are clipped to it.
        max_depth: pixels with truth at or above it (m) are left out, predictions are clipped to it.
        crop: ``'garg'`` (Garg et al. 2016, KITTI), ``'eigen'`` (Eigen et al. 2014, KITTI), ``'nyu'`` (Eigen
            et al. 2014, NYU), or None for the whole image.
        alignment: ``'median'`` scales each prediction to the median of its truth; ``'scale'`` by the factor
            of least squares in depth; ``'scale_shift'`` also shifts it, by least squares in disparity (Ranftl
            et al. 2020), ``'scale_shift_depth'`` in depth; ``'none'`` leaves it.
        scale: fixed factor applied before the alignment, e.g. 5.4 for Monodepth2 trained on stereo pairs.
        lower_median: of two middle values take the lower one instead of their mean, as ``torch.median``.
        resized: what is brought to the size of the truth, ``'disparity'`` or ``'depth'``.
        drop: fraction of the pixels with the largest relative error that is left out of every image.
        far_truth: pixels with truth beyond ``max_depth`` count, although predictions are clipped to it.
        clip: whether predictions are clipped.
        by_distance: whether errors by distance are taken, and directed errors of every picture.
        smallest_plane: pixels below which a plane is not scored; None: 5 % of the picture.
        bottom: (height, width) px in the middle of the lower edge of picture and truth that is looked at
            alone; None: all of it.
    """

    name: str
    min_depth: float = 1e-3
    max_depth: float = 80.0
    crop: Literal["garg", "eigen", "nyu"] | None = None
    alignment: Literal["median", "scale", "scale_shift", "scale_shift_depth", "none"] = "median"
    scale: float = 1.0
    lower_median: bool = False
    resized: Literal["disparity", "depth"] = "disparity"
    drop: float = 0.0
    far_truth: bool = False
    clip: bool = True
    by_distance: bool = False
    smallest_plane: float | None = None
    bottom: tuple[int, int] | None = None

    @property
    def alignment_in_words(self) -> str:
        """What is done to the unit of a prediction before it is scored."""
        said = _ALIGNMENTS[self.alignment]
        return said if self.scale == 1 else f"times {self.scale:g}, {said}"


def _benchmark(name: str, **more: Any) -> DepthProtocol:
    """KITTI's improved truth (Uhrig et al. 2017), as Monodepth2's table 6: whole image, all truth."""
    return DepthProtocol(name, far_truth=True, **more)


def _general(name: str, **more: Any) -> DepthProtocol:
    return DepthProtocol(name, max_depth=1000.0, **more)


def _sc_depth(name: str, max_depth: float, **more: Any) -> DepthProtocol:
    """SC-Depth's released evaluation."""
    return DepthProtocol(name, min_depth=0.1, max_depth=max_depth, lower_median=True, resized="depth", **more)


def _mim(name: str, **more: Any) -> DepthProtocol:
    """MIM-Depth-Estimation's released evaluation, used by MeSa; of KITTI the network sees 352x1216 there."""
    return DepthProtocol(name, alignment="none", clip=False, **more)


def _ibims(name: str, **more: Any) -> DepthProtocol:
    """Koch et al. (2018): all pixels that truth and prediction know; planes of 5 % of 640x480."""
    return DepthProtocol(
        name, min_depth=0.0, max_depth=1000.0, clip=False, by_distance=True, smallest_plane=15360.0, **more
    )


_ALL = (
    DepthProtocol("kitti-eigen-garg-80-median", crop="garg"),
    DepthProtocol("kitti-eigen-garg-80-stereo", crop="garg", alignment="none", scale=5.4),
    DepthProtocol("kitti-eigen-garg-80-metric", crop="garg", alignment="none"),
    _benchmark("kitti-benchmark-80", alignment="none"),
    _benchmark("kitti-benchmark-80-median"),
    _benchmark("kitti-benchmark-80-stereo", alignment="none", scale=5.4),
    DepthProtocol("nyu-10", max_depth=10.0, crop="nyu", alignment="none"),
    DepthProtocol("nyu-10-median", max_depth=10.0, crop="nyu"),
    DepthProtocol("cityscapes-80-median-drop5", drop=0.05),
    DepthProtocol("dense-10-median", max_depth=10.0),
    DepthProtocol("dense-80-median"),
    DepthProtocol("dense-80-metric", alignment="none"),
    _general("metric", alignment="none"),
    _general("aligned-median"),
    _general("aligned-scale", alignment="scale"),
    _general("aligned-scale-shift", alignment="scale_shift"),
    _general("aligned-scale-shift-depth", alignment="scale_shift_depth"),
    _ibims("ibims", alignment="none"),
    _ibims("ibims-median"),
    _ibims("ibims-scale", alignment="scale"),
    _ibims("ibims-scale-shift", alignment="scale_shift"),
    _sc_depth("scdepth-kitti-80-median", 80.0, crop="garg"),
    _sc_depth("scdepth-nyu-10-median", 10.0, crop="nyu"),
    _sc_depth("scdepth-ddad-200-median", 200.0),
    _mim("mim-nyu-10", max_depth=10.0, crop="nyu"),
    _mim("mim-kitti-80-garg", crop="garg"),
    _mim("mim-kitti-80-eigen", crop="eigen"),
    _mim("mim-kitti-bottom-80-garg", crop="garg", bottom=(352, 1216)),
    _mim("mim-kitti-bottom-80-eigen", crop="eigen", bottom=(352, 1216)),
)
PROTOCOLS: dict[str, DepthProtocol] = {protocol.name: protocol for protocol in _ALL}
# What a frame store calls its kind of truth.
_SHORT = {"kitti": "kitti-eigen-garg-80-median", "dense": "dense-80-median", "nyu": "nyu-10-median"}


def get_protocol(name: str, others: Sequence[str] = ()) -> DepthProtocol:
    """Return the protocol called ``name``; ``kitti``, ``dense``, ``nyu`` stand for the median-scaled ones.

    Args:
        name: of it.
        others: names that are known besides, of what is no depth map.

    Raises:
        ConfigError: there is no such protocol.
    """
    full = _SHORT.get(name, name)
    if full not in PROTOCOLS:
        known = [*_SHORT, *PROTOCOLS, *others]
        raise ConfigError(
            f"There is no depth protocol '{name}'.{nearest_name(name, known)} Known are: {', '.join(known)}."
        )
    return PROTOCOLS[full]


def measured(gt: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.bool_]:
    """Pixels of ``gt`` (``H W``, m) that are measured and in range, wherever they are."""
    return (gt > protocol.min_depth) & np.isfinite(gt) & ((gt < protocol.max_depth) | protocol.far_truth)


def valid_mask(gt: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.bool_]:
    """Pixels of ``gt`` (``H W``, m, 0 = no measurement) that count: measured, in range, inside the crop."""
    mask = measured(gt, protocol)
    if protocol.crop is not None:
        height, width = gt.shape
        top, bottom, left, right = CROPS[protocol.crop]
        inside = np.zeros_like(mask)
        inside[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = True
        mask &= inside
    return mask
