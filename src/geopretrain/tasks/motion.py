"""Camera motion between the frames of a sample, for methods that predict it from pairs of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor

from geopretrain import geometry
from geopretrain.errors import WeightsError
from geopretrain.networks import MotionEncoder, PoseNet, RotationNet
from geopretrain.weights import Init, LoadReport, normalise_like_timm, read_lineage
from geopretrain.weights.loading import fits_whole, rename
from geopretrain.wording import counted

POSE, ROTATION, MOTION = "pose.backbone.", "rotation.backbone.", "motion.backbone."
"""Prefixes that the encoders of networks over pairs are saved under."""
Pair = tuple[Tensor, Tensor]
Net = TypeVar("Net", PoseNet, RotationNet, MotionEncoder)
WITH_A_PACKAGE = "tf_efficientnet_lite0"
"""Whose ImageNet weights come with a package."""


@dataclass(frozen=True)
class PairStart:
    """What the encoders of networks over pairs begin with.

    Attributes:
        choice: the option.
        init: what the task starts from.
        others: what ``init`` has beside its backbone; an encoder that is there and fits is taken from there.
        names: of the options, ``pose`` for ``pose_init`` and ``pose_backbone``.
        from_imagenet: prefixes of those that were given ImageNet's weights.
    """

    choice: Literal["auto", "imagenet", "random"]
    init: Init
    others: Mapping[str, Tensor]
    names: str = "pose"
    from_imagenet: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether ImageNet's weights are.

        With ``auto`` where the task's own encoder has them, at once or as the first of several trainings:
        otherwise a run that knows no motion would be held against ImageNet with a pose network of random
        numbers.
        """
        if self.init.shape_only or self.choice == "random":
            return False
        if self.choice == "imagenet" or self.init.kind != "run":
            return "imagenet" in (self.choice, self.init.kind)
        chain = read_lineage(self.init.source).get("chain") or [{}]
        return bool(chain[0].get("kind") == "imagenet")

    def say(self, report: LoadReport) -> None:
        """Take what ImageNet gave off the list of what began with random numbers."""
        for part in self.from_imagenet:
            given = [name for name in report.reinitialised if name.startswith(part)]
            report.reinitialised = [name for name in report.reinitialised if not name.startswith(part)]
            report.besides.append(f"{part.rstrip('.')} from ImageNet: {counted(len(given), 'tensor')}")


def pair_net(build: Callable[[bool], Net], part: str, start: PairStart) -> Net:
    """Return a network over pairs of images, with the weights that its encoder begins with.

    Args:
        build: gives the network, with ImageNet's weights or with random numbers.
        part: prefix that its encoder is saved under.
        start: what it begins with; told where these are ImageNet's.

    Raises:
        WeightsError: its ImageNet weights cannot be had.
    """
    given = rename(start.others, {part: ""})
    if not start.wanted or given:
        net = build(False)
        if not start.wanted or fits_whole(net.backbone.model, given):
            return net
    try:
        net = build(True)
    except WeightsError as error:
        why = str(error).split(": ")[0].split(", which")[0]
        raise WeightsError(
            f"The {part.split('.')[0]} network begins with ImageNet's weights, as the encoder did, and they "
            f"are not there: {why}. Choose another encoder for it (--settings {start.names}_backbone="
            f"{WITH_A_PACKAGE}), or random numbers (--settings {start.names}_init=random)."
        ) from error
    normalise_like_timm(net.backbone)
    start.from_imagenet.append(part)
    return net


def of_pairs(net: Callable[[Tensor, Tensor], Tensor], pairs: Sequence[Pair], together: bool) -> Tensor:
    """Return a network's answers ``P B ...`` to P pairs of images ``B ...``.

    Args:
        net: takes the first and the second image of pairs.
        pairs: of images.
        together: all in one batch, instead of one after the other.
    """
    if not together:
        return torch.stack([net(*pair) for pair in pairs])
    first, second = (torch.cat(side) for side in zip(*pairs, strict=True))
    answers: Tensor = net(first, second).unflatten(0, (len(pairs), -1))
    return answers


def in_time_order(frames: Tensor, offsets: Sequence[int]) -> list[Pair]:
    """Return the target and each neighbour of ``B F ...``, in the order in which they were taken."""
    target, *neighbours = frames.unbind(1)
    pairs = zip(neighbours, offsets[1:], strict=True)
    return [(frame, target) if offset < 0 else (target, frame) for frame, offset in pairs]


def poses_in_time_order(axis_angle: Tensor, translation: Tensor, offsets: Sequence[int]) -> Tensor:
    """Turn motions in the order of time (``P B 3``) into ``T_target_to_source`` (``B P 4 4``).

    For an earlier neighbour the predicted motion leads from it to the target and is inverted.
    """
    poses = []
    with torch.autocast(axis_angle.device.type, enabled=False):  # bf16 has too few digits for geometry
        for angles, shift, offset in zip(axis_angle, translation, offsets[1:], strict=True):
            T = geometry.pose_matrix(angles, shift)
            poses.append(geometry.invert_pose(T) if offset < 0 else T)
    return torch.stack(poses, 1)


def motion_logs(angles: Tensor, translation: Tensor) -> dict[str, Tensor]:
    """Return the mean length of rotations (rad) and translations, ``... 3``, to log."""
    return {
        "pose_translation": translation.norm(dim=-1).mean(),
        "pose_rotation": angles.norm(dim=-1).mean(),
    }
