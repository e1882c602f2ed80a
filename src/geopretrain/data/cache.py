"""What was read and resized once is kept on disk, in the user's cache folder."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from geopretrain.data.mapped import MappedRows
from geopretrain.errors import RunFolderError

VARIABLE = "GEOPRETRAIN_CACHE"
ROWS_FILE, CHECKS_FILE = "rows.u8", "checks.u4"


def cache_folder(*parts: str) -> Path:
    """Return a place in the user's cache: below ``$GEOPRETRAIN_CACHE``, else ``~/.cache/geopretrain``."""
    root = os.environ.get(VARIABLE) or Path.home() / ".cache" / "geopretrain"
    return Path(root).joinpath(*parts)


class RowCache:
    """Rows of equal length on disk, each made when it is first asked for.

    ``rows.u8`` holds the rows, with holes where none was made yet, ``checks.u4`` a checksum of each, 0 for
    none. A row counts only where both agree: what a process that was killed has left half is made again.
    Any number of processes may read and write, for they write the same. Only the rows asked for are in
    memory.

    Attributes:
        folder: where the files are.
        count: number of rows.
        row_bytes: length of a row.
    """

    def __init__(self, folder: Path, count: int, row_bytes: int) -> None:
        self.folder, self.count, self.row_bytes = folder, count, row_bytes
        self._verified = np.zeros(count, dtype=bool)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, length in ((ROWS_FILE, count * row_bytes), (CHECKS_FILE, 4 * count)):
                (folder / name).touch()
                if (folder / name).stat().st_size != length:
                    os.truncate(folder / name, length)
        self._rows = MappedRows(folder / ROWS_FILE, np.uint8, (count, row_bytes))
        self._checks = MappedRows(folder / CHECKS_FILE, "<u4", (count,))

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Return those of ``rows`` that nobody has made yet."""
        return rows[self._checks.read(rows) == 0]

    def read(self, rows: np.ndarray, make: Callable[[int], np.ndarray]) -> np.ndarray:
        """Return rows ``B L`` uint8; those that are not there are made with ``make(row)`` and written."""
        values, checks = self._rows.read(rows), self._checks.read(rows)
        made: dict[int, np.ndarray] = {}
        for place, row in enumerate(rows.tolist()):
            if row not in made and self._is_whole(row, values[place], int(checks[place])):
                continue
            if row not in made:
                made[row] = self.make(row, make)
            values[place] = made[row]
        return values

    def make(self, row: int, make: Callable[[int], np.ndarray]) -> np.ndarray:
        """Make a row, write it, return it."""
        values = make(row)
        with disk_errors(self.folder):
            _write(self.folder / ROWS_FILE, row * self.row_bytes, values)
            _write(self.folder / CHECKS_FILE, 4 * row, np.array([_checksum(values)], "<u4"))
        self._verified[row] = True
        return values

    def check_space(self, rows: int) -> None:
        """Raise the RunFolderError where the disk is plainly too small for so many more rows."""
        needed, free = rows * self.row_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise RunFolderError(
                f"About {needed / 1e9:.1f} GB are needed for {rows} images in {self.folder}, but the disk "
                f"has only {free / 1e9:.1f} GB free. {_OTHER_PLACE} A smaller --size takes less."
            )

    def _is_whole(self, row: int, values: np.ndarray, check: int) -> bool:
        if not self._verified[row]:
            self._verified[row] = check != 0 and _checksum(values) == check
        return bool(self._verified[row])


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(values.tobytes()) or 1


def _write(path: Path, start: int, values: np.ndarray) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(start)
        view = memoryview(values.tobytes())
        while len(view):
            view = view[file.write(view) :]


_OTHER_PLACE = f"Free some space, or set {VARIABLE} to a folder on another disk."


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with the disk of a cache (RunFolderError)."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"The cache in {folder} cannot be written ({error.strerror or error}). {_OTHER_PLACE}"
        ) from error
