"""Centred kernel alignment (CKA): how alike two layers see the same images.

Kornblith, Norouzi, Lee and Hinton, *Similarity of Neural Network Representations Revisited*, ICML 2019, with
linear kernels. Over many images the estimator of Nguyen, Raghu and Kornblith, *Do Wide and Deep Networks
Learn the Same Things?*, ICLR 2021, which is a mean over small batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from geopretrain.errors import DataError

MIN_SAMPLES = 4
"""Samples without which the unbiased estimator is not defined: it divides by n - 3."""
GROUPS = 10
"""Parts of the batches that are left out in turn, which tells how sure a number is."""


def linear_cka(first: Tensor, second: Tensor) -> Tensor:
    """Return the linear CKA of two layers for all samples at once, 0 to 1 (Kornblith et al. 2019, section 3).

    It is biased: with more features than samples it comes near to 1 for anything; see `debiased_cka`.

    Args:
        first: ``N P`` features.
        second: ``N Q`` features of the same samples.
    """
    first, second = (each.double() - each.double().mean(0) for each in (first, second))
    cross = torch.linalg.matrix_norm(first.T @ second) ** 2
    own = [torch.linalg.matrix_norm(each.T @ each) for each in (first, second)]
    return cross / (own[0] * own[1])


def debiased_cka(first: Tensor, second: Tensor) -> Tensor:
    """Return the linear CKA of two layers with the unbiased estimate of HSIC; noise may bring it below 0.

    Args:
        first: ``N P`` features.
        second: ``N Q`` features of the same samples, at least four.

    Raises:
        DataError: fewer than four samples.
    """
    a, b = (centred_gram(each)[None] for each in (first, second))
    return (hsic(a, b) / (hsic(a, a) * hsic(b, b)).sqrt())[0, 0]


def centred_gram(features: Tensor) -> Tensor:
    """Return how alike samples are, ``N N`` float64 with a diagonal of 0, centred for unbiased products.

    The U-centring of Székely and Rizzo (2014): the scalar product of two such matrices, over n (n - 3), is
    the unbiased HSIC of Song et al. (2012, equation 5), with one pass over each layer in place of one over
    each pair of layers.

    Args:
        features: ``N P``.

    Raises:
        DataError: fewer than four samples.
    """
    n = len(features)
    if n < MIN_SAMPLES:
        raise DataError(f"Layers are compared over at least {MIN_SAMPLES} samples at a time, not {n}.")
    centred = features - features.mean(0)  # changes nothing but the rounding
    gram = (centred @ centred.T).double().fill_diagonal_(0)
    rows = gram.sum(0) / (n - 2)
    return (gram - rows - rows[:, None] + gram.sum() / ((n - 1) * (n - 2))).fill_diagonal_(0)


def hsic(first: Tensor, second: Tensor) -> Tensor:
    """Return the unbiased HSIC of all pairs of layers, ``L M``.

    Args:
        first: ``L N N`` of `centred_gram`.
        second: ``M N N`` of the same samples.
    """
    n = first.shape[-1]
    return first.flatten(1) @ second.flatten(1).T / (n * (n - 3))


class MinibatchCKA:
    """The CKA of all pairs of layers of two networks, added up batch by batch in memory that does not grow.

    The three HSIC are each averaged over batches, whatever their sizes, before their quotient is taken
    (Nguyen et al. 2021, equation 3).
    """

    def __init__(self) -> None:
        self._sums: list[list[Tensor]] = []
        self.batches = 0

    def update(self, first: Sequence[Tensor], second: Sequence[Tensor] | None = None) -> None:
        """Add a batch.

        Args:
            first: features ``N P`` of each layer of one network.
            second: those of the other for the same samples; None: the same network, against itself.

        Raises:
            DataError: fewer than four samples.
        """
        a = torch.stack([centred_gram(each) for each in first])
        b = a if second is None else torch.stack([centred_gram(each) for each in second])
        found = [hsic(a, b), _own(a), _own(b)]
        if len(self._sums) < GROUPS:
            self._sums.append([torch.zeros_like(each) for each in found])
        for kept, new in zip(self._sums[self.batches % GROUPS], found, strict=True):
            kept += new
        self.batches += 1

    def compute(self) -> Tensor:
        """Return the CKA ``L M``; NaN for a layer that sees all samples alike.

        Raises:
            DataError: there was no batch.
        """
        if not self._sums:
            raise DataError("Layers cannot be compared: there are no images.")
        return _quotient(self._total())

    def standard_error(self) -> Tensor:
        """Return how far the CKA is off by the choice of images, ``L M``: a jackknife over groups of batches.

        NaN where there are fewer than two batches.
        """
        groups, total = len(self._sums), self._total()
        if groups < 2:
            return torch.full_like(total[0], torch.nan)
        without = [_quotient([a - b for a, b in zip(total, part, strict=True)]) for part in self._sums]
        left_out = torch.stack(without)
        return ((groups - 1) / groups * ((left_out - left_out.mean(0)) ** 2).sum(0)).sqrt()

    def _total(self) -> list[Tensor]:
        return [torch.stack(parts).sum(0) for parts in zip(*self._sums, strict=True)]


def _own(grams: Tensor) -> Tensor:
    """Return the unbiased HSIC of each layer with itself, ``L``."""
    n = grams.shape[-1]
    return grams.flatten(1).square().sum(1) / (n * (n - 3))


def _quotient(sums: Sequence[Tensor]) -> Tensor:
    both, first, second = sums
    return both / (first[:, None] * second).sqrt()
