"""Class lists, and class maps of any common encoding read to ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.palettes import CAMVID_11, known_colours
from geopretrain.data.text_lists import Line, read_lines
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

MAX_CLASSES = 254
_IGNORED_NAMES = {"void", "unlabeled", "unlabelled", "ignore", "ignored", "background/ignore"}

_CAMVID_VOID = 11
ADE20K_LIST = "objectInfo150.txt"
_BLACK_AND_WHITE = {0: "black", 0xFFFFFF: "white"}
_WEBP_HEAD = 64  # bytes that say how a WebP picture is packed


@dataclass(frozen=True)
class ClassList:
    """Names and colours of the classes, and which stored id means which class.

    Attributes:
        names: one name per class.
        colours: ``K 3`` uint8.
        coded: whether the colours come from the data set, so that colour maps can be read with them.
        ids: stored id -> class; ids that map to 255 are ignored, others are an error.
        ignored_colours: colours that the list itself declares to be of no class.
    """

    names: tuple[str, ...]
    colours: NDArray[np.uint8]
    coded: bool
    ids: dict[int, int]
    ignored_colours: tuple[tuple[int, int, int], ...] = ()

    def ids_of_classes(self) -> tuple[int, ...]:
        """Return the stored id of each class."""
        stored = {number: one for one, number in self.ids.items()}
        return tuple(stored[number] for number in range(len(self.names)))

    def codes(self) -> dict[int, int]:
        """Return class or 255 by the colours of the list, as numbers 0xRRGGBB.

        Raises:
            DataError: two classes have one colour.
        """
        named = [_code(colour) for colour in self.colours.tolist()]
        if twice := next((one for number, one in enumerate(named) if one in named[:number]), None):
            first, second = [self.names[k] for k, one in enumerate(named) if one == twice][:2]
            raise DataError(f"The class list gives one colour to '{first}' and '{second}': two are needed.")
        return {
            **{_code(colour): IGNORE for colour in self.ignored_colours},
            **{one: number for number, one in enumerate(named)},
        }


def _code(colour: Sequence[int]) -> int:
    return int(colour[0]) << 16 | int(colour[1]) << 8 | int(colour[2])


def camvid_classes() -> ClassList:
    """Return the 11 classes of CamVid in the SegNet layout; id 11 (void) is ignored."""
    ids = {**{number: number for number in range(len(CAMVID_11))}, _CAMVID_VOID: IGNORE}
    return ClassList(tuple(CAMVID_11), np.array(list(CAMVID_11.values()), dtype=np.uint8), True, ids)


def read_classes(path: Path, fewest: int = 2) -> ClassList:
    """Read ``classes.txt``: a name per line, optionally ``id:`` before it and ``R G B`` behind it.

    Without ids, the line number (from 0) is the id. Classes called void, ignore or unlabelled are ignored,
    as is 255 where no line gives it to a class (``255: car``). Of objects,
    one class may be enough (``fewest``).

    Raises:
        DataError: the file is missing or empty, or a line cannot be understood.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing. It must list the classes, one name per line in the order of their ids."
        )
    lines = read_lines(path, errors="replace")
    entries = [_parse_line(line, number, path) for number, line in enumerate(lines)]
    kept = [entry for entry in entries if entry[1].lower() not in _IGNORED_NAMES]
    if len(kept) < fewest:
        raise DataError(
            f"{path} lists {len(kept)} classes; at least {fewest} are needed, one name per line. In masks of "
            "one kind of thing the rest is a class, too: '0: background' and '255: car', for example."
        )
    if len(kept) > MAX_CLASSES:
        raise DataError(f"{path} lists {len(kept)} classes; at most {MAX_CLASSES} are possible.")
    ids = {entry[0]: IGNORE for entry in entries}
    if len(ids) != len(entries):
        raise DataError(f"{path} gives the same id to two classes.")
    if len({entry[1] for entry in kept}) != len(kept):
        raise DataError(f"{path} lists two classes of the same name. Give each a name of its own.")
    ids.update({entry[0]: number for number, entry in enumerate(kept)})
    coded = all(entry[2] is not None for entry in kept)
    colours = np.array([entry[2] for entry in kept], dtype=np.uint8) if coded else class_palette(len(kept))
    ignored = [entry[2] for entry in entries if entry not in kept and entry[2] is not None]
    return ClassList(tuple(entry[1] for entry in kept), colours, coded, ids, tuple(ignored))


def read_ade20k_classes(path: Path) -> ClassList:
    """Read ``objectInfo150.txt`` of ADE20K's scene parsing: ids from 1 on, 0 is ignored.

    Raises:
        DataError: a line is not an id and, behind tabs, a name.
    """
    names: dict[int, str] = {}
    for number, text in read_lines(path, errors="replace")[1:]:
        first, *_, name = [part.strip() for part in text.split("\t")] if "\t" in text else (text, "")
        if not first.isdecimal() or not name:
            raise DataError(f"{path}, line {number}: '{text}' is no id with a name behind tabs.")
        names[int(first)] = name
    if not 2 <= len(names) <= MAX_CLASSES:
        raise DataError(f"{path} lists {len(names)} classes; 2 to {MAX_CLASSES} are possible.")
    ids = {0: IGNORE, **{one: number for number, one in enumerate(names)}}
    return ClassList(tuple(names.values()), class_palette(len(names)), False, ids)


def _parse_line(line: Line, number: int, path: Path) -> tuple[int, str, tuple[int, int, int] | None]:
    text = line.text
    match = re.fullmatch(r"(?:(\d+)\s*[:,]\s*)?(.*?)(?:[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3}))?", text)
    if match is None or not match.group(2).strip():
        raise DataError(
            f"{path}, line {line.number}: '{text}' is not 'name' or 'id: name', optionally with 'R G B'."
        )
    if re.fullmatch(r".*\D\s*:\s*\d+", match.group(2)):
        raise DataError(f"{path}, line {line.number}: '{text}': the id goes before the name, 'id: name'.")
    colour = None
    if match.group(3) is not None:
        colour = (int(match.group(3)), int(match.group(4)), int(match.group(5)))
        if max(colour) > 255:
            raise DataError(f"{path}, line {line.number}: the colour {colour} is outside 0 to 255.")
    return int(match.group(1) or number), match.group(2).strip(), colour


def read_labels(path: Path, classes: ClassList) -> NDArray[np.uint8]:
    """Read a class map to ``H W`` uint8 class numbers, 255 = ignore.

    Palette and grey images hold ids; colour images are looked up in the colours of ``classes``.

    Raises:
        DataError: unreadable, an id or colour outside the class list, or colours without a list of them.
    """
    stored = _stored(path, classes)
    if stored.ndim == 2:
        return _from_ids(stored, path, classes)
    return _from_colours(stored, path, _with_colours(classes, stored))


def colours_from(path: Path, classes: ClassList) -> str | None:
    """Return the data set whose colours are taken for those of a class map, because the list has none.

    None where the map holds ids, cannot be read, or the list has colours.
    """
    try:
        stored = None if classes.coded else _stored(path, classes)
    except DataError:  # reading it will say what is wrong
        return None
    known = None if stored is None or stored.ndim == 2 else _known(classes, stored)
    return None if known is None else known[0]


def _known(classes: ClassList, stored: NDArray[np.int64]) -> tuple[str, NDArray[np.uint8]] | None:
    """Return the data set that has these classes and draws in the colours of a map; None without one."""
    codes = {int(one) for one in np.unique(_codes(stored))} - {*_BLACK_AND_WHITE}
    return known_colours(classes.names, {(one >> 16, one >> 8 & 255, one & 255) for one in codes})


def _with_colours(classes: ClassList, stored: NDArray[np.int64]) -> ClassList:
    """Return a list with colours: its own, or those of the data set with classes of these names."""
    known = None if classes.coded else _known(classes, stored)
    return classes if known is None else replace(classes, colours=known[1], coded=True)


def unnamed_values(path: Path, classes: ClassList) -> set[str]:
    """Return what is ignored in a class map although no line says so: ``255``, or ``black`` and ``white``."""
    stored = _stored(path, classes)
    if stored.ndim == 2:
        return {str(IGNORE)} if IGNORE not in classes.ids and (stored == IGNORE).any() else set()
    present, known = set(np.unique(_codes(stored)).tolist()), _with_colours(classes, stored).codes()
    return {word for code, word in _BLACK_AND_WHITE.items() if code in present and code not in known}


def _stored(path: Path, classes: ClassList) -> NDArray[np.int64]:
    """Return ids ``H W``, or colours ``H W 3`` where the list has some (DataError)."""
    try:
        with Image.open(path) as picture:
            _refuse_lossy(picture, path)
            mode = picture.mode
            stored = np.array(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"The label {path} cannot be read as an image: {error}") from error
    if stored.ndim == 2:
        return _whole(stored, path)
    if mode == "LA":
        return stored[..., 0].astype(np.int64)
    if mode not in ("RGB", "RGBA"):
        raise DataError(f"The label {path} is a {mode} image; expected ids (grey or palette) or RGB colours.")
    colours = stored[..., :3].astype(np.int64)
    if classes.coded:
        return colours
    if (colours == colours[..., :1]).all():  # grey saved with three channels
        return colours[..., 0]
    if _known(classes, colours) is not None:
        return colours
    raise DataError(
        f"The label {path} is a colour image, but the class list has no colours. "
        "Add 'R G B' behind each name in classes.txt, or save the labels as grey or palette ids."
    )


def _refuse_lossy(picture: Image.Image, path: Path) -> None:
    """Refuse a picture packed with loss: next to edges it holds ids nobody has given."""
    lossy = picture.format in ("JPEG", "MPO") or str(picture.info.get("compression", "")).endswith("jpeg")
    if picture.format == "WEBP":
        lossy = b"VP8 " in path.read_bytes()[:_WEBP_HEAD]
    if lossy:
        raise DataError(
            f"The label {path} is packed with loss ({picture.format}), which changes ids near edges. "
            "Save labels as PNG, from where they were still exact."
        )


def _whole(stored: np.ndarray, path: Path) -> NDArray[np.int64]:
    """Return ids as integers (DataError for fractions, or what is no number)."""
    if np.issubdtype(stored.dtype, np.floating) and not (stored == np.round(stored)).all():
        raise DataError(
            f"The label {path} holds fractions ({stored[stored != np.round(stored)][0]:g}, for example), but "
            "ids of classes are whole numbers. It may be a map of probabilities, or have been resized by "
            "averaging; save the ids themselves as 8-bit PNG."
        )
    return stored.astype(np.int64)


def _from_ids(stored: NDArray[np.int64], path: Path, classes: ClassList) -> NDArray[np.uint8]:
    present = np.unique(stored)
    known = {IGNORE: IGNORE, **classes.ids}
    foreign = [int(one) for one in present if int(one) not in known]
    if foreign:
        raise DataError(
            f"The label {path} holds the id {foreign[0]}, which is outside the class list "
            f"({len(classes.names)} classes, ids {_ranges(sorted(classes.ids))}, and 255 = ignore). If it is "
            f"one of them, write it before the name in classes.txt: '{foreign[0]}: name'; if it is of no "
            f"class, '{foreign[0]}: ignore'.{_from_one(foreign, classes)}"
        )
    table = np.zeros(int(present.max()) + 1, dtype=np.uint8)
    for one in present:
        table[int(one)] = known[int(one)]
    return table[stored]


def _from_one(foreign: Sequence[int], classes: ClassList) -> str:
    """Return the advice where ids seem to count from 1 while the list counts from 0."""
    count = len(classes.names)
    if list(foreign) != [count] or sorted(classes.ids) != list(range(count)):
        return ""
    return (
        f" Ids may count from 1: then write '1: {classes.names[0]}' to '{count}: {classes.names[-1]}', and "
        "'0: ignore' for what is of no class."
    )


def _from_colours(stored: NDArray[np.int64], path: Path, classes: ClassList) -> NDArray[np.uint8]:
    code, known = _codes(stored), classes.codes()
    result = np.full(code.shape, IGNORE, dtype=np.uint8)
    for one in np.unique(code):
        if int(one) in known:
            result[code == one] = known[int(one)]
        elif int(one) not in _BLACK_AND_WHITE:  # which are of no class
            colour = (int(one) >> 16, int(one) >> 8 & 255, int(one) & 255)
            raise DataError(
                f"The label {path} holds the colour {colour}, which belongs to no class of the list. If "
                f"it is of none, say so by a line 'ignore {' '.join(map(str, colour))}' in classes.txt."
            )
    return result


def _codes(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``H W 3`` colours as numbers 0xRRGGBB."""
    return (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]


def _ranges(ids: Sequence[int]) -> str:
    """Write sorted ids shortly: ``0-10, 13``."""
    parts: list[list[int]] = []
    for one in ids:
        if parts and one == parts[-1][1] + 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)
