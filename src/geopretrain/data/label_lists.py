"""Lists of the images to learn from, such as ``data select`` writes: names found among those of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from geopretrain.data.dataset import Dataset, Fields
from geopretrain.data.text_lists import listed_path, read_lines
from geopretrain.errors import DataError, OptionError
from geopretrain.wording import counted

_SUFFIX = re.compile(r"\.(?=\d*[a-z])[a-z\d]{1,5}$", re.IGNORECASE)
LIST = "selected.txt"
"""The list in a folder that ``data select`` has written."""
_RANK = re.compile(r"^\d{3,}_")  # ``data select`` writes 001_CLIP_FRAME.png of CLIP/FRAME
PROPAGATED = "a frame that labels were propagated to: name the image that they are from"
MAX_NAMED = 3
"""Lines that cannot be used which are named."""
Parts = tuple[str, ...]


def listed_subset(data: Dataset, fields: Fields, file: str, count: int | None) -> list[int]:
    """Return which of the training samples a list names, by their numbers in the split, in its order.

    A name is the path of an image within the data set, or the end of it, with or without its suffix.

    Args:
        data: that is learned from.
        fields: that a sample must have.
        file: text, one name a line, the most worth first; or the folder that ``data select`` wrote one into.
        count: how many to take; None: all.

    Raises:
        DataError: the file cannot be read, or a name is of no training image, of several, or there twice.
        OptionError: more are asked for than are listed.
    """
    found = _found(_list_at(file), *_names(data, fields))
    if count is not None and count > len(found):
        asked = counted(count, "image")
        raise OptionError(
            "labels", f"asks for {asked}, and '{file}' lists {len(found)}. Ask for these or fewer."
        )
    return found[:count]


def _list_at(file: str) -> Path:
    path = Path(file)
    if not path.is_dir():
        return path
    if not (path / LIST).is_file():
        raise DataError(
            f"'{file}' has no {LIST}: give the folder that `data select` wrote, or a list itself."
        )
    return path / LIST


def _names(data: Dataset, fields: Fields) -> tuple[Sequence[str], dict[str, Sequence[str]]]:
    """Return the names a list may have, and others by why not: frames come with the image of their labels."""
    from geopretrain.data.labelled.labelled_set import LabelledSet

    names = {split: data.names(positions) for split, positions in data.splits(fields).items()}
    train = names.pop("train")
    by_hand = data.labelled_by_hand if isinstance(data, LabelledSet) else len(train)
    others = {f"of the {split} split, which is not learned from": own for split, own in names.items()}
    return train[:by_hand], {**others, PROPAGATED: train[by_hand:]}


def _found(file: Path, train: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[int]:
    known, errors, found = _by_last(train), list[str](), dict[int, int]()
    tails = {why: _by_last(own) for why, own in others.items()}
    for number, text in read_lines(file):
        places = _places(known, text)
        if len(places) == 1 and places[0] in found:
            errors.append(f"line {number}: '{text}' is the image of line {found[places[0]]}, too")
        elif len(places) == 1:
            found[places[0]] = number
        elif places:
            several = " or ".join(train[place] for place in places[:2])
            errors.append(f"line {number}: '{text}' may be {several}; write the whole name")
        elif why := next((why for why, own in tails.items() if _places(own, text)), ""):
            errors.append(f"line {number}: '{text}' is {why}")
        else:
            errors.append(f"line {number}: '{text}' is none of them")
    if errors:
        more = f"; and {len(errors) - MAX_NAMED} more" if len(errors) > MAX_NAMED else ""
        raise DataError(
            f"'{file}' does not list training images of the data ({len(train)} images such as "
            f"{', '.join(train[:2])}). {'; '.join(errors[:MAX_NAMED])}{more}."
        )
    if not found:
        raise DataError(f"'{file}' lists no image.")
    return list(found)


def _forms(name: str) -> list[Parts]:
    """Return a name as it is and without its suffix; what looks like one may be none (``walk.v2``)."""
    *folders, last = PurePosixPath(listed_path(name)).parts or ("",)
    return list(dict.fromkeys([(*folders, last), (*folders, _SUFFIX.sub("", last))]))


def _by_last(names: Sequence[str]) -> dict[str, list[tuple[Parts, int]]]:
    """Return names and their places by the last part, and by that without the rank ``data select`` gives."""
    table: dict[str, list[tuple[Parts, int]]] = {}
    for place, name in enumerate(names):
        for parts in _forms(name):
            for last in {parts[-1], _RANK.sub("", parts[-1])}:
                table.setdefault(last, []).append((parts, place))
    return table


def _places(table: Mapping[str, list[tuple[Parts, int]]], text: str) -> list[int]:
    """Return the places of the names that a line may mean, with its suffix or else without."""
    return next((found for asked in _forms(text) if (found := _places_of(table, asked))), [])


def _places_of(table: Mapping[str, list[tuple[Parts, int]]], asked: Parts) -> list[int]:
    """Return the places of the same name, else of those that end alike."""
    there = table.get(asked[-1], [])
    exact = [place for parts, place in there if parts == asked]
    if exact:
        return exact
    alike = [place for parts, place in there if _end_alike(parts, asked)]
    if alike or len(asked) < 2:
        return alike
    return [place for _, place in table.get("_".join(asked), [])]


def _end_alike(one: Parts, other: Parts) -> bool:
    count = min(len(one), len(other))
    return one[-count:] == other[-count:]
