"""Photometric and geometry consistency of two views of a scene (SC-Depth).

Bian et al., *Unsupervised Scale-consistent Depth Learning from Video*, IJCV 2021. A view is synthesised from
another one, and at the same positions the two depth maps must agree; where they do not, something moves or is
hidden, and the colours count less (the self-discovered mask).

The released code differs from what its paper describes in ways that ``as_released`` reproduces, so that its
numbers can be met:

- losses on images normalised by (x - 0.45) / 0.225, the absolute difference clamped to 1;
- zeros outside the view, ``align_corners=False`` at positions normalised by (W - 1, H - 1), and as mask only
  that both colours differ from 0, so that a pixel of exactly mean grey is lost;
- the smallest error is chosen among the maps of all directions, though each lives on its own frame's grid;
- a loss of exactly 0 where 100 pixels or fewer are left.

By default the images are compared in [0, 1], the view is masked by where the pixels land, the smallest error
is chosen among the maps on the target's grid only, and every pixel that is left counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from geopretrain.geometry import check_shapes, in_view, inverse_depth_projection, sample, source_pixels
from geopretrain.losses.kernels import photometric_error, synthesise_with_depth
from geopretrain.losses.synthesis import SynthesisWithDepth

MIN_PIXELS = 100
"""With so few pixels or fewer the released loss is 0."""
GREY_MEAN, GREY_STD = 0.45, 0.225
NO_DEPTH = -1e30
"""Stands where a source has no depth: what is read is negative if any of it comes from there."""
DARK = 1e-3
"""A normalised colour nearer to 0 than this is "outside" in the released code."""


@dataclass(frozen=True)
class ConsistencyOptions:
    """What the comparison is made of.

    Attributes:
        ssim_weight: weight of SSIM in the photometric error; the rest is the absolute difference.
        ssim_window: side of SSIM's windows.
        automask: leave out pixels that an unmoved source explains as well.
        self_mask: weight the photometric error by the consistency of the depths.
        minimum: take for each pixel of the target only the source that explains it best.
        as_released: see the head of this file.
    """

    ssim_weight: float = 0.85
    ssim_window: int = 7
    automask: bool = True
    self_mask: bool = True
    minimum: bool = True
    as_released: bool = False


@dataclass(frozen=True)
class PairMaps:
    """How one view explains another, on the grid of the view explained; all ``... 1 H W``.

    Attributes:
        photometric: error of the warped source, weighted by the consistency of the depths.
        colour: its mean absolute difference from the target.
        unmoved: that of the source as it is.
        inconsistency: |computed - sampled| / (computed + sampled) depth, in [0, 1].
        in_view: bool, the pixel lies in view and in front of the source.
        valid: bool, in view and, with the auto-mask, better explained than by the unmoved source.
    """

    photometric: Tensor
    colour: Tensor
    unmoved: Tensor
    inconsistency: Tensor
    in_view: Tensor
    valid: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> PairMaps:
        """Return the maps after ``function``."""
        return PairMaps(*(function(value) for value in _values(self)))


@dataclass(frozen=True)
class Comparison:
    """How a target and its sources explain each other, and what is worth knowing of it.

    Attributes:
        chosen: maps ``D B 1 H W`` of what counts: with ``minimum`` the best source of each pixel of the
            target, and how the target explains each source; else all pairs in both directions.
        consistency: ``B 1 H W`` detached: mean over the sources of 1 - inconsistency on the target's grid, 1
            where a pixel is not valid (the dynamic mask of SC-Depth V3).
        weight: ``B 1 H W`` detached: the largest weight with which a pixel of the target counts.
        logs: detached scalars: ``valid_fraction`` (in view), ``kept_fraction`` (left after all masks),
            ``empty_mask`` (1 where too few pixels are left to learn from), ``reprojection_error`` and
            ``identity_error`` (mean absolute colour difference, in view, moved and unmoved).
        as_released: see the head of this file.
    """

    chosen: PairMaps
    consistency: Tensor
    weight: Tensor
    logs: dict[str, Tensor]
    as_released: bool = False


def photometric_loss(compared: Comparison) -> Tensor:
    """Return the mean photometric error over the valid pixels, a scalar (MeSa, equation 3)."""
    return mean_over_mask(compared.chosen.photometric, compared.chosen.valid, compared.as_released)


def geometry_loss(compared: Comparison) -> Tensor:
    """Return the mean inconsistency of the depths over the valid pixels, a scalar (MeSa, equation 4)."""
    return mean_over_mask(compared.chosen.inconsistency, compared.chosen.valid, compared.as_released)


def compare_views(
    images: Tensor,
    depths: Tensor,
    intrinsics: Tensor,
    T_target_to_sources: Tensor,
    T_sources_to_target: Tensor,
    *,
    valid: Tensor | None = None,
    options: ConsistencyOptions | None = None,
) -> Comparison:
    """Compare a target with its sources in both directions, in colours and in depth.

    Args:
        images: ``B F 3 H W`` in [0, 1], frame 0 the target.
        depths: ``B F 1 H W``.
        intrinsics: ``B 3 3`` px, the same for all frames.
        T_target_to_sources: ``B F-1 4 4``.
        T_sources_to_target: ``B F-1 4 4``; predicted on their own, not inverted.
        valid: ``B F 1 H W`` bool: pixels of the images that were seen by the camera; None = all.
        options: what the comparison is made of.

    Raises:
        ValueError: a shape does not fit.
    """
    check_shapes(("images", images, "B F 3 H W"), ("depths", depths, "B F 1 H W"))
    options = options or ConsistencyOptions()
    sources = images.shape[1] - 1
    target_first = [0] * sources + list(range(1, sources + 1))
    source_first = target_first[sources:] + target_first[:sources]

    def pick(frames: Tensor, order: list[int]) -> Tensor:
        return torch.cat([frames[:, i] for i in order])

    maps = pair_maps(
        pick(images, target_first),
        pick(images, source_first),
        pick(depths, target_first),
        pick(depths, source_first),
        intrinsics.repeat(2 * sources, 1, 1),
        torch.cat([*T_target_to_sources.unbind(1), *T_sources_to_target.unbind(1)]),
        None if valid is None else (pick(valid, target_first), pick(valid, source_first)),
        options,
    )
    # direction, then sample: the first half are the target's maps, one for each source
    maps = maps.map(lambda value: value.unflatten(0, (2 * sources, -1)))
    return _combine(maps, sources, options)


def pair_maps(
    target: Tensor,
    source: Tensor,
    target_depth: Tensor,
    source_depth: Tensor,
    intrinsics: Tensor,
    T_target_to_source: Tensor,
    valid: tuple[Tensor, Tensor] | None,
    options: ConsistencyOptions,
) -> PairMaps:
    """Warp a source and its depth into the target's view and compare both with the target's own.

    Args:
        target: ``B 3 H W`` in [0, 1].
        source: ``B 3 H W`` in [0, 1].
        target_depth: ``B 1 H W``.
        source_depth: ``B 1 H W``.
        intrinsics: ``B 3 3`` px.
        T_target_to_source: ``B 4 4``.
        valid: where the target and the source were seen by the camera, ``B 1 H W`` bool each; None = all.
        options: what the error is made of.

    Returns:
        Maps ``B 1 H W``.
    """
    if options.as_released:
        target, source = ((image - GREY_MEAN) / GREY_STD for image in (target, source))
    layers = source if valid is None else torch.cat([source, valid[1].to(source)], 1)
    synthesise = _synthesise_as_released if options.as_released else _synthesise
    read = synthesise(layers, source_depth, target_depth, intrinsics, T_target_to_source)
    warped = read.images[:, :3]
    computed_depth = read.z if options.as_released else read.z.clamp(min=1e-3)
    inconsistency = (computed_depth - read.depth).abs() / (computed_depth + read.depth)
    with torch.no_grad():  # only compared
        colour, unmoved = photometric_error(warped, target, 0), photometric_error(source, target, 0)
    visible = _colours_differ_from_grey(target, warped) if options.as_released else read.in_view
    if valid is not None:
        visible = visible & valid[0] & (read.images[:, 3:] > 0.999)
    return PairMaps(
        _photometric(target, warped, inconsistency, options),
        colour,
        unmoved,
        inconsistency,
        visible,
        visible & (colour < unmoved) if options.automask else visible,
    )


def _synthesise(
    layers: Tensor, source_depth: Tensor, depth: Tensor, intrinsics: Tensor, pose: Tensor
) -> SynthesisWithDepth:
    """Read the source; what has no depth above 0 and finite, also where it is read, is not in view."""
    size = (depth.shape[-2], depth.shape[-1])
    projection = inverse_depth_projection(intrinsics, pose[:, None], size)[:, 0]
    measured = (source_depth > 0) & (source_depth < torch.inf)
    source_depth = torch.where(measured, source_depth, NO_DEPTH)
    images, read_depth, z, visible = synthesise_with_depth(depth, projection, layers, source_depth)
    measured = read_depth > 0
    return SynthesisWithDepth(images, torch.where(measured, read_depth, 1), z, visible & measured)


def _synthesise_as_released(
    layers: Tensor, source_depth: Tensor, depth: Tensor, intrinsics: Tensor, pose: Tensor
) -> SynthesisWithDepth:
    pixels, z = source_pixels(depth, intrinsics, pose)
    # apart, because only the depth needs a gradient by what is sampled, and that is the slow one
    images, read_depth = (
        sample(values, pixels, "zeros", align_corners=False) for values in (layers, source_depth)
    )
    return SynthesisWithDepth(images, read_depth, z, in_view(pixels, pixels.shape[-2:]) & (z > 0))


def _photometric(
    target: Tensor, warped: Tensor, inconsistency: Tensor, options: ConsistencyOptions
) -> Tensor:
    """Return the weighted sum of absolute difference and SSIM, less where the depths disagree."""
    weight, window = options.ssim_weight, options.ssim_window
    if options.as_released:
        # here the colours have a deviation of one, and differences above that are cut off
        difference = (target - warped).abs().clamp(max=1).mean(1, keepdim=True)
        error = (1 - weight) * difference + weight * photometric_error(warped, target, 1, window)
    else:
        error = photometric_error(warped, target, weight, window)
    return error * (1 - inconsistency).detach() if options.self_mask else error


def _colours_differ_from_grey(target: Tensor, warped: Tensor) -> Tensor:
    target, warped = (image.abs().mean(1, keepdim=True) > DARK for image in (target, warped))
    return target & warped


def _combine(maps: PairMaps, sources: int, options: ConsistencyOptions) -> Comparison:
    """Choose among the maps ``D B 1 H W``, and log."""
    chosen = maps
    if options.minimum and options.as_released:
        chosen = _best(maps, maps.colour)
    elif options.minimum:
        # a source that does not see the pixel is no candidate
        forward, backward = maps.map(lambda v: v[:sources]), maps.map(lambda v: v[sources:])
        best = _best(forward, torch.where(forward.in_view, forward.colour, torch.inf))
        chosen = PairMaps(*(torch.cat(pair) for pair in zip(_values(best), _values(backward), strict=True)))
    forward = maps.map(lambda v: v[:sources].detach())
    agreement = 1 - forward.inconsistency
    return Comparison(
        chosen,
        torch.where(forward.valid, agreement, 1.0).mean(0),
        torch.where(forward.valid, agreement, 0.0).amax(0),
        _logs(maps, chosen),
        options.as_released,
    )


def mean_over_mask(values: Tensor, mask: Tensor, as_released: bool = False) -> Tensor:
    """Return the mean of the values where the mask is true, a scalar; 0 without gradient where it never is.

    ``as_released``: 0 as soon as the mask has 100 pixels or fewer. The value alone does not tell: look at the
    number of pixels as well.
    """
    count = mask.sum()
    total = torch.where(mask, values, 0.0).sum()
    mean = total / count.clamp(min=1)
    return torch.where(count > MIN_PIXELS, mean, 0.0) if as_released else mean


def _values(maps: PairMaps) -> list[Tensor]:
    return [getattr(maps, field.name) for field in fields(maps)]


def _best(maps: PairMaps, cost: Tensor) -> PairMaps:
    """Return for each pixel the maps (``1 B 1 H W``) of the direction with the smallest cost."""
    index = torch.zeros_like(cost[:1], dtype=torch.int64)
    smallest = cost[:1].detach()
    for direction in range(1, len(cost)):  # argmin along the outermost dimension is ten times slower
        better = cost[direction : direction + 1].detach() < smallest
        smallest = torch.where(better, cost[direction : direction + 1].detach(), smallest)
        index.masked_fill_(better, direction)
    return maps.map(lambda value: value.gather(0, index))


@torch.no_grad()
def _logs(maps: PairMaps, chosen: PairMaps) -> dict[str, Tensor]:
    kept = chosen.valid.sum()
    return {
        "valid_fraction": maps.in_view.float().mean(),
        "kept_fraction": chosen.valid.float().mean(),
        "empty_mask": (kept <= MIN_PIXELS).float(),
        "reprojection_error": mean_over_mask(maps.colour, maps.in_view),
        "identity_error": mean_over_mask(maps.unmoved, maps.in_view),
    }
