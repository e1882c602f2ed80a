"""Stores of any number of black frames that take no room on the disk, in a folder or in shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.folders import save_json
from geopretrain.data.store.index import StoreIndex
from geopretrain.data.store.sharded.index import Shard, ShardedIndex, key_of

CLIPS, SIZE = 50, (64, 96)
FRAME = 3 * SIZE[0] * SIZE[1]


def write_store(folder: Path, frames: int) -> Path:
    """Write a store of black frames that take no room on the disk."""
    length = frames // CLIPS
    rng = np.random.default_rng(0)
    clips = [
        ClipInfo(
            *(f"clip{number:03d}", f"{number:03d}.mp4", "video", (720, 1280), (0, 0, 720, 1280), 30.0),
            *([[80.0, 0.0, 48.0], [0.0, 80.0, 32.0], [0.0, 0.0, 1.0]], True, 1, 3.0, number * length),
            *(list(range(length)), list(range(1, length - 1))),
            rng.uniform(1, 5, (length - 2, 2)).tolist(),
            *(length // 2, length // 2 + 2),
        )
        for number in range(CLIPS)
    ]
    folder.mkdir()
    save_json(folder / "store.json", StoreIndex(SIZE, False, None, [], clips).as_json())
    with (folder / "frames.u8").open("wb") as file:
        file.truncate(frames * FRAME)
    return folder


def write_shards(folder: Path, store: Path, frames: int) -> Path:
    """Write the same in shards, which are all one."""
    black = bytes(2500 * FRAME)
    shard = Shard(key_of(black), len(black), 2500)
    small = (store / "store.json").read_bytes()
    rows = {"frames.u8": [shard] * (frames // shard.rows)}
    index = ShardedIndex(len(black), {"store.json": Shard(key_of(small), len(small))}, rows, {"": "0" * 16})
    (folder / "shards").mkdir(parents=True)
    for content in (black, small):
        (folder / "shards" / key_of(content)).write_bytes(content)
    (folder / "sharded-store.json").write_bytes(index.text())
    return folder
