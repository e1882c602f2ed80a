"""Loops over pixels, compiled by Numba for a CPU, and their threads.

A loss out of tensor operations walks through memory dozens of times, which on a CPU takes longer than its
arithmetic. Such loops do all at once, row by row. This module and those with loops are imported only where
they run, because Numba takes half a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor

Array = np.ndarray


def compiled_loops(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function when first called with new types, for some seconds; kept on disk afterwards."""
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return cast(Callable[..., Any], numba.njit(cache=True, **options)(function))
    except RuntimeError:  # there is no folder that can be written to
        return cast(Callable[..., Any], numba.njit(**options)(function))


def reordered_sums(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile sums whose order does not matter, so that they can be vectorised."""
    return compiled_loops(function, fastmath={"reassoc"})


def share_out(loops: Callable[..., None], batch: int, *arguments: Any) -> None:
    """Call ``loops(sample, *arguments)`` for all samples of a batch, in as many threads as torch has.

    Args:
        loops: compiled with ``nogil``.
        batch: number of samples.
        arguments: tensors, which must be contiguous and on the CPU, are given as arrays.
    """
    given = [value.detach().numpy() if isinstance(value, Tensor) else value for value in arguments]
    samples = iter(range(batch))

    def work() -> None:
        # one by one: torch's own threads, waiting, slow down some of these
        for sample in samples:
            loops(sample, *given)

    others = [_pool().submit(work) for _ in range(min(torch.get_num_threads(), batch) - 1)]
    work()
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "loops")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
