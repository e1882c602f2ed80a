"""The options of each command."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from geopretrain.config.groups import (
    ComputeOptions,
    CurvePoints,
    InitOptions,
    LabelledOptions,
    OutputOptions,
    ProgressOptions,
    SettingsOptions,
    TrainingOptions,
    VideoOptions,
    require,
)
from geopretrain.errors import one_of
from geopretrain.schema import FilePath, checked
from geopretrain.tasks.registry import PRETEXTS

Mode = Literal["full", "encoder", "frozen"]
SUPERVISION = {"M": "mono", "S": "stereo", "MS": "both"}
"""The names of Wang et al. for what a depth network learns from."""


@checked
class TrainCommandOptions(
    ProgressOptions, ComputeOptions, SettingsOptions, TrainingOptions, InitOptions, OutputOptions
):
    """What every training command has (the fields of the last class come first)."""

    def __post_init__(self) -> None:
        if self.resume is False:
            require(self, "out", "data")


@checked
class PretrainOptions(TrainCommandOptions, VideoOptions):
    """Options of ``pretrain``."""

    method: str = field(default="monodepth", kw_only=False)
    """Pre-training method: monodepth, scdepth, geometric_flow, optical_flow or depth_supervised."""

    def __post_init__(self) -> None:
        one_of("method", self.method, PRETEXTS)
        super().__post_init__()


@checked
class FinetuneSegmentationOptions(TrainCommandOptions, LabelledOptions):
    """Options of ``finetune segmentation``."""

    mode: Mode = "full"
    """What is trained: full (encoder and decoder from init), encoder (fresh decoder), frozen (encoder
    unchanged)."""
    curve_points: CurvePoints = 6
    """Number of evaluations, each at twice the steps of the last, or the steps themselves with commas."""
    evaluate_on: Literal["test", "val"] = "test"
    """Split that is scored; val for choosing settings."""
    as_released: bool = False
    """Behave like the released script of Lao et al., defects included."""


@checked
class FinetuneDepthOptions(TrainCommandOptions, VideoOptions):
    """Options of ``finetune depth``."""

    supervision: Literal["mono", "stereo", "both", "M", "S", "MS"] = "mono"
    """What to learn from: mono (M: neighbours in time), stereo (S) or both (MS)."""
    evaluate_data: FilePath | None = None
    """What to score on, see evaluate; left away: ``data``, where it is a store with depth."""
    protocol: str | None = None
    """Name of the protocol; left away: the one that suits the data and what the run knows."""
    flip: bool = False
    """Average predictions with those of the mirrored images when scoring."""
