"""Shards that were fetched, in the user's cache: shared by any number of processes, and bounded.

A shard is in ``shards/XX/``, XX being the beginning of its name, which is its content: stores that share
shards share them here. It is fetched beside its place by whoever holds the lock of XX, verified, and renamed.
Room is made before, under a lock of its own: the shards that were used longest ago go, but none that is
being opened, for its lock is held. What a process has opened it can read to the end, also where it is gone.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from geopretrain import locks, manifest
from geopretrain.data.cache import VARIABLE, cache_folder, disk_errors
from geopretrain.data.store.sharded.index import SHARDS, Shard
from geopretrain.data.store.sharded.storage import Storage
from geopretrain.errors import ConfigError, DataError, RunFolderError
from geopretrain.files import PARTIAL_SUFFIX, flush_to_disk, remove_leftovers

BOUND = "GEOPRETRAIN_SHARDS_GB"
"""Variable that says how many GB (10^9 bytes) of shards are kept."""
FREE_PART = 0.1
"""Part that is left free of what the cache and the free space of its disk have together, where nobody
has said how much is kept; not of the whole disk, most of which may be others'."""
PATIENCE = 24 * 3600.0
"""Seconds to wait for another process, which fetches one shard, or dies."""
_ATTEMPTS, _PAUSE = 3, 1.0
_LOCKS, _ROOM = "locks", "room"
_RESERVED = re.compile(rf"\.[0-9a-f]{{64}}\.(\d+)\.\d+{re.escape(PARTIAL_SUFFIX)}")

T = TypeVar("T")


@dataclass(frozen=True)
class _Kept:
    """A file in the cache: a shard, or one that is being fetched, which counts as whole."""

    path: Path
    bytes: int
    used: float
    reserved: bool


class ShardCache:
    """Shards of one place; may travel to another process.

    Attributes:
        storage: that they are fetched from.
        root: folder of the cache.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage, self.root = storage, cache_folder(SHARDS)

    def has(self, shard: Shard) -> bool:
        """Return whether a shard is here at this moment."""
        return self._path(shard).is_file()

    def opened(self, shard: Shard, opener: Callable[[Path], T]) -> T:
        """Return what ``opener`` makes of the file of a shard, which is fetched where it is not here.

        The file may be gone afterwards, so that ``opener`` has to hold it open.

        Raises:
            DataError: it cannot be fetched, is not there, or is damaged.
            ConfigError: the bound of the cache is smaller than the shard.
            RunFolderError: the cache cannot be written, or its disk is full.
        """
        with disk_errors(self.root):
            with suppress(FileNotFoundError):
                return self._used(shard, opener)
            with self._held(shard.key[:2]):
                with suppress(FileNotFoundError):  # another process has fetched it meanwhile
                    return self._used(shard, opener)
                return self._fetched(shard, opener)

    def touch(self, shard: Shard) -> bool:
        """Note that a shard is used; return whether it is still here."""
        try:
            os.utime(self._path(shard))
        except OSError:
            return False
        return True

    def bound(self) -> float:
        """Return how many bytes of shards may be kept (ConfigError)."""
        given = os.environ.get(BOUND)
        if given:
            return _gigabytes(given)
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            return self._bound(sum(one.bytes for one in self._kept()))

    def _path(self, shard: Shard) -> Path:
        return self.root / shard.key[:2] / shard.key

    def _used(self, shard: Shard, opener: Callable[[Path], T]) -> T:
        path = self._path(shard)
        if path.stat().st_size != shard.bytes:  # a disk that lost something; it is fetched again
            path.unlink()
            raise FileNotFoundError(path)
        os.utime(path)
        return opener(path)

    def _fetched(self, shard: Shard, opener: Callable[[Path], T]) -> T:
        """Fetch a shard, whose lock is held, and open it."""
        path = self._path(shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary = self._reserved(shard, path)
        try:
            self._fetch(shard, temporary)
            flush_to_disk(temporary)
            os.replace(temporary, path)
            return opener(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _fetch(self, shard: Shard, target: Path) -> None:
        """Fetch what has the checksum that it must have; once more where a transfer has failed."""
        for attempt in range(_ATTEMPTS):
            try:
                self.storage.fetch(f"{SHARDS}/{shard.key}", target)
                if _checksum(target) == shard.key:
                    return
                problem = self._damaged(shard, target.stat().st_size)
            except FileNotFoundError:
                raise DataError(
                    f"{self.storage.url} has lost {SHARDS}/{shard.key}: it was removed, or another store has "
                    "taken its place. Repeat the command, or upload the store again."
                ) from None
            except DataError as error:
                problem = error
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_PAUSE * 4**attempt)
        raise problem

    def _damaged(self, shard: Shard, length: int) -> DataError:
        what = (
            f"cut off ({length} bytes where {shard.bytes} were expected)"
            if length != shard.bytes
            else "of another content than its checksum says"
        )
        return DataError(
            f"{self.storage.url}/{SHARDS}/{shard.key} is damaged: it is {what}. Nothing of it was used. "
            "Upload the store again with --overwrite, which sends every shard anew."
        )

    # ---------------------------------------------------------------- room

    def _reserved(self, shard: Shard, path: Path) -> Path:
        """Return where a shard is fetched to; from now on its bytes count. Waits for others that fetch."""
        name = f".{shard.key}.{shard.bytes}.{os.getpid()}{PARTIAL_SUFFIX}"
        while True:
            with self._held(_ROOM):
                if self._has_room(shard.bytes):
                    (path.parent / name).touch()
                    return path.parent / name
            time.sleep(0.05)

    def _has_room(self, needed: int) -> bool:
        """Remove what was used longest ago until there is room; return whether there is."""
        kept = sorted(self._kept(), key=lambda one: one.used)
        there = sum(one.bytes for one in kept)
        bound = self._bound(there)
        if needed > bound:
            raise self._too_small(needed, bound)
        for one in kept:
            if there + needed <= bound:
                break
            there -= one.bytes if self._removed(one) else 0
        return there + needed <= bound

    def _removed(self, one: _Kept) -> bool:
        """Remove a shard, or what a killed process has left of one; not what another process is at."""
        try:
            with self._held(one.path.parent.name, patience=0):
                one.path.unlink()
        except (RunFolderError, FileNotFoundError, PermissionError):  # in use, gone, or open on Windows
            return False
        return True

    def _kept(self) -> list[_Kept]:
        folders = [folder for folder in _entries(self.root) if folder.name != _LOCKS]
        return [one for folder in folders for one in _files(folder)]

    def _bound(self, there: int) -> float:
        given = os.environ.get(BOUND)
        if given:
            return _gigabytes(given)
        return (1 - FREE_PART) * (there + shutil.disk_usage(self.root).free)

    def _too_small(self, needed: int, bound: float) -> ConfigError | RunFolderError:
        if os.environ.get(BOUND):
            return ConfigError(
                f"{BOUND} allows {bound / 1e9:g} GB in the cache, and one shard of {self.storage.url} has "
                f"{needed / 1e9:g} GB. Allow more, or upload the store with a smaller --shard-size."
            )
        return RunFolderError(
            f"The disk of the cache in {self.root} is nearly full: a shard of {needed / 1e9:.2g} GB does not "
            f"fit while a tenth of what is free is left so. Free some space, set {VARIABLE} to a folder on "
            f"another disk, or say with {BOUND} how many GB may be kept."
        )

    @contextmanager
    def _held(self, name: str, patience: float = PATIENCE) -> Iterator[None]:
        """Hold one of the locks of the cache."""
        folder = self.root / _LOCKS / name
        if not manifest.has_list(folder):  # so that nobody takes the place of the lock away
            manifest.begin(folder)
        with locks.held(folder, patience=patience):
            yield


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        return list(found)
    return []


def _files(folder: os.DirEntry[str]) -> Iterator[_Kept]:
    """Yield what lies in a folder of shards; what goes meanwhile is left out."""
    for entry in _entries(Path(folder.path)) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            about, reserved = entry.stat(), _RESERVED.fullmatch(entry.name)
            length = int(reserved[1]) if reserved else about.st_size
            yield _Kept(Path(entry.path), length, about.st_mtime, reserved is not None)


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{BOUND} must be a number of GB above 0, such as 50, not '{text}'.")
    return value * 1e9


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
