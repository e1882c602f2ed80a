"""Losses against measured depth or a teacher's depth; only pixels with a target count.

Everywhere ``prediction``, ``target`` and ``valid`` (bool) have the same shape, ``B ...`` for the losses in
metres, ``B ... H W`` for those with gradients. Without a single valid pixel a loss is zero with a zero
gradient, never NaN; whoever calls it counts such batches and says so.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geopretrain.errors import ConfigError

_SMALLEST_DEVIATION = 1e-6
_RELATIVE_VARIANCE = 1e-12  # below it, a prediction is constant up to rounding and cannot be scaled


def masked_l1(prediction: Tensor, target: Tensor, valid: Tensor, *, over_all_pixels: bool = False) -> Tensor:
    """Return the mean of ``|prediction - target|`` over valid pixels (Lao et al., supplement, equation 11).

    Args:
        prediction: any unit, m for depth.
        target: in the same unit.
        valid: pixels that count.
        over_all_pixels: divide by the number of ALL pixels, as the released script of Lao et al. does; frames
            with few measurements then count less.
    """
    difference = torch.where(valid, prediction - target, 0).abs()
    count = valid.numel() if over_all_pixels else valid.sum().clamp(min=1)
    return difference.sum() / count


def silog(prediction: Tensor, target: Tensor, valid: Tensor, *, focus: float = 0.5) -> Tensor:
    """Return ``sqrt(mean(d²) - focus · mean(d)²)``, ``d = log target - log prediction`` (Eigen et al. 2014,
    equation 4; the square root and focus 0.5 as in MIM-Depth-Estimation).

    Means are over the valid pixels of the whole batch. Focus 1 ignores a common factor, 0 does not.

    Args:
        prediction: positive where valid, any unit.
        target: positive where valid, in the same unit.
        valid: pixels that count.
        focus: lambda of the equation.
    """
    count = valid.sum().clamp(min=1)
    one = torch.ones_like(prediction)
    d = torch.where(valid, target, one).log() - torch.where(valid, prediction, one).log()
    variance = (d**2).sum() / count - focus * (d.sum() / count) ** 2
    return variance.clamp(min=_SMALLEST_DEVIATION**2).sqrt()  # the root has no gradient at 0


def scale_and_shift(prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return per image (``B``) the s and t that minimise ``Σ valid (s · prediction + t - target)²``.

    Both are 0 where that is undetermined: a constant prediction, or fewer than two valid pixels
    (Ranftl et al. 2022, section 5).
    """
    p, q, m = (x.flatten(1) for x in (prediction, target, valid))
    p, q = torch.where(m, p, 0), torch.where(m, q, 0)
    count = m.sum(1).clamp(min=1)
    mean_p, mean_q = p.sum(1) / count, q.sum(1) / count
    centred = torch.where(m, p - mean_p[:, None], 0)
    variance = (centred**2).sum(1)
    determined = variance > _RELATIVE_VARIANCE * (p**2).sum(1)
    scale = (centred * q).sum(1) / torch.where(determined, variance, 1)
    shift = mean_q - scale * mean_p
    return torch.where(determined, scale, 0), torch.where(determined, shift, 0)


def align(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the prediction brought to its target by the best scale and shift of each image."""
    scale, shift = scale_and_shift(prediction, target, valid)
    shape = (-1, *(1,) * (prediction.ndim - 1))
    return scale.view(shape) * prediction + shift.view(shape)


def ssi_mse(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    gradient_weight: float = 0.5,
    scales: int = 4,
    reduction: str = "batch",
) -> Tensor:
    """Return the scale-and-shift-invariant loss aligned by least squares (Ranftl et al. 2022, sec. 5).

    Half the mean squared residual after alignment, plus the gradient term.

    Args:
        prediction: ``B ... H W``, up to scale and shift.
        target: ``B ... H W``.
        valid: pixels that count.
        gradient_weight: alpha of the paper.
        scales: of the gradient term.
        reduction: ``batch`` (one quotient over all valid pixels) or ``image`` (mean of one for each image).
    """
    aligned = align(prediction, target, valid)
    residual = torch.where(valid, aligned - target, 0)
    data = _reduce((residual**2).flatten(1).sum(1), 2 * _counts(valid), reduction)
    smooth = gradient_matching(aligned, target, valid, scales=scales, reduction=reduction)
    return data + gradient_weight * smooth


def gradient_matching(
    prediction: Tensor, target: Tensor, valid: Tensor, *, scales: int = 4, reduction: str = "batch"
) -> Tensor:
    """Return ``Σ_k |∂x R_k| + |∂y R_k|`` per valid pixel, R_k the residual at every 2^k-th pixel.

    Differences count where both of their pixels are valid (Ranftl et al. 2022, section 5, after Li and
    Snavely 2018).
    """
    terms = []
    for scale in range(scales):
        p, q, m = (x[..., :: 2**scale, :: 2**scale] for x in (prediction, target, valid))
        residual = torch.where(m, p - q, 0)
        pairs = [_pairwise(residual, m, dimension).flatten(1).sum(1) for dimension in (-1, -2)]
        terms.append(_reduce(pairs[0] + pairs[1], _counts(m), reduction))
    return torch.stack(terms).sum()


def ssi_trimmed_mae(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    trim: float = 0.2,
    gradient_weight: float = 0.5,
    scales: int = 4,
    as_released: bool = False,
) -> Tensor:
    """Return the scale-and-shift-invariant loss with robust normalisation (Ranftl et al. 2022, section 5).

    Both maps are brought to median 0 and mean absolute deviation 1; the largest ``trim`` of the residuals of
    the batch are dropped, the rest summed over twice the number of valid pixels; plus the gradient term.

    Args:
        prediction: ``B ... H W``, up to scale and shift.
        target: ``B ... H W``.
        valid: pixels that count.
        trim: fraction of the residuals that is dropped.
        gradient_weight: alpha of the paper.
        scales: of the gradient term.
        as_released: as in the code its first author published, where masked pixels enter the median as zeros
            and nothing is dropped.
    """
    p, q = (robust_normalised(x, valid, as_released=as_released) for x in (prediction, target))
    residual = (p - q).abs()
    count = valid.sum()
    kept = count if as_released else ((1 - trim) * count).floor()
    ordered = torch.where(valid, residual, torch.inf).flatten().sort().values
    rank = torch.arange(ordered.numel(), device=ordered.device)
    data = torch.where(rank < kept, ordered, 0).sum() / (2 * count.clamp(min=1))
    return data + gradient_weight * gradient_matching(p, q, valid, scales=scales)


def robust_normalised(values: Tensor, valid: Tensor, *, as_released: bool = False) -> Tensor:
    """Return ``(values - median) / mean absolute deviation`` per image (Ranftl et al. 2022, section 5).

    The median is the lower one over the valid pixels, or with ``as_released`` over all pixels with the masked
    ones as zeros. Only the values at valid pixels mean anything.
    """
    x, m = values.flatten(1), valid.flatten(1)
    kept = torch.where(m, x, 0)
    median = kept.median(1).values if as_released else _masked_median(x, m)
    centred = x - median[:, None]
    deviation = torch.where(m, centred, 0).abs().sum(1) / m.sum(1).clamp(min=1)
    return (centred / deviation.clamp(min=_SMALLEST_DEVIATION)[:, None]).view_as(values)


def affine_invariant_mae(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over valid pixels of ``|p̂ - t̂|`` after robust normalisation (Yang et al., *Depth
    Anything*, CVPR 2024, section 3.1)."""
    p, q = (robust_normalised(x, valid) for x in (prediction, target))
    return masked_l1(p, q, valid)


def _masked_median(values: Tensor, valid: Tensor) -> Tensor:
    """Return the lower median over the valid entries of each row, 0 where there is none."""
    any_valid = valid.any(1, keepdim=True)
    marked = torch.where(valid | ~any_valid, values, torch.nan)  # a row of NaN would spoil the gradient
    return torch.where(any_valid[:, 0], marked.nanmedian(1).values, 0)


def _pairwise(residual: Tensor, valid: Tensor, dimension: int) -> Tensor:
    """Return ``|differences|`` of neighbours that are both valid."""
    size = valid.shape[dimension] - 1
    both = valid.narrow(dimension, 1, size) & valid.narrow(dimension, 0, size)
    return torch.where(both, residual.diff(dim=dimension).abs(), 0)


def _counts(valid: Tensor) -> Tensor:
    return valid.flatten(1).sum(1)


def _reduce(sums: Tensor, counts: Tensor, reduction: str) -> Tensor:
    """Divide sums by counts (each ``B``): over the batch, or image by image and then the mean."""
    if reduction == "batch":
        return sums.sum() / counts.sum().clamp(min=1)
    if reduction == "image":
        return (sums / counts.clamp(min=1)).mean()
    raise ConfigError(f"reduction must be 'batch' or 'image', not '{reduction}'.")
