"""``data prepare``: videos, folders and data sets in, a store of frames out."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.config.command import takes
from geopretrain.config.data_options import PrepareOptions
from geopretrain.config.groups import listed
from geopretrain.config.saved import as_saved, write_saved
from geopretrain.console import console

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore


@takes(PrepareOptions)
def prepare(options: PrepareOptions) -> FrameStore:
    """Prepare videos, folders of images or data sets as one store of frames.

    Repeat the call to continue an interrupted one.

    Returns:
        The store, whose ``config.yaml`` repeats the preparation.

    Raises:
        DataError: inputs which cannot be used (the message says which and why).
        ConfigError: an option with an impossible value.
        RunFolderError: the output folder is in use, not writable, or its disk is full.
    """
    from geopretrain.data.prepare import preparation

    store = preparation.prepare(
        listed(options.inputs),
        os.fspath(options.out),
        options,
        overwrite=options.overwrite,
        progress=console.shown,
        wait=False,
        finish=lambda: write_saved(Path(options.out), as_saved("data prepare", options)),
    )
    method = "depth_supervised" if store.still_images else "monodepth"
    console.suggest(
        f"Next: geopretrain pretrain {method} --data {shlex.quote(str(store.path))} --out runs/depth"
    )
    return store
