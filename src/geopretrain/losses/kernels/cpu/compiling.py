"""How kernels are compiled, and how the samples of a batch are shared out among threads."""

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


def kernel(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function when first called with new types, for some seconds; kept on disk afterwards."""
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return cast(Callable[..., Any], numba.njit(cache=True, **options)(function))
    except RuntimeError:  # there is no folder that can be written to
        return cast(Callable[..., Any], numba.njit(**options)(function))


def reordered_sums(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile sums whose order does not matter, so that they can be vectorised."""
    return kernel(function, fastmath={"reassoc"})


def for_each_sample(function: Callable[..., None], batch: int, *arguments: Any) -> None:
    """Call ``function(sample, *arguments)`` for all samples of a batch, in as many threads as torch has.

    Args:
        function: a kernel, which holds no lock.
        batch: number of samples.
        arguments: tensors, which must be contiguous and on the CPU, are given as arrays.
    """
    given = [value.detach().numpy() if isinstance(value, Tensor) else value for value in arguments]
    samples = iter(range(batch))

    def work() -> None:
        # one by one: torch's own threads, waiting, slow down some of these
        for sample in samples:
            function(sample, *given)

    others = [_pool().submit(work) for _ in range(min(torch.get_num_threads(), batch) - 1)]
    work()
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "kernels")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
