"""What DepthMix needs: the labelled images, and a depth network that says what is near in them."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.nearness import Look, WithNearness, relative_nearness
from geopretrain.errors import OptionError
from geopretrain.schema import Device
from geopretrain.training.settings import LoopSettings

USES = "--settings depth_mix=0.5 mixes images by their depth, depth_input=true shows it to the network"


def check_depth(options: FinetuneSegmentationOptions, used: bool) -> None:
    """Refuse mixing or showing depth without any, and depth that nothing is done with.

    Raises:
        OptionError: one is missing.
    """
    if used and options.depth_from is None:
        raise OptionError(
            "depth_from", f"is missing: {USES}. Give a run of a depth method; depth_mix takes a teacher, too."
        )
    if options.depth_from is not None and not used:
        raise OptionError("depth_from", f"says nothing alone: {USES}.")


def check_parts(loop: LoopSettings, images: int) -> None:
    """Refuse steps in which no two images meet.

    Raises:
        OptionError: there is one.
    """
    if loop.batch_size // loop.parts < 2 or images < 2:
        found = "there is one image to learn from" if images < 2 else "a part of a step holds one"
        raise OptionError(
            "settings",
            f"asks for depth_mix, which puts two images together, and {found}. Use a larger --batch-size, a "
            "smaller --accumulate or --devices, or more --labels.",
        )


def seen_by(source: str, device: Device) -> Look:
    """Return what a depth network sees; it is loaded when it is first asked.

    Args:
        source: run folder of a depth method, folder of a transformers model, or its name on the hub.
        device: that it computes on.

    Raises:
        WeightsError: it cannot be read.
    """
    from geopretrain.prediction.teachers import load_teacher, teacher_digest

    teacher = cache(lambda: load_teacher(source, device=device))

    def see(images: Tensor) -> Tensor:
        return relative_nearness(teacher()(images), teacher().info)

    return Look(teacher_digest(source), see)


def with_nearness(
    options: FinetuneSegmentationOptions, labelled: LabelledSet, device: Device
) -> tuple[WithNearness, dict[str, Any]]:
    """Return the labelled images with their nearness, and what lineage.json keeps of where it is from."""
    look = seen_by(str(options.depth_from), device)
    return WithNearness(labelled, look), {"data": str(options.depth_from), "fingerprint": look.identity}
