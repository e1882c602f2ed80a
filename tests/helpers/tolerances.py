"""One table: how far two ways to compute the same thing may lie apart, by floating-point type.

Each row is some thousand roundings of its type (2e-16, 6e-8, 4e-3), which is what sums over an image and a
network's depth cost; the golden files ask the same (tests/golden/README.md). A test that needs more says why.
"""

from __future__ import annotations

import numpy as np
import torch

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2}


def tolerance(dtype: torch.dtype) -> float:
    """Return the largest difference, relative to the larger of 1 and the value, of results in ``dtype``."""
    return TOLERANCES[dtype]


def assert_near(found, expected, *, tighter: float = 1.0) -> None:
    """Compare a tensor with a tensor or array; the type of ``found`` decides how closely.

    Args:
        found: what was computed, on any device.
        expected: of the same shape.
        tighter: divide the tolerance, for values much below 1 or few operations.
    """
    allowed = tolerance(found.dtype) / tighter
    truth = expected if isinstance(expected, torch.Tensor) else torch.from_numpy(np.asarray(expected))
    torch.testing.assert_close(
        found.detach().cpu().double(), truth.detach().cpu().double(), rtol=allowed, atol=allowed
    )
