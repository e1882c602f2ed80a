"""From whatever the user names to a store: a prepared one is opened, anything else is prepared first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geopretrain.console import console
from geopretrain.data.cache import cache_folder
from geopretrain.data.fingerprint import digest, unread
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.index import VERSION, WORK_FOLDER, has_index
from geopretrain.data.store.sharded.index import is_prepared


def resolve_store(data: str | Path | list[Any], cache: Path | None = None, **options: Any) -> FrameStore:
    """Return the store at ``data``, or one prepared from the raw thing into a cache folder, said in a line.

    The cache folder's name is a digest of the inputs (absolute paths, file sizes and times) and the options,
    so that the same call finds it again and a changed video makes a new one.

    Args:
        data: a prepared store, or what `geopretrain.data.prepare.preparation.prepare` takes.
        cache: where prepared stores are kept; default ``$GEOPRETRAIN_CACHE`` or ``~/.cache/geopretrain``.
        options: options of `prepare`.

    Raises:
        DataError, ConfigError, RunFolderError: as `FrameStore.open` and `prepare`.
    """
    inputs = list(data) if isinstance(data, list | tuple) else [data]
    if len(inputs) == 1 and is_store(inputs[0]):
        return FrameStore.open(inputs[0])
    progress = options.pop("progress", True)
    key = digest([VERSION, unread(inputs), sorted(options.items())], sort_keys=False)
    folder = (cache or cache_folder()) / "stores" / key
    if has_index(folder):
        console.say(f"Using the store prepared before: {folder}")
        return FrameStore.open(folder)
    console.say(f"{', '.join(str(i) for i in inputs)} is not prepared yet: preparing it in {folder}")
    return prepare(inputs, folder, progress=progress, **options)


def is_store(path: str | Path) -> bool:
    """Return whether what a user names is a store, be it complete or not."""
    return is_prepared(path) or (Path(path) / WORK_FOLDER).exists()
