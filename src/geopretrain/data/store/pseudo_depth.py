"""Depth by a teacher, stored beside the frames of a store: one float32 map per sample.

``STORE/pseudo_depth/`` holds ``values_KEY.f32`` (``N H W``, sample after sample) and ``info.json``, which is
written last and names the file that counts. KEY stands for teacher, meaning and store, so that an interrupted
command finds its own beginning again, and a new teacher leaves the maps of the old one alone until it is
done.

Teachers whose meaning allows it are stored as depth (1 / disparity). Disparity that is only known up to scale
and shift cannot be turned into depth and stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from geopretrain import manifest
from geopretrain.data.dataset import PseudoDepthInfo
from geopretrain.data.fingerprint import digest
from geopretrain.data.store.files import Rows, StoreFiles
from geopretrain.data.store.folders import read_json, save_json, storage_errors
from geopretrain.data.store.index import StoreIndex
from geopretrain.errors import DataError, RunFolderError
from geopretrain.folders import owned
from geopretrain.records import Text, as_type

FORMAT, VERSION = "geopretrain-pseudo-depth", 1
FOLDER, INFO_FILE = "pseudo_depth", "info.json"
SAVED = "data-pseudo-depth.yaml"  # in the store: the options of the command
_OURS = {"format", "store", "teacher"}
"""Entries by which a damaged ``info.json`` of ours is known."""
_NEAREST_ZERO = 1e-3
"""Least disparity or depth without known offset, as a fraction of the largest; 0 itself means: none."""


class Prepared(Protocol):
    """What the maps have to know of the store they belong to."""

    path: Path
    files: StoreFiles
    index: StoreIndex
    size: tuple[int, int]
    num_samples: int


@dataclass(frozen=True)
class _Published:
    """What ``info.json`` says of the maps."""

    teacher: Text
    quantity: Literal["depth", "disparity"]
    meaning: Literal["metric", "scale", "scale_shift"]
    file: Annotated[Text, Field(pattern=r"^values_\w+\.f32$")]


@dataclass(frozen=True)
class PseudoDepth:
    """The finished maps of a store.

    Attributes:
        info: what they mean.
        name: of their file in the store.
        rows: the maps, float32 ``H W`` each.
    """

    info: PseudoDepthInfo
    name: str
    rows: Rows

    @classmethod
    def open(cls, store: Prepared) -> PseudoDepth | None:
        """Return the maps of a store, None where there are none.

        Raises:
            DataError: they are damaged, or were made before the store was prepared anew.
        """
        folder = store.path / FOLDER
        if not (folder / INFO_FILE).is_file():
            return None
        again = (
            f"Repeat `geopretrain data pseudo-depth {store.path} --teacher ... --overwrite`."
            if store.files.can_grow
            else store.files.again
        )
        values = read_json(folder / INFO_FILE)
        if values.get("format") != FORMAT or values.get("version") != VERSION:
            raise DataError(f"{folder / INFO_FILE} is damaged or of another version. {again}")
        if values.get("store") != store_identity(store):
            raise DataError(
                f"The pseudo-depth in {folder} belongs to an earlier preparation of the store. {again}"
            )
        told: _Published = as_type(_Published, values, folder / INFO_FILE, error=DataError, advice=again)
        info = PseudoDepthInfo(told.teacher, told.quantity, told.meaning)
        name, shape = f"{FOLDER}/{told.file}", (store.num_samples, *store.size)
        length = store.files.length(name) or 0
        if length != 4 * int(np.prod(shape)):
            file = f"{store.files.place}/{name}"
            raise DataError(f"{file} is damaged: {length} bytes do not hold the store's samples. {again}")
        return cls(info, name, store.files.rows(name, np.float32, shape))

    def read(self, samples: np.ndarray) -> Tensor:
        """Return the maps ``B 1 H W`` float32 of samples, 0 = none."""
        return torch.from_numpy(self.rows.read(samples))[:, None]


def store_identity(store: Prepared) -> str:
    """Return what changes when a store is prepared from other data or in another way."""
    return digest([store.index.request, list(store.size), store.num_samples], 12)


def usable_values(values: np.ndarray, info: PseudoDepthInfo, frames: list[str]) -> np.ndarray:
    """Return a teacher's maps as they are stored (see ``PseudoDepthInfo.as_stored``), 0 = none.

    Args:
        values: ``B H W`` as the teacher gave them.
        info: what they mean.
        frames: names of the B frames, for the message.

    Raises:
        DataError: NaN or infinity, or a map without a single positive number where only those make sense.
    """
    values = np.asarray(values, dtype=np.float32)
    finite = np.isfinite(values).all((1, 2))
    if not finite.all():
        raise DataError(
            f"The teacher {info.teacher} gave NaN or infinity for {frames[int(np.argmin(finite))]}. Its "
            "weights may be damaged; try another teacher."
        )
    if info.meaning == "scale_shift":
        return _above_zero(values)
    positive = values > 0
    if not positive.any((1, 2)).all():
        frame = frames[int(np.argmin(positive.any((1, 2))))]
        raise DataError(
            f"The teacher {info.teacher} gave no positive {info.quantity} for {frame}. If its maps are known "
            "up to an offset only, say so with --meaning scale_shift."
        )
    safe = np.where(positive, values, 1)
    return np.where(positive, safe if info.quantity == "depth" else 1 / safe, 0).astype(np.float32)


def _above_zero(values: np.ndarray) -> np.ndarray:
    """Return maps of unknown offset with every pixel above 0, because 0 means: none."""
    low, high = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    span = np.maximum(high - low, np.maximum(np.abs(high), np.finfo(np.float32).tiny))
    return np.where(low > 0, values, values - low + _NEAREST_ZERO * span).astype(np.float32)


class PseudoDepthWriter:
    """Appends maps sample by sample; what an interrupted command has written is kept.

    Make one with ``writing_pseudo_depth``.

    Attributes:
        done: samples that are written.
        total: samples there are.
        finished: whether the store already holds exactly these maps.
    """

    def __init__(self, store: Prepared, info: PseudoDepthInfo, teacher_identity: Any) -> None:
        self.info, self.total = info, store.num_samples
        self._folder, self._size = store.path / FOLDER, store.size
        self._store_identity = store_identity(store)
        key = digest([teacher_identity, asdict(info), self._store_identity], 12)
        self._file = self._folder / f"values_{key}.f32"
        self._map_bytes = 4 * store.size[0] * store.size[1]
        published = read_json(self._folder / INFO_FILE) if (self._folder / INFO_FILE).is_file() else {}
        self.finished = published.get("file") == self._file.name
        self.published_teacher: str | None = published.get("teacher")
        size = self._file.stat().st_size if self._file.is_file() else 0
        self.done = min(self.total, size // self._map_bytes)
        if size > self.done * self._map_bytes:  # the end of an interrupted write
            os.truncate(self._file, self.done * self._map_bytes)

    def append(self, values: np.ndarray) -> None:
        """Write the maps ``B H W`` of the next B samples, safely on the disk when this returns."""
        with self._file.open("ab") as file:
            file.write(np.ascontiguousarray(values, dtype=np.float32).tobytes())
            file.flush()
            os.fsync(file.fileno())
        self.done += len(values)

    def written(self, sample: int) -> np.ndarray:
        """Return the map ``H W`` of a sample that is written."""
        shape = (self.done, *self._size)
        return np.array(np.memmap(self._file, dtype=np.float32, mode="r", shape=shape)[sample])

    def discard(self) -> None:
        """Remove what was written."""
        self._file.unlink(missing_ok=True)

    def publish(self) -> None:
        """Make the maps those of the store, and remove all others."""
        values = {
            "format": FORMAT,
            "version": VERSION,
            "store": self._store_identity,
            "file": self._file.name,
            **asdict(self.info.as_stored()),
        }
        save_json(self._folder / INFO_FILE, values)
        self.finished = True
        self.tidy()

    def tidy(self) -> None:
        """Remove the maps of other teachers, of which nothing is left to know."""
        if self.finished:
            others = [name for name in written_files(self._folder.parent) if Path(name).suffix == ".f32"]
            ours = f"{FOLDER}/{self._file.name}"
            manifest.remove(self._folder.parent, [name for name in others if name != ours])


def written_files(store: Path) -> list[str]:
    """Return the files of pseudo-depth in the folder of a store that bear a name of ours."""
    made = re.compile(r"info\.json|values_[0-9a-f]{12}\.f32")
    folder = store / FOLDER
    return [f"{FOLDER}/{path.name}" for path in sorted(folder.glob("*")) if made.fullmatch(path.name)]


def _check_ours(store: Path, overwrite: bool) -> None:
    """Refuse to write through a link, or over a file that somebody else has put there (RunFolderError)."""
    folder = store / FOLDER
    for path in (folder, *(store / name for name in written_files(store))):
        if path.is_symlink():
            raise RunFolderError(
                f"'{path}' is a link, and what lies behind it is not the store's to change. Move it away, "
                "then repeat the command."
            )
    info = folder / INFO_FILE
    if (os.path.lexists(folder) and not folder.is_dir()) or (info.exists() and not info.is_file()):
        raise RunFolderError(
            f"'{folder}' is in the way of pseudo-depth, and was not written by geopretrain. Move it away."
        )
    values = read_json(info)
    if not info.exists() or values.get("format") == FORMAT:
        return
    if values and not _OURS & values.keys():
        raise RunFolderError(
            f"'{info}' was not written by geopretrain, so it is left alone. Move it away, then repeat the "
            "command."
        )
    if not overwrite:
        raise RunFolderError(
            f"'{info}' is damaged, or was not written by geopretrain. Replace it with --overwrite."
        )


def check_can_grow(store: Prepared) -> None:
    """Refuse a store that is read from elsewhere, where nothing is written (RunFolderError)."""
    if not store.files.can_grow:
        raise RunFolderError(
            f"{store.files.place} is read from elsewhere, and nothing is written there. Make the "
            "pseudo-depth in the folder of the store, then upload it again: `geopretrain data upload`."
        )


@contextmanager
def writing_pseudo_depth(
    store: Prepared, info: PseudoDepthInfo, teacher_identity: Any, *, overwrite: bool
) -> Iterator[PseudoDepthWriter]:
    """Give a writer while no other process writes pseudo-depth into the store.

    Args:
        store: the store.
        info: what the teacher gives.
        teacher_identity: changes when the teacher does (JSON).
        overwrite: replace the maps of another teacher.

    Raises:
        RunFolderError: there are maps of another teacher or files that are not ours, another process writes
            the store, or it cannot be written.
    """
    check_can_grow(store)
    folder = store.path / FOLDER
    with storage_errors(store.path), owned(store.path):  # no other teacher, and no preparation
        _check_ours(store.path, overwrite)
        folder.mkdir(exist_ok=True)
        writer = PseudoDepthWriter(store, info, teacher_identity)
        if writer.published_teacher is not None and not (writer.finished or overwrite):
            raise RunFolderError(
                f"{store.path} already holds pseudo-depth by {writer.published_teacher}. Replace it with "
                "--overwrite."
            )
        writer.tidy()
        yield writer
