"""From whatever the user names to a store: a prepared one is opened, anything else is prepared first."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.store.folders import fingerprint
from geopretrain.data.store.frame_store import INDEX_FILE, VERSION, WORK_FOLDER, FrameStore


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
    if len(inputs) == 1 and any((Path(inputs[0]) / name).exists() for name in (INDEX_FILE, WORK_FOLDER)):
        return FrameStore.open(inputs[0])
    progress = options.pop("progress", True)
    key = json.dumps([VERSION, fingerprint(inputs), sorted(options.items())], default=str)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    root = cache or Path(os.environ.get("GEOPRETRAIN_CACHE") or Path.home() / ".cache" / "geopretrain")
    folder = Path(root) / "stores" / digest
    if (folder / INDEX_FILE).is_file():
        print(f"Using the store prepared before: {folder}", flush=True)
        return FrameStore.open(folder)
    print(f"{', '.join(str(i) for i in inputs)} is not prepared yet: preparing it in {folder}", flush=True)
    return prepare(inputs, folder, progress=progress, **options)
