"""The options of a method that learns from video beside the labels, for the commands that have one."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Annotated

from geopretrain.config.groups import Settings
from geopretrain.errors import OptionError, one_of
from geopretrain.schema import BatchSize, FilePath, FilePaths, Positive, Words, checked, defaults
from geopretrain.tasks.registry import PRETEXTS

DepthMethod = Annotated[str, Words("a method that learns depth from video", "METHOD")]


@checked
class AuxiliaryOptions:
    """What is learned beside the labels, in the same steps."""

    auxiliary: DepthMethod | None = None
    """Method that learns depth from video without labels on the backbone that learns the labels: monodepth,
    scdepth or depth_supervised; left away: none."""
    auxiliary_data: FilePaths | None = None
    """What it learns from: a prepared store, or a video, folder of frames or data set, which is prepared
    first."""
    auxiliary_weight: Positive = 1.0
    """Weight of its loss beside that of the labels, e.g. 0.1."""
    auxiliary_batch_size: BatchSize | None = None
    """Samples of the video in a step, at most as many as labelled images; left away: as many."""
    auxiliary_settings: Settings = field(default_factory=dict)
    """Settings of that method as name=value, e.g. scales=1."""


@checked
class MixingOptions:
    """How images are mixed."""

    depth_from: FilePath | None = None
    """Run of a depth method, or a teacher as for data pseudo-depth, that says what is near in the labelled
    images, for --settings depth_mix=0.5, or shows it to the network, for depth_input=true (a run)."""


AUXILIARY = tuple(one.name for one in fields(AuxiliaryOptions))
"""Names of these options."""


def check_auxiliary(options: AuxiliaryOptions) -> None:
    """Refuse options that say nothing without each other.

    Raises:
        OptionError: one is missing.
        ConfigError: the method is unknown.
    """
    standard = defaults(AuxiliaryOptions)
    changed = [name for name in AUXILIARY if getattr(options, name) != standard[name]]
    for needed in ("auxiliary", "auxiliary_data"):
        if changed and needed not in changed:
            raise OptionError(
                needed,
                "is missing: a method beside the labels (--auxiliary METHOD) learns from video "
                f"(--auxiliary-data VIDEO), and --{changed[0].replace('_', '-')} says nothing without both.",
            )
    if options.auxiliary is not None:
        one_of("auxiliary", options.auxiliary, PRETEXTS)
