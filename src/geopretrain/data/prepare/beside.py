"""Data sets in the folders of one that is looked at: what is beside those that its layout takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from geopretrain.data.file_names import is_clutter, natural_key
from geopretrain.data.labelled.detect import is_labelled
from geopretrain.data.options import SourceOptions
from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.base import Unusable
from geopretrain.data.readers.detect import LAYOUTS
from geopretrain.data.store.sharded.index import is_prepared
from geopretrain.errors import DataError

MAX_FOLDERS = 50
"""Folders that are looked into, in the order of their names."""


def other_sets(path: Path, clips: Sequence[SourceClip]) -> list[str]:
    """Return a sentence about each folder inside that is a data set of its own: labelled, or without a clip.

    Args:
        path: what the user named.
        clips: that its layout has found there.
    """
    if not path.is_dir():
        return []
    taken = [Path(clip.path).absolute() for clip in clips]
    folders = [one for one in path.iterdir() if one.is_dir() and not is_clutter(one.name)]
    found = []
    for folder in sorted(folders, key=lambda one: natural_key(one.name))[:MAX_FOLDERS]:
        inside = folder.absolute()
        has_clip = any(inside in (clip, *clip.parents) or clip in inside.parents for clip in taken)
        if what := "" if has_clip and not is_labelled(str(folder)) else _kind(folder):
            line = shlex.join(["geopretrain", "data", "inspect", str(folder)])
            found.append(f"Also there: {folder.name}, {what}. To look at it: {line}")
    return found


def _kind(folder: Path) -> str:
    """Return what a folder is, in a few words; empty where it is no data set."""
    if is_prepared(folder):
        return "a prepared store"
    if is_labelled(str(folder)):
        return "labelled images"
    for layout in LAYOUTS:
        try:
            opened = layout.open(str(folder), SourceOptions())
        except DataError:
            return f"{layout.name}, which cannot be used as it is"
        clips = [one for one in opened if not isinstance(one, Unusable)]
        if clips:
            return f"{layout.name} ({len(clips)} clip{'s' * (len(clips) != 1)})"
    return ""
