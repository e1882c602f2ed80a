"""Image files that are no pictures: depth maps of pictures, and what we wrote ourselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from geopretrain import manifest
from geopretrain.data.picture_file import open_picture
from geopretrain.data.value_range import is_wide

_DEPTH = re.compile(
    r"[-_. ]*(?<![a-z])(?:sync[-_]?)?(?:depth(?:[-_]?map)?|disp(?:arity)?|dpt)(?![a-z])[-_. ]*"
)
_COLOUR = re.compile(r"[-_. ]*(?<![a-z])(?:rgb|colou?r|image|img)(?![a-z])[-_. ]*")


def without_depth_maps(files: Sequence[Path]) -> tuple[list[Path], str | None]:
    """Return the pictures among image files, and a sentence about the others; None where there are none.

    No pictures are: files that a command of ours has listed as its own, grey files of more than 8 bits
    that are called a depth map or named like a picture, and other files that are called the depth map of a
    picture beside them. Where nothing else is there, all files are taken, and the sentence says what they
    look like.
    """
    ours = {folder: frozenset(manifest.listed(folder)) for folder in {file.parent for file in files}}
    names = Counter((file.parent, _bare(file)) for file in files)
    kinds = [_kind(file, ours[file.parent], names) for file in files]
    found = [(kind, file) for kind, file in zip(kinds, files, strict=True) if kind]
    if not found:
        return list(files), None
    words = " and ".join(_counted(kind, [file for of, file in found if of == kind]) for kind in dict(found))
    if len(found) == len(files):
        return list(files), f"{words}: taken as pictures, because nothing else was given."
    kept = [file for kind, file in zip(kinds, files, strict=True) if not kind]
    return kept, f"{words}: left out, as no pictures. Name a file alone to have it taken."


def _kind(file: Path, ours: frozenset[str], names: Counter[tuple[Path, str]]) -> str:
    """Return what a file is that is no picture, empty for a picture."""
    if file.name in ours:
        return "written by geopretrain"
    called = _DEPTH.search(file.stem.lower()) is not None
    beside = names[file.parent, _bare(file)] > 1
    if (called and beside) or ((called or beside) and _is_wide(file)):
        return "a depth map"
    return ""


def _bare(file: Path) -> str:
    """Return the name that a picture and its depth map have in common."""
    return _COLOUR.sub("#", _DEPTH.sub("#", file.stem.lower())).strip("#")


def _is_wide(file: Path) -> bool:
    from PIL import Image

    try:
        with open_picture(file) as picture:
            return is_wide(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # reading it says what is wrong


def _counted(kind: str, files: Sequence[Path]) -> str:
    if len(files) == 1:
        return f"'{files[0]}' is {kind}"
    kinds = {"a depth map": "are depth maps", "written by geopretrain": "were written by geopretrain"}
    return f"{len(files)} files {kinds[kind]} ('{files[0]}', for example)"
