"""What is known of a picture beside its depth: where it jumps, and what is flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Plane:
    """Pixels of a picture that show one plane.

    Attributes:
        kind: what it is, e.g. 'floor', 'wall', 'table'.
        mask: ``H W``, not 0 inside.
        normal: ``3``, of either sign, in camera axes (x right, y down, z forward); None: that of the plane
            fitted to the truth.
    """

    kind: str
    mask: NDArray[np.generic]
    normal: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class Structure:
    """What is known of a picture beside its depth.

    Attributes:
        edges: ``H W``, not 0 on depth boundaries; None: not known.
        planes: of the picture.
        intrinsics: ``3 3`` px, pixel centres at integers from 0; needed for planes.
    """

    edges: NDArray[np.generic] | None = None
    planes: Sequence[Plane] = ()
    intrinsics: NDArray[np.floating] | None = None


def ibims_normal(normal: ArrayLike) -> NDArray[np.float64]:
    """Turn a normal of iBims-1 (X right, Y forward, Z up) into camera axes (x right, y down, z forward)."""
    x, y, z = np.asarray(normal, np.float64)
    return np.array([x, -z, y])
