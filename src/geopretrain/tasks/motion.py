"""Camera motion between the frames of a sample, for methods that predict it from pairs of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from geopretrain import geometry
from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone, PoseNet, RotationNet
from geopretrain.weights import Init, normalise_like_timm

Pair = tuple[Tensor, Tensor]
Net = TypeVar("Net", PoseNet, RotationNet)


def pair_net(kind: type[Net], name: str, init: Init, backbone: Backbone) -> Net:
    """Return a network over pairs of images; only ``imagenet`` gives its encoder weights.

    Args:
        kind: of network.
        name: of its encoder, any timm model.
        init: what the task starts from.
        backbone: of the task, whose normalisation new weights share.

    Raises:
        WeightsError: its ImageNet weights cannot be had.
    """
    pretrained = init.kind == "imagenet"
    try:
        net = kind(name, pretrained, **backbone.normalisation)
    except WeightsError as error:  # another encoder than that of --backbone
        raise WeightsError(str(error).replace("--backbone ", "--settings pose_backbone=")) from error
    if pretrained:
        normalise_like_timm(net.backbone)
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
