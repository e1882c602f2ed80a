"""A store is cut into shards and sent to where other machines read it: the index last, nothing twice.

Shards are named by their content, so that what an interrupted upload has sent is known, a store that is
replaced stays whole until the index of the new one is written, and a shard can never be taken for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.console import ProgressLine, console
from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.source_summary import SUMMARY_FILE
from geopretrain.data.store.files import FolderFiles, Rows
from geopretrain.data.store.index import INDEX_FILE, SHEET_FILE, store_file
from geopretrain.data.store.pseudo_depth import FOLDER, INFO_FILE, PseudoDepth
from geopretrain.data.store.sharded.index import (
    LENGTHS_FILE,
    SHARDED_INDEX,
    SHARDS,
    SOURCE_DEPTH,
    Shard,
    ShardedIndex,
    every_choice,
    fields_key,
    is_url,
    key_of,
)
from geopretrain.data.store.sharded.storage import Storage
from geopretrain.errors import ConfigError, DataError, RunFolderError
from geopretrain.files import PARTIAL_SUFFIX
from geopretrain.wording import counted, in_megabytes

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore

_SMALL = (INDEX_FILE, SUMMARY_FILE, SHEET_FILE, f"{FOLDER}/{INFO_FILE}")
_TORN = re.compile(rf"\.({re.escape(SHARDED_INDEX)}|[0-9a-f]{{64}})\.\d+{re.escape(PARTIAL_SUFFIX)}")
"""Names of what a killed process was writing on a disk."""
_SHARD = re.compile("[0-9a-f]{64}")
_MISTYPED = re.compile(r"([A-Za-z0-9+.-]{2,})?:/")
"""Begin of what is meant to be an address, and would be a folder; ``C:/`` is a disk."""


@dataclass(frozen=True)
class _Part:
    """What becomes a shard of the file ``name``: how many rows, and their bytes, read when they are sent."""

    name: str
    rows: int
    read: Callable[[], bytes]


@dataclass
class _Upload:
    """An upload in progress.

    Attributes:
        storage: that receives it.
        there: bytes of the shards that are there, by name.
        sent, kept: number of shards that were sent, or were there.
    """

    storage: Storage
    there: dict[str, int]
    sent: int = 0
    kept: int = 0

    def send(self, content: bytes, rows: int) -> Shard:
        """Send a shard that is not there yet, or of another length."""
        shard = Shard(key_of(content), len(content), rows)
        if self.there.get(shard.key) == shard.bytes:
            self.kept += 1
            return shard
        self.storage.write(f"{SHARDS}/{shard.key}", content)
        self.there[shard.key] = shard.bytes
        self.sent += 1
        return shard


def upload(store: FrameStore, place: str, shard_bytes: int, *, overwrite: bool = False) -> ShardedIndex:
    """Send a store to where other machines read it; repeat the call to go on with an interrupted one.

    Args:
        store: in a folder.
        place: an address that fsspec knows, or a folder.
        shard_bytes: length of a shard at most, where a row is not longer.
        overwrite: replace another store; of the same store send every shard anew.

    Raises:
        DataError: the store itself is in shards, or was changed meanwhile.
        RunFolderError: something else is there, or the storage cannot be written.
        ConfigError: the address is none, or a library that writes to such addresses is not installed.
    """
    if not isinstance(store.files, FolderFiles):
        raise DataError(
            f"{store.place} is in shards already. Copy them, index last, with a tool of your storage, or "
            "give the folder that the store was prepared in."
        )
    if not is_url(place) and _MISTYPED.match(place):
        raise ConfigError(
            f"'{place}' is no address: that has two slashes behind its kind, such as s3://bucket/store. A "
            f"folder of this name is ./{place}."
        )
    storage = Storage(place, RunFolderError)
    version = store.files.version()
    try:
        files = {name: store_file(store.path, name) for name in _SMALL}
        small = {name: file.read_bytes() for name, file in files.items() if file.is_file()}
        anew = _check_free(storage, key_of(small[INDEX_FILE]), overwrite=overwrite)
        sending = _Upload(storage, {} if anew else storage.lengths(SHARDS))
        index = _sent(sending, store, small, shard_bytes)
        if store.files.version() != version:
            raise DataError(f"{store.place} was replaced while it was sent. Repeat the command.")
        _finish(storage, index)
    except OSError as error:  # what the storage says is in words already
        raise DataError(
            f"{error.filename or store.place} cannot be read ({error.strerror or error}). {store.files.again}"
        ) from error
    console.say(
        f"{storage.url} holds the store: {counted(len(index.shards()), 'shard')}, "
        f"{in_megabytes(sum(shard.bytes for shard in index.shards()) / 1e6)} ({sending.sent} sent, "
        f"{sending.kept} there already)."
    )
    return index


def _check_free(storage: Storage, key: str, *, overwrite: bool) -> bool:
    """Return whether every shard is to be sent anew; raise RunFolderError where something else is there."""
    names = set(storage.names())
    others = sorted(name for name in names - {SHARDED_INDEX, SHARDS} if not _TORN.fullmatch(name))
    if not others and SHARDS in names:
        found = storage.lengths(SHARDS)
        others = [name for name in found if not (_SHARD.fullmatch(name) or _TORN.fullmatch(name))]
    if others:
        raise RunFolderError(
            f"{storage.url} holds something else ({others[0]}), which is left alone. Choose another place."
        )
    if SHARDED_INDEX not in names:
        return False
    try:
        same = ShardedIndex.from_text(storage.read(SHARDED_INDEX), storage.url).small[INDEX_FILE].key == key
    except (DataError, KeyError):  # damaged, or of a newer version
        same = False
    if not (same or overwrite):
        raise RunFolderError(
            f"{storage.url} holds another store. Choose another place, or replace it: --overwrite."
        )
    return same and overwrite


def _sent(sending: _Upload, store: FrameStore, small: dict[str, bytes], shard_bytes: int) -> ShardedIndex:
    """Send all shards of a store and return its index."""
    maps = _depth_maps(store)
    if maps:
        lengths = np.array([path.stat().st_size for path in maps], "<u4")
        small = {**small, LENGTHS_FILE: lengths.tobytes()}
    parts = [part for one in _row_files(store) for part in _of_rows(*one, shard_bytes)]
    parts += _of_maps(maps, shard_bytes)
    rows: dict[str, list[Shard]] = {}
    with console.progress("uploading", len(parts) + len(small), unit="shards") as line:
        for part in parts:
            rows.setdefault(part.name, []).append(_advanced(line, sending.send(part.read(), part.rows)))
        files = {name: _advanced(line, sending.send(content, 1)) for name, content in small.items()}
    choices = every_choice(("stereo", "depth", "pseudo_depth"))
    prints = {fields_key(names): store.fingerprint(Fields(names=names)) for names in choices}
    return ShardedIndex(shard_bytes, files, rows, prints)


def _advanced(line: ProgressLine, shard: Shard) -> Shard:
    line.advance()
    return shard


def _finish(storage: Storage, index: ShardedIndex) -> None:
    """Write the index where all shards are there, and remove what no store of this place needs any more."""
    there = storage.lengths(SHARDS)
    needed = {shard.key: shard.bytes for shard in index.shards()}
    missing = [key for key, length in needed.items() if there.get(key) != length]
    if missing:
        raise RunFolderError(
            f"{storage.url} has lost {counted(len(missing), 'shard')} while the store was sent: perhaps "
            "another process sends a store to the same place. Repeat the command when it has ended."
        )
    storage.write(SHARDED_INDEX, index.text())
    unneeded = (name for name in there if name not in needed)
    ours = [name for name in unneeded if _SHARD.fullmatch(name) or _TORN.fullmatch(name)]
    storage.remove([f"{SHARDS}/{name}" for name in ours])
    storage.remove([name for name in storage.names() if _TORN.fullmatch(name)])


def _row_files(store: FrameStore) -> Iterator[tuple[str, Rows, int, int]]:
    """Yield name, rows, number and bytes of a row of each file of rows that is there."""
    for name, (rows, count, row_bytes) in store.row_files().items():
        if count:
            yield name, rows, count, row_bytes
    if (pseudo := PseudoDepth.open(store)) is not None:
        yield pseudo.name, pseudo.rows, store.num_samples, 4 * store.size[0] * store.size[1]


def _of_rows(name: str, rows: Rows, count: int, row_bytes: int, shard_bytes: int) -> Iterator[_Part]:
    step = max(1, shard_bytes // row_bytes)
    for first in range(0, count, step):
        chosen = range(first, min(first + step, count))
        yield _Part(name, len(chosen), partial(_content, rows, chosen))


def _content(rows: Rows, chosen: range) -> bytes:
    return rows.read(np.arange(chosen.start, chosen.stop)).tobytes()


def _depth_maps(store: FrameStore) -> list[Path]:
    """Return the depth maps at the source's resolution, in the order of the rows of the store."""
    clips = sorted(store.clips, key=lambda clip: clip.depth_row)
    names = [f"{clip.depth_folder}/{frame:06d}.png" for clip in clips for frame in clip.depth_frames]
    found = [store_file(store.path, name) for name in names]
    for path in found:
        if not path.is_file():
            raise DataError(f"Depth map {path} does not exist. {store.files.again}")
    return found


def _of_maps(maps: list[Path], shard_bytes: int) -> Iterator[_Part]:
    """Yield maps one after the other, so many whole ones that they are no longer than a shard."""
    chosen: list[Path] = []
    length = 0
    for path in maps:
        size = path.stat().st_size
        if chosen and length + size > shard_bytes:
            yield _Part(SOURCE_DEPTH, len(chosen), partial(_joined, chosen))
            chosen, length = [], 0
        chosen.append(path)
        length += size
    if chosen:
        yield _Part(SOURCE_DEPTH, len(chosen), partial(_joined, chosen))


def _joined(maps: list[Path]) -> bytes:
    return b"".join(path.read_bytes() for path in maps)
