"""Rows of a file that is mapped into memory, without all of it staying there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

MAX_MAPPED = 64 * 2**20
"""Bytes read before a file is mapped anew: pages that were looked at count as memory of the process."""


class MappedRows:
    """Rows of a file, read by their positions; may travel to another process.

    Attributes:
        path: of the file.
        shape: of all rows together, the number of rows first.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self._dtype = path, shape, np.dtype(dtype)
        self._mapped: np.ndarray | None = None
        self._read_bytes = 0

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of some rows, in the shape of ``rows`` with that of a row behind it."""
        if self._mapped is None or self._read_bytes > MAX_MAPPED:
            mapped = np.memmap(self.path, self._dtype, "r", shape=self.shape)
            self._mapped, self._read_bytes = np.asarray(mapped), 0
        values = np.array(self._mapped[rows])
        self._read_bytes += values.nbytes
        return values

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": None}
