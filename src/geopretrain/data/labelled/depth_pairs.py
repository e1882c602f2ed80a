"""Depth beside labelled images, which is read as the data set says, and may be smaller than its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.readers.depth_maps import as_large_as


@dataclass(frozen=True)
class DepthFiles:
    """Where the depth of each picture is, and how a file of it is read.

    Attributes:
        files: of depth or disparity, by picture.
        read: returns ``H W`` float32 m, 0 = no measurement, of such a file (DataError).
    """

    files: Mapping[Path, Path]
    read: Callable[[Path], NDArray[np.float32]]

    def of(self, picture: Path, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the depth of a picture at its (height, width), px (DataError)."""
        file = self.files[picture]
        return as_large_as(self.read(file), size, file, picture)
