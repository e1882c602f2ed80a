"""Cheap shape checks at the door of public functions."""

from __future__ import annotations

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
        known = ", ".join(f"{letter}={sizes[letter]}" for letter in parts if letter in sizes)
        fits = tensor.ndim == len(parts)
        for part, size in zip(parts, tensor.shape, strict=False):
            fits = fits and size == (int(part) if part.isdigit() else sizes.setdefault(part, size))
        if not fits:
            where = f" with {known}" if known else ""
            raise ValueError(f"{name} must have shape ({pattern}){where}, got {tuple(tensor.shape)}")
