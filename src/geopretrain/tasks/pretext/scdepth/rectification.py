"""Rectification of hand-held video (SC-Depth V2): the rotation is taken out of the neighbours.

Bian et al., *Auto-Rectify Network for Unsupervised Indoor Depth Estimation*, TPAMI 2022. The first estimate
of the rotations is used; a second one, of what is left, and a third one, of given rotations, teach the
network. What a rotated neighbour does not show is masked; ``as_released`` makes it grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.losses.geometry_consistency import GREY_MEAN
from geopretrain.tasks.motion import Pair

Estimate = Callable[[Sequence[Pair]], Tensor]
"""The network: Euler angles ``P B 3`` (rad) from the first to the second image of P pairs."""


@dataclass(frozen=True)
class Views:
    """Target and neighbours as they are compared, after rectification.

    Attributes:
        images: ``B F 3 H W`` in [0, 1] for the loss.
        network_inputs: the same for the networks.
        valid: ``B F 1 H W`` bool, what the camera saw; None = all.
    """

    images: Tensor
    network_inputs: Tensor
    valid: Tensor | None = None


@dataclass(frozen=True)
class Rotations:
    """What the network estimates, Euler angles ``F-1 B 3`` (rad).

    Attributes:
        before: of the neighbours as they are.
        after: of the rectified neighbours.
        guess: of neighbours rotated by ``given``.
        given: known, without a gradient.
    """

    before: Tensor
    after: Tensor
    guess: Tensor
    given: Tensor

    def logs(self) -> dict[str, Tensor]:
        """Return the mean angles before and after rectification."""
        return {"rotation_before": self.before.abs().mean(), "rotation_after": self.after.abs().mean()}


def rotations_before(estimate: Estimate, frames: Tensor) -> Tensor:
    """Return the angles ``F-1 B 3`` from the target to its neighbours in frames ``B F 3 H W``."""
    target, *sources = frames.unbind(1)
    return estimate([(target, source) for source in sources])


def rectified(views: Views, angles: Tensor, intrinsics: Tensor, as_released: bool) -> Views:
    """Rotate the neighbours by ``angles`` (``F-1 B 3`` rad)."""
    images, inputs = views.images, views.network_inputs
    layers = images if inputs is images else torch.cat([images, inputs], 2)
    count, flat = len(angles), angles.transpose(0, 1).float().flatten(0, 1)
    cameras = intrinsics.repeat_interleave(count, 0)
    rotated, inside = rotate(layers[:, 1:].flatten(0, 1), flat, cameras, as_released)
    rotated, inside = (values.unflatten(0, (-1, count)) for values in (rotated, inside))
    whole = torch.cat([layers[:, :1], rotated], 1)
    valid = torch.cat([torch.ones_like(inside[:, :1]), inside], 1)
    return Views(whole[:, :, :3], whole[:, :, -3:], None if as_released else valid)


def look_again(
    estimate: Estimate, views: Views, inputs: Tensor, before: Tensor, intrinsics: Tensor, as_released: bool
) -> Rotations:
    """Estimate what rectification has left, and rotations that are given.

    Args:
        estimate: the network.
        views: after rectification.
        inputs: ``B F 3 H W`` before it.
        before: ``F-1 B 3`` rad that were taken out.
        intrinsics: ``B 3 3`` px.
        as_released: see the head of this file.
    """
    target, *sources = inputs.unbind(1)
    given = losses.training_rotations(before.float(), torch.rand(before.shape).to(before.device))
    rotated = [
        rotate(source, angles, intrinsics, as_released)[0]
        for source, angles in zip(sources, given, strict=True)
    ]
    left = [(target, view) for view in views.network_inputs[:, 1:].unbind(1)]
    after, guess = estimate(left + list(zip(rotated, sources, strict=True))).split(len(sources))
    return Rotations(before, after, guess, given)


def rotate(images: Tensor, angles: Tensor, intrinsics: Tensor, as_released: bool) -> tuple[Tensor, Tensor]:
    """Rotate images ``B C H W`` by Euler angles ``B 3``; return them and ``B 1 H W`` bool, what is inside."""
    with torch.autocast(images.device.type, enabled=False):
        rotation = geometry.rotation_from_euler(angles)
        if not as_released:
            return geometry.warp_rotated(images, rotation, intrinsics)
        # outside is grey, which is 0 once normalised
        rotated, inside = geometry.warp_rotated(images - GREY_MEAN, rotation, intrinsics, "zeros")
        return rotated + GREY_MEAN, inside
