"""What SC-Depth V3 learns from a teacher: the order of depths, normals, and how normals change across edges.

The terms are those of Sun et al. 2023 (MeSa eq. 5), see `losses.ranking` and `losses.normals`. Their teacher
gives depth.

Our choice: teachers that give disparity up to a factor and an offset for each picture (Depth Anything, MiDaS)
are of use as well. Order needs neither. Normals need both, and here they are those that bring the teacher's
disparity closest to the network's own 1 / depth of the moment (least squares, no gradient), over the pixels
on whose depth the frames agree. Early in training the two may have nothing in common, and a bad fit would
teach a flat world; therefore a picture counts as one without a teacher unless the fit is sound (see
`fit_is_sound`), and so does a pixel that the fit brings beyond ``min_depth`` or ``max_depth``, where
the shape would be that of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from geopretrain import geometry, losses
from geopretrain.data.batches import ClipBatch
from geopretrain.data.dataset import PseudoDepthInfo
from geopretrain.errors import ConfigError, DataError
from geopretrain.losses.ranking import unreliable_pixels
from geopretrain.losses.regression import scale_and_shift
from geopretrain.tasks.base import Logs
from geopretrain.tasks.pretext.scdepth.config import SCDepthConfig

MIN_FITTED = 0.05
"""A fit needs this fraction of a picture's pixels."""
MIN_EXPLAINED = 0.25
"""A sound fit explains this fraction of the variance of the network's 1 / depth (a correlation of 0.5)."""


def needs_alignment(info: PseudoDepthInfo | None) -> bool:
    """Return whether the teacher's maps are disparity of unknown offset, which has no normals as it is."""
    return info is not None and info.quantity == "disparity" and info.meaning == "scale_shift"


def check_teacher(info: PseudoDepthInfo | None, config: SCDepthConfig, store: str) -> None:
    """Refuse to reproduce the released code with a teacher that it cannot have.

    Raises:
        ConfigError: ``as_released`` asks for the normals of disparity of unknown offset.
    """
    wants_normals = bool(config.normals or config.relative_normals)
    if info is not None and needs_alignment(info) and config.as_released and wants_normals:
        raise ConfigError(
            f"The pseudo-depth of {store} is {info.in_words()}: surfaces have no normals in it, and the "
            "released code does not align it. Use --settings as_released=false, which does, a teacher that "
            "gives depth, or normals=0 relative_normals=0."
        )


@dataclass(frozen=True)
class Normals:
    """Surfaces as the network and the teacher see them.

    Attributes:
        own: ``B 3 H W`` of the network's depth.
        teacher: ``B 3 H W``.
        depth: ``B 1 H W`` of the teacher, with a shape; 0 = none.
        valid: ``B 1 H W`` bool, where the teacher has a normal; None = everywhere (released code).
    """

    own: Tensor
    teacher: Tensor
    depth: Tensor
    valid: Tensor | None


def surfaces(
    depth: Tensor,
    consistency: Tensor,
    order: Tensor,
    batch: ClipBatch,
    info: PseudoDepthInfo | None,
    config: SCDepthConfig,
) -> tuple[Normals, Logs]:
    """Return the network's normals and the teacher's, and what to log of them.

    Args:
        depth: predicted for the targets, ``B 1 H W``.
        consistency: ``B 1 H W`` in [0, 1], 1 where the depths of the frames agree.
        order: what `ordered_depth` gives.
        batch: with ``pseudo_depth``.
        info: what that means; None = depth.
        config: range of depth, ``as_released``.

    Raises:
        DataError: the batch has no ``pseudo_depth``.
    """
    shaped, logs = order, {}
    if needs_alignment(info):
        shaped = aligned_depth(_values(batch), depth, consistency, (config.min_depth, config.max_depth))
        logs["aligned_fraction"] = (shaped > 0).float().mean()
        logs["unaligned_batch"] = (~losses.valid_normals(shaped).any()).float()
    own, teacher = (geometry.surface_normals(values, batch.intrinsics) for values in (depth, shaped))
    return Normals(own, teacher, shaped, None if config.as_released else losses.valid_normals(shaped)), logs


def ordered_depth(batch: ClipBatch, info: PseudoDepthInfo | None) -> Tensor:
    """Return the teacher's depth ``B 1 H W``, 0 = none; of disparity, what has the same order: 1 / disparity.

    Raises:
        DataError: the batch has no ``pseudo_depth``.
    """
    values = _values(batch)
    if info is not None and info.quantity == "disparity":
        return torch.where(values > 0, 1 / values.clamp(min=1e-6), 0)
    return values


def _values(batch: ClipBatch) -> Tensor:
    """Return the teacher's maps ``B 1 H W`` as they are stored."""
    if batch.pseudo_depth is None:
        raise DataError(
            "version=3 learns from a teacher's depth, and these data have none. "
            "Make it with `geopretrain data pseudo-depth STORE --teacher NAME`, or use version=2."
        )
    return batch.pseudo_depth.float()


@torch.no_grad()
def aligned_depth(
    disparity: Tensor, depth: Tensor, consistency: Tensor, limits: tuple[float, float]
) -> Tensor:
    """Return the teacher's depth ``B 1 H W`` in the network's units, 0 where it cannot be told.

    Args:
        disparity: the teacher's, ``B 1 H W``, up to a factor and an offset per picture, 0 = none.
        depth: the network's own, ``B 1 H W``, positive; no gradient reaches it.
        consistency: ``B 1 H W``; the least consistent pixels take no part in the fit.
        limits: nearest and farthest depth, in the network's units.
    """
    own = 1 / depth
    fitted = (disparity > 0) & ~unreliable_pixels(consistency)
    scale, shift = (values.view(-1, 1, 1, 1) for values in scale_and_shift(disparity, own, fitted))
    aligned = scale * disparity + shift
    sound = fit_is_sound(aligned, own, fitted) & (scale.flatten() > 0)
    nearest, farthest = limits
    valid = sound.view(-1, 1, 1, 1) & (disparity > 0) & (aligned > 1 / farthest) & (aligned < 1 / nearest)
    return torch.where(valid, 1 / aligned.clamp(min=1 / farthest), 0)


def fit_is_sound(aligned: Tensor, target: Tensor, fitted: Tensor) -> Tensor:
    """Return per picture (``B`` bool) whether enough pixels were fitted, and well enough to mean something.

    Args:
        aligned: ``B 1 H W`` after the fit.
        target: ``B 1 H W`` what it was fitted to.
        fitted: ``B 1 H W`` bool, the pixels that took part.
    """
    count = fitted.flatten(1).sum(1)
    mean = torch.where(fitted, target, 0).flatten(1).sum(1) / count.clamp(min=1)
    residual = torch.where(fitted, aligned - target, 0).square().flatten(1).sum(1)
    spread = torch.where(fitted, target - mean.view(-1, 1, 1, 1), 0).square().flatten(1).sum(1)
    return (count >= MIN_FITTED * fitted[0].numel()) & (residual < (1 - MIN_EXPLAINED) * spread)
