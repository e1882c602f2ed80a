"""Camera motion between the frames of a sample, for methods that predict it from pairs of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor

from geopretrain import geometry
from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, PoseNet, RotationNet
from geopretrain.weights import Init, LoadReport, normalise_like_timm, read_lineage
from geopretrain.wording import counted

PoseInit = Literal["auto", "imagenet", "random"]
"""What the encoder of a network over pairs begins with."""
POSE, ROTATION, MOTION = "pose.backbone.", "rotation.backbone.", "motion.backbone."
"""Prefixes that the encoders of networks over pairs are saved under."""
Pair = tuple[Tensor, Tensor]
Net = TypeVar("Net", PoseNet, RotationNet)


def begins_with_imagenet(choice: PoseInit, init: Init, others: Mapping[str, Tensor], part: str) -> bool:
    """Return whether the encoder of a network over pairs begins with ImageNet's weights.

    With ``auto`` it does where the task's own encoder did, at once or as the first of several trainings:
    otherwise a run that knows no motion would be held against ImageNet with a pose network of random numbers.

    Args:
        choice: the option.
        init: what the task starts from.
        others: what ``init`` has beside its backbone.
        part: prefix of the encoder in ``others``; what is there is taken from there.
    """
    if choice != "auto" or init.kind != "run":
        return "imagenet" in (choice, init.kind) and choice != "random"
    chain = read_lineage(init.source).get("chain") or [{}]
    return chain[0].get("kind") == "imagenet" and not any(name.startswith(part) for name in others)


def pair_net(kind: type[Net], name: str, pretrained: bool, backbone: Backbone) -> Net:
    """Return a network over pairs of images.

    Args:
        kind: of network.
        name: of its encoder, any timm model.
        pretrained: whether its encoder begins with ImageNet's weights.
        backbone: of the task, whose normalisation new weights share.

    Raises:
        WeightsError: its ImageNet weights cannot be had.
    """
    try:
        net = kind(name, pretrained, **backbone.normalisation)
    except WeightsError as error:  # another encoder than that of --backbone
        said = str(error).replace("--backbone ", "--settings pose_backbone=")
        raise WeightsError(f"The pose network: {said} Or --settings pose_init=random.") from error
    if pretrained:
        normalise_like_timm(net.backbone)
    return net


def say_where_from(report: LoadReport, part: str) -> None:
    """Take what ImageNet gave a network over pairs off the list of what began with random numbers."""
    if new := [name for name in report.reinitialised if name.startswith(part)]:
        report.reinitialised = [name for name in report.reinitialised if name not in set(new)]
        report.besides.append(f"{part.rstrip('.')} from ImageNet: {counted(len(new), 'tensor')}")


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
