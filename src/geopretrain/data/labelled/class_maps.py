"""Class maps of any common encoding read to numbers of classes: ids, palettes, colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.classes import ClassList, colour_code
from geopretrain.data.labelled.label_file import Stored, Values, read_stored
from geopretrain.data.labelled.palettes import known_colours
from geopretrain.data.picture_file import open_picture
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError

_BLACK_AND_WHITE = {0: "black", 0xFFFFFF: "white"}
_LARGEST_TABLE = 2**16  # ids up to which a map is translated by a table
_SAMPLE = 8  # files that are looked into before any is read
_NAMED = 8  # ids or colours named in one sentence


def read_labels(path: Path, classes: ClassList) -> NDArray[np.uint8]:
    """Read a class map to ``H W`` uint8 class numbers, 255 = ignore.

    Grey images hold ids; colour images are looked up in the colours of ``classes``, and so are palette images
    whose colours are all among them, otherwise these hold ids, too. A note of orientation (EXIF) is obeyed.
    Where a map with an alpha channel is transparent, it is of no class.

    Raises:
        DataError: unreadable, an id or colour outside the class list, colours without a list of them, more
            or less transparent in places, or transparent over the colour or id of a class.
    """
    found = _meant(path, classes)
    if found.hidden is None:
        return _classes_of(found.values, path, classes)
    result = np.full(found.hidden.shape, IGNORE, np.uint8)
    if len(visible := found.visible):
        result[~found.hidden] = _classes_of(visible[None], path, classes)[0]
    _refuse_classes_beneath(found, path, classes)
    return result


def _classes_of(values: Values, path: Path, classes: ClassList) -> NDArray[np.uint8]:
    if values.ndim == 2:
        return _from_ids(values, path, classes)
    return _from_colours(values, path, _with_colours(classes, values))


def _refuse_classes_beneath(found: Stored, path: Path, classes: ClassList) -> None:
    """Refuse a map that is transparent where its pixels would be of a class."""
    beneath = found.values[found.hidden]
    if beneath.ndim == 1:
        meant = {f"the id {one}": classes.ids.get(int(one), IGNORE) for one in np.unique(beneath)}
    else:
        known = _with_colours(classes, found.visible).codes()
        meant = {
            f"the colour {_rgb(one)}": known.get(one, IGNORE) for one in _occurring(_codes(beneath)).tolist()
        }
    for what, number in meant.items():
        if number != IGNORE:
            raise DataError(
                f"The label {path} is transparent in places, and has {what} of '{classes.names[number]}' "
                "there. Save the labels without transparency (RGB, or grey): as they are if that class is "
                "meant, else with another colour there, and a line 'ignore R G B' for it in classes.txt."
            )


def some_transparent(files: Sequence[Path], classes: ClassList) -> bool:
    """Return whether class maps are of no class where they are transparent; a few files are looked into."""
    for path in _some(files):
        try:
            if _meant(path, classes).hidden is not None:
                return True
        except DataError:  # reading it will say what is wrong
            continue
    return False


def colours_from(path: Path, classes: ClassList) -> str | None:
    """Return the data set whose colours are taken for those of a class map, because the list has none.

    None where the map holds ids, cannot be read, or the list has colours.
    """
    try:
        values = None if classes.coded else _meant(path, classes).visible
    except DataError:  # reading it will say what is wrong
        return None
    known = None if values is None or values.ndim == 1 or not len(values) else _known(classes, values)
    return None if known is None else known[0]


def unnamed_values(path: Path, classes: ClassList) -> set[str]:
    """Return what is ignored in a class map although no line says so: ``255``, or ``black`` and ``white``."""
    values = _meant(path, classes).visible
    if values.ndim == 1:
        return {str(IGNORE)} if IGNORE not in classes.ids and (values == IGNORE).any() else set()
    present, known = set(_occurring(_codes(values)).tolist()), _with_colours(classes, values).codes()
    return {word for code, word in _BLACK_AND_WHITE.items() if code in present and code not in known}


def refuse_mixed_palettes(files: Sequence[Path], classes: ClassList) -> None:
    """Raise DataError where one colour has different ids in different files, which then hold no ids.

    That is what programs write that make a palette for each picture. A few files are looked into; where the
    list has colours, palettes are read by these, and nothing is refused.
    """
    seen: dict[int, tuple[int, Path]] = {}
    for path in [] if classes.coded else _some(files):
        for one, code in _drawn(path).items():
            other, where = seen.setdefault(code, (one, path))
            if other != one:
                raise DataError(
                    f"The labels are palette pictures whose ids mean different things: {_rgb(code)} is the "
                    f"id {other} in {where} and {one} in {path}. Write the colour of each class behind its "
                    "name in classes.txt, 'name R G B', then they are read by their colours."
                )


def what_labels_hold(files: Sequence[Path]) -> str:
    """Return in a sentence what a list of classes must have for these labels; '' where none can be read."""
    ids: set[int] = set()
    codes: set[int] = set()
    for path in _some(files):
        try:
            stored = read_stored(path)
        except DataError:  # reading it will say what is wrong
            continue
        if stored.values.ndim == 2:
            ids |= set(np.unique(stored.visible).tolist())
        else:
            codes |= set(np.unique(_codes(stored.visible)).tolist())
    if codes:
        return f"The first labels hold the colours {_colours_listed(codes)}: write 'name R G B' for each."
    if not ids:
        return ""
    listed = f"The first labels hold the ids {_ranges(sorted(ids))}"
    if sorted(ids - {IGNORE}) == list(range(len(ids - {IGNORE}))) and len(ids) > 2:
        return f"{listed}: the first line is the name of 0, the next that of 1, and so on."
    return f"{listed}: write 'id: name' for each."


def _some(files: Sequence[Path]) -> list[Path]:
    return [files[place] for place in spread_positions(len(files), _SAMPLE)]


def _drawn(path: Path) -> dict[int, int]:
    """Return the colour, 0xRRGGBB, of each id that a palette picture uses; {} of another picture."""
    try:
        with open_picture(path) as picture:
            if picture.mode != "P":
                return {}
        stored = read_stored(path)
    except (DataError, OSError, ValueError):  # reading it will say what is wrong
        return {}
    palette = stored.palette
    if palette is None:
        return {}
    return {int(one): colour_code(palette[one]) for one in np.unique(stored.values)}


def _known(classes: ClassList, colours: Values) -> tuple[str, NDArray[np.uint8]] | None:
    """Return the data set that has these classes and draws in the colours of a map; None without one."""
    codes = {int(one) for one in np.unique(_codes(colours))} - {*_BLACK_AND_WHITE}
    return known_colours(classes.names, {(one >> 16, one >> 8 & 255, one & 255) for one in codes})


def _with_colours(classes: ClassList, colours: Values) -> ClassList:
    """Return a list with colours: its own, or those of the data set with classes of these names."""
    known = None if classes.coded else _known(classes, colours)
    return classes if known is None else replace(classes, colours=known[1], coded=True)


def _meant(path: Path, classes: ClassList) -> Stored:
    """Return a map with ids ``H W``, or colours ``H W 3`` where the list has some (DataError)."""
    stored = read_stored(path)
    if stored.values.ndim == 2:
        return _by_palette(stored, path, classes)
    visible = stored.visible
    if classes.coded or not len(visible):
        return stored
    if (visible == visible[:, :1]).all():  # grey saved with three channels
        return replace(stored, values=stored.values[..., 0])
    if _known(classes, visible) is not None:
        return stored
    found = _colours_listed(_occurring(_codes(visible)).tolist())
    raise DataError(
        f"The label {path} is a colour image, but the class list has no colours. It holds {found}: "
        "add 'R G B' behind each name in classes.txt, or save the labels as grey or palette ids."
    )


def _by_palette(stored: Stored, path: Path, classes: ClassList) -> Stored:
    """Return a map with its ids; with its colours, where it has a palette and all of them are in the list.

    Raises:
        DataError: a colour belongs to another class than its id, while others belong to none.
    """
    if stored.palette is None or not classes.coded:
        return stored
    clear = np.zeros(256, bool) if stored.clear is None else stored.clear
    known, used = classes.codes(), _occurring(stored.values)
    codes = {int(one): colour_code(stored.palette[one]) for one in used}
    if all(code in known or clear[one] for one, code in codes.items()):
        hidden = clear[stored.values]
        return replace(stored, values=stored.palette[stored.values], hidden=hidden if hidden.any() else None)
    for one, code in codes.items():
        meant = known.get(code, IGNORE)
        if IGNORE not in (meant, classes.ids.get(one, IGNORE)) and meant != classes.ids[one]:
            strange = next(code for code in codes.values() if code not in known)
            raise DataError(
                f"The label {path} contradicts itself: by the class list its id {one} is "
                f"'{classes.names[classes.ids[one]]}', but its palette draws it as '{classes.names[meant]}'. "
                f"If the colours are meant, give {_rgb(strange)} a line, too ('ignore {_rgb(strange)}' for "
                "no class); if the ids are, take the colours out of the list."
            )
    return stored


def _from_ids(stored: Values, path: Path, classes: ClassList) -> NDArray[np.uint8]:
    present = _occurring(stored)
    known = {IGNORE: IGNORE, **classes.ids}
    foreign = [int(one) for one in present if int(one) not in known]
    if foreign:
        raise DataError(
            f"The label {path} holds the id {foreign[0]}, which is outside the class list "
            f"({len(classes.names)} classes, ids {_ranges(sorted(classes.ids))}, and 255 = ignore). If it is "
            f"one of them, write it before the name in classes.txt: '{foreign[0]}: name'; if it is of no "
            f"class, '{foreign[0]}: ignore'.{_from_one(foreign, classes)}"
        )
    numbers = np.array([known[int(one)] for one in present], np.uint8)
    if present[0] < 0 or present[-1] >= _LARGEST_TABLE:
        return numbers[np.searchsorted(present, stored)]
    table = np.zeros(int(present[-1]) + 1, np.uint8)
    table[present] = numbers
    return table[stored]


def _occurring(values: Values) -> Values:
    """Return the numbers that occur in a map, ascending."""
    flat = values.reshape(-1)
    return np.unique(flat[_begins(flat)])  # in runs: to sort or hash every pixel takes longer than decoding


def _begins(flat: Values) -> NDArray[np.int64]:
    """Return the places at which runs of equal numbers begin."""
    changes = np.ones(len(flat), bool)
    changes[1:] = flat[1:] != flat[:-1]
    return np.flatnonzero(changes)


def _from_one(foreign: Sequence[int], classes: ClassList) -> str:
    """Return the advice where ids seem to count from 1 while the list counts from 0."""
    count = len(classes.names)
    if list(foreign) != [count] or sorted(classes.ids) != list(range(count)):
        return ""
    return (
        f" Ids may count from 1: then write '1: {classes.names[0]}' to '{count}: {classes.names[-1]}', and "
        "'0: ignore' for what is of no class."
    )


def _from_colours(stored: Values, path: Path, classes: ClassList) -> NDArray[np.uint8]:
    code, known = _codes(stored).reshape(-1), classes.codes()
    begins = _begins(code)
    present = np.unique(code[begins])
    for one in present.tolist():
        if one not in known and one not in _BLACK_AND_WHITE:  # which are of no class
            colour = (one >> 16, one >> 8 & 255, one & 255)
            raise DataError(
                f"The label {path} holds the colour {colour}, which belongs to no class of the list. If "
                f"it is of none, say so by a line 'ignore {' '.join(map(str, colour))}' in classes.txt."
            )
    numbers = np.array([known.get(one, IGNORE) for one in present.tolist()], np.uint8)
    of_runs = numbers[np.searchsorted(present, code[begins])]
    return np.repeat(of_runs, np.diff(begins, append=len(code))).reshape(stored.shape[:-1])


def _codes(colours: Values) -> Values:
    """Return colours ``... 3`` as numbers 0xRRGGBB."""
    return (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]


def _rgb(code: int) -> str:
    return f"{code >> 16} {code >> 8 & 255} {code & 255}"


def _colours_listed(codes: Iterable[int]) -> str:
    """Return e.g. ``0 0 0, 128 0 0 and 7 more``."""
    ordered = sorted(codes)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return f"{', '.join(map(_rgb, ordered[:_NAMED]))}{more}"


def _ranges(ids: Sequence[int]) -> str:
    """Write sorted ids shortly: ``0-10, 13``."""
    parts: list[list[int]] = []
    for one in ids:
        if parts and one == parts[-1][1] + 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)
