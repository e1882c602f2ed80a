"""Where a data set lies below a root that holds many, and whether the root is of the wrong level."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from geopretrain.data.catalogue.table import DataSet, Part, data_set, data_sets
from geopretrain.errors import ConfigError, DataError

VARIABLE = "GEOPRETRAIN_DATA_ROOT"
LEVELS = 2
"""Folders below the root that a data set may lie in each other: ``root/kitti/data_semantics``."""
_FURTHER = 4  # levels that are looked at to say that the root is of the wrong one
_ABOVE = 5
_MAX_FOLDERS = 5000


def found(name: str, root: Path) -> Path | None:
    """Return the folder of a data set at or below a root, None where it has none.

    Of several, the one that has most of its parts, then the one with a usual name, then the nearest; of
    folders in each other the innermost that holds all of it: beside it may be other data.
    """
    wanted = data_set(name)
    places = [place for place in _folders(root, LEVELS) if has(place, wanted.parts[0])]
    usual = {folder: number for number, folder in enumerate(wanted.folders)}

    def rank(place: Path) -> tuple[int, int, int]:
        parts = sum(has(place, part) for part in wanted.parts)
        return -parts, usual.get(place.name, len(usual)), len(place.parts)

    best = min(places, key=rank, default=None)
    while best is not None and best.name not in usual:
        inside = [place for place in places if best in place.parents and rank(place)[0] == rank(best)[0]]
        around = [one for one in inside if all(one == place or one in place.parents for place in inside)]
        if not around:
            break
        best = around[0]
    return best


def has(place: Path, part: Part) -> bool:
    """Return whether a part is there."""
    return any(next(iter(place.glob(pattern)), None) is not None for pattern in part.any_of)


def spec_of(name: str, place: Path, options: str = "") -> str:
    """Return what a data set is opened with."""
    wanted = data_set(name)
    inside = place / wanted.inside if wanted.inside and (place / wanted.inside).is_dir() else place
    return f"{wanted.prefix}{inside}{f'?{options}' if options else ''}"


def not_found(name: str, root: Path) -> str:
    """Return the sentence on a data set that is not below a root: where it is instead, or may be had."""
    wanted = data_set(name)
    if not root.is_dir():
        return f"The data root {root} is not a folder."
    if (above := _above(root, wanted)) is not None:
        return (
            f"{root} lies inside {wanted.title} ({above}): the data root is of the wrong level. Give "
            f"{above}, or the folder that it lies in."
        )
    if (deeper := _deeper(root, wanted)) is not None:
        return (
            f"{wanted.title} lies deeper, in {deeper}: the data root {root} is of the wrong level. Give "
            f"{deeper.parent}."
        )
    expected = " or ".join(wanted.parts[0].any_of)
    return (
        f"{root} holds no {wanted.title}: no {expected} in it or in a folder below, such as "
        f"{wanted.folders[0]}/. Get it from {wanted.page}."
    )


def resolved(data: str, root: str | os.PathLike[str] | None) -> str:
    """Return what is opened where data may be the name of a data set, as ``camvid`` or ``nyuv2?classes=13``.

    A path that exists is a path; one that does not, but lies below the root, is that.

    Raises:
        ConfigError: it is the name of a data set, and nobody says where data sets lie.
        DataError: it is not there; the message says what was looked for, and where it may be had.
    """
    name, _, options = data.partition("?")
    if not name or ":" in name or os.path.lexists(os.path.expanduser(name)):
        return data
    given = root if root is not None else os.environ.get(VARIABLE) or None
    if name not in data_sets():
        below = Path(given, name) if given is not None else None
        return f"{below}{f'?{options}' if options else ''}" if below is not None and below.exists() else data
    if given is None:
        raise ConfigError(
            f"'{name}' is the name of a data set: say where data sets lie, by --data-root FOLDER or the "
            f"variable {VARIABLE}. `geopretrain data list` shows what it needs."
        )
    where = Path(given).expanduser().absolute()
    place = found(name, where)
    if place is None:
        raise DataError(not_found(name, where))
    if (other := taken_for(name, place)) is not None:
        raise DataError(shared(name, place, data_set(other).title))
    return spec_of(name, place, options)


def taken_for(name: str, place: Path) -> str | None:
    """Return the data set of frames that a folder would be read as instead of another one in it, or None.

    Data sets of frames are tried in the order of the table, which is that of their readers.
    """
    wanted = data_set(name)
    if wanted.kind != "frames":
        return None
    before = takewhile(lambda other: other != name, data_sets())
    frames = (other for other in before if data_set(other).kind == "frames")
    first = next((other for other in frames if has(place, data_set(other).parts[0])), name)
    return None if set(data_set(first).clips) & set(wanted.clips) else first


def shared(name: str, place: Path, other: str) -> str:
    """Return the sentence on a folder that is read as another data set, which lies in it, too."""
    wanted = data_set(name)
    return (
        f"{wanted.title} needs a folder of its own: {place} is read as {other}, which lies in it, too. Move "
        f"all of {wanted.title} into a folder such as {wanted.folders[0]}/."
    )


def _folders(root: Path, levels: int) -> Iterator[Path]:
    """Yield a folder and those below it, level by level, hidden ones left out."""
    row, seen = [root], 0
    for level in range(levels + 1):
        yield from row
        seen += len(row)
        if level == levels or seen > _MAX_FOLDERS:
            return
        row = [inner for folder in row for inner in _inside(folder)]


def _inside(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError:
        return []


def _above(root: Path, wanted: DataSet) -> Path | None:
    """Return the folder above the root that is the data set, None without one."""
    parents = list(root.absolute().parents)[:_ABOVE]
    return next((place for place in parents if has(place, wanted.parts[0])), None)


def _deeper(root: Path, wanted: DataSet) -> Path | None:
    return next((place for place in _folders(root, _FURTHER) if has(place, wanted.parts[0])), None)
