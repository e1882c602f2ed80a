"""``data upload``: a store is sent in shards to where other machines read it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from geopretrain.config.command import takes
from geopretrain.config.data_options import UploadOptions
from geopretrain.console import console

if TYPE_CHECKING:
    from geopretrain.data.store.sharded.index import ShardedIndex


@takes(UploadOptions)
def upload(options: UploadOptions) -> ShardedIndex:
    """Send a prepared store in shards to object storage, or to another folder, for other machines to read.

    Repeat the call to go on with an interrupted one: shards that are there are not sent again.

    Returns:
        What lies there: the shards of each file.

    Raises:
        DataError: there is no store, or it was changed meanwhile.
        ConfigError: a library that writes to such addresses is not installed.
        RunFolderError: something else is there, or it cannot be written.
    """
    from geopretrain.data.prepare import uploading
    from geopretrain.data.store.frame_store import FrameStore

    store, place = FrameStore.open(os.fspath(options.store)), os.fspath(options.destination)
    index = uploading.upload(store, place, round(options.shard_size * 1e6), overwrite=options.overwrite)
    method = "depth_supervised" if store.still_images else "monodepth"
    console.suggest(f"Next: geopretrain pretrain {method} --data {shlex.quote(place)} --out runs/depth")
    return index
