"""Cross-entropy of class maps, with weights of the classes and the hardest pixels only where asked for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_HARD = 1 / 16
"""Fraction of the labelled pixels that a threshold leaves at least."""


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    ignore: int = 255,
    *,
    weights: Tensor | None = None,
    hard_fraction: float | None = None,
    hard_threshold: float | None = None,
) -> Tensor:
    """Return the (weighted) mean cross-entropy over labelled pixels; 0 where no pixel is labelled.

    Online hard example mining (Shrivastava, Gupta and Girshick, CVPR 2016) over the pixels of the batch:
    ``hard_fraction`` of them, those with the largest cross-entropy, count; with ``hard_threshold`` also all
    whose true class has less than this probability.

    Args:
        logits: ``B K H W``.
        labels: ``B H W`` int64.
        ignore: id of pixels without a label.
        weights: ``K``, of the classes; the mean is that of the weighted pixels.
        hard_fraction: above 0 to 1; with a threshold the least that counts, 1/16 where it is None.
        hard_threshold: probability.
    """
    labelled = labels != ignore
    if weights is None and hard_fraction is None and hard_threshold is None:
        total = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="sum")
        return total / labelled.sum().clamp(min=1)
    errors = F.cross_entropy(logits, labels, ignore_index=ignore, reduction="none")
    counted = labelled.to(errors)
    if weights is not None:
        counted = counted * weights.to(errors)[labels.masked_fill(~labelled, 0)]
    if hard_fraction is not None or hard_threshold is not None:
        counted = counted * hard_pixels(errors, labelled, hard_fraction or LEAST_HARD, hard_threshold)
    return (counted * errors).sum() / counted.sum().clamp(min=torch.finfo(errors.dtype).tiny)


@torch.no_grad()
def hard_pixels(errors: Tensor, labelled: Tensor, fraction: float, threshold: float | None = None) -> Tensor:
    """Return which labelled pixels count, of the shape of ``errors``; nothing waits for the device.

    Args:
        errors: cross-entropy of each pixel.
        labelled: which have a label.
        fraction: of the labelled ones that counts, rounded up: those with the largest errors.
        threshold: probability of the true class below which a pixel counts, too.
    """
    flat = errors.masked_fill(~labelled, -1.0).flatten()
    order = flat.argsort(descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    hard = (ranks < (fraction * labelled.sum()).ceil()).view_as(labelled)
    if threshold is not None:
        hard = hard | (torch.exp(-errors) < threshold)
    return hard & labelled


def class_weights(pixels: Tensor, images: Tensor, kind: str) -> Tensor:
    """Return a weight for each class from how often it was labelled; 0 for classes that never were.

    ``balanced``: all labelled pixels / (number of classes there x pixels of the class), so that the weights
    of all pixels together are what they were. ``median``: the median frequency over that of the class, a
    frequency being taken over the images that the class is in (Eigen and Fergus, ICCV 2015, section 6.3.1).

    Args:
        pixels: ``K``, labelled pixels of each class.
        images: ``K``, labelled pixels in the images that the class is in.
        kind: ``balanced`` or ``median``.
    """
    there = pixels > 0
    found = torch.zeros(len(pixels), dtype=torch.float64)
    if not there.any():
        return found
    counts = pixels[there].double()
    if kind == "balanced":
        found[there] = counts.sum() / (len(counts) * counts)
        return found
    frequency = counts / images[there].double()
    found[there] = frequency.quantile(0.5) / frequency
    return found
