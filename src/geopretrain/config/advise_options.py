"""The options of ``advise``."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from geopretrain.config.groups import DataRootOptions, DeviceOptions, ProgressOptions
from geopretrain.schema import AnySize, Count, FilePath, Seed, checked


@checked
class AdviseOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Options of ``advise``."""

    video: FilePath = field(kw_only=False)
    """Prepared store, or a video, folder of frames or data set, which is prepared first."""
    labelled: FilePath = field(kw_only=False)
    """Labelled data: class maps, boxes, or frames with measured depth; see the transfers."""
    task: Literal["segmentation", "detection", "depth"] | None = None
    """What is to be learned from the labels; left away: what they are fit for."""
    labels: Count | None = None
    """Number of labelled images that you want to learn from; left away: all there are."""
    init: FilePath | None = None
    """Run folder or weights file whose features are probed beside those of ImageNet."""
    backbone: str | None = None
    """Any timm model; left away: that of ``init``, else tf_efficientnet_lite0, which most measurements are
    of."""
    size: AnySize = None
    """Height and width in px to read the labelled images at, e.g. 96x128 (height first)."""
    measured: FilePath | None = None
    """YAML file with measurements of your own, in the form of ours, which count as much as these."""
    seed: Seed = 0
    """Fixes which images the probe is fitted on."""
    json: bool = False
    """Print everything as JSON instead of words, and nothing else."""
    out: FilePath | None = None
    """Folder to write advice.json and advice.txt into as well."""
