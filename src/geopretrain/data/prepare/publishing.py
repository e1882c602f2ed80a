"""A store that is complete takes its place: by one rename, whatever happens at whatever moment.

``OUT/.preparing`` becomes ``OUT/.prepared``: from then on it is the store, for readers look there first. Its
files are moved into their places afterwards, the index last; what a kill leaves undone the next preparation
does. Before the rename the older store is untouched. What we did not write stays where it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from geopretrain import manifest
from geopretrain.data.prepare.source_summary import SUMMARY_FILE
from geopretrain.data.store.folders import discard, read_json, save_json
from geopretrain.data.store.index import (
    COMPLETE_FOLDER,
    DEPTH_FILE,
    DEPTH_FOLDER,
    FRAMES_FILE,
    INDEX_FILE,
    POINTS_FILE,
    POSES_FILE,
    SHEET_FILE,
    STEREO_FILE,
)
from geopretrain.data.store.pseudo_depth import FOLDER as PSEUDO_FOLDER
from geopretrain.data.store.pseudo_depth import SAVED as PSEUDO_SAVED
from geopretrain.data.store.pseudo_depth import written_files as pseudo_files

_PARTS = (
    *(DEPTH_FOLDER, DEPTH_FILE, STEREO_FILE, POSES_FILE, POINTS_FILE, SUMMARY_FILE),
    *(FRAMES_FILE, SHEET_FILE, INDEX_FILE),
)
_REPLACED_FILE = "replaced.json"
"""In a complete store: the files of the older one that go with it."""


def publish(work: Path, out: Path) -> None:
    """Make the complete store in ``work`` the store of ``out``."""
    save_json(work / _REPLACED_FILE, {"files": _files_of_the_older(out, work)})
    os.rename(work, out / COMPLETE_FOLDER)
    finish_publishing(out)


def finish_publishing(out: Path) -> dict[str, Any] | None:
    """Move a complete store into its place, where one waits; return what it was made of, else None."""
    coming = out / COMPLETE_FOLDER
    request = None
    if (coming / INDEX_FILE).is_file() and not coming.is_symlink():
        request = read_json(coming / INDEX_FILE).get("request")
        for name in (DEPTH_FOLDER, PSEUDO_FOLDER):
            if (out / name).is_symlink():  # not ours to follow, and in the way
                (out / name).unlink()
        manifest.remove(out, read_json(coming / _REPLACED_FILE).get("files", []))
        for name in _PARTS:  # the index last
            if (coming / name).exists():
                _move(coming / name, out / name)
    discard(coming)
    return request


def _move(source: Path, target: Path) -> None:
    """Move a file or folder; what is in a folder of that name already stays there."""
    if not (source.is_dir() and target.is_dir()):
        os.replace(source, target)
        return
    for part in sorted(source.iterdir()):
        _move(part, target / part.name)


def _files_of_the_older(out: Path, work: Path) -> list[str]:
    """Return the files of the store in ``out`` that the one in ``work`` does not replace."""
    depth = re.compile(rf"{DEPTH_FOLDER}/\d{{3}}/\d{{6,}}\.png")
    maps = [path.relative_to(out).as_posix() for path in (out / DEPTH_FOLDER).glob("*/*.png")]
    names = [name for name in maps if depth.fullmatch(name)] if (out / INDEX_FILE).is_file() else []
    names += [*_PARTS[1:], *pseudo_files(out)]
    if manifest.is_listed(out / PSEUDO_SAVED) or not manifest.has_list(out):  # else it is somebody's own
        names.append(PSEUDO_SAVED)
    return [name for name in names if (out / name).is_file() and not (work / name).exists()]
