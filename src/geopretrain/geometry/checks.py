"""Cheap shape checks at the door of public functions."""

from __future__ import annotations

import torch
from torch import Tensor


def check_shapes(*arguments: tuple[str, Tensor, str]) -> None:
    """Check tensors against patterns such as ``"B 3 H W"``; a letter means the same size in all of them.

    Args:
        arguments: triples (name, tensor, pattern); a pattern's parts are sizes (``3``) or letters (``H``).

    Raises:
        ValueError: a tensor does not fit its pattern; the message names it, what was expected and what came.
    """
    sizes: dict[str, int] = {}
    for name, tensor, pattern in arguments:
        parts = pattern.split()
        bound = ", ".join(f"{letter}={sizes[letter]}" for letter in parts if letter in sizes)
        fits = tensor.ndim == len(parts)
        for part, size in zip(parts, tensor.shape, strict=False):
            fits = fits and size == (int(part) if part.isdigit() else sizes.setdefault(part, size))
        if not fits:
            where = f" with {bound}" if bound else ""
            raise ValueError(f"{name} must have shape ({pattern}){where}, got {tuple(tensor.shape)}")


def check_images(*arguments: tuple[str, Tensor]) -> None:
    """Check what compiled code takes as it is: one floating-point type, at least 2 px high and wide.

    Args:
        arguments: pairs (name, tensor) of tensors ``... H W``.

    Raises:
        ValueError: a tensor is of another type than float32 and float64 or than the first, or too small.
    """
    first = arguments[0][1].dtype
    for name, tensor in arguments:
        if tensor.dtype != first or first not in (torch.float32, torch.float64):
            raise ValueError(
                f"{name} is {tensor.dtype}: all must be of one type with {arguments[0][0]}, float32 or 64"
            )
        if min(tensor.shape[-2:]) < 2:
            size = " x ".join(str(side) for side in tensor.shape[-2:])
            raise ValueError(f"{name} must be at least 2 px high and wide, got {size}")
