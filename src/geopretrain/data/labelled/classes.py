"""Lists of classes: their names, ids and colours (class_maps.py reads the maps)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.palettes import CAMVID_11
from geopretrain.data.text_lists import Line, read_lines
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

MAX_CLASSES = 254
_IGNORED_NAMES = {"void", "unlabeled", "unlabelled", "ignore", "ignored", "background/ignore"}

_CAMVID_VOID = 11
ADE20K_LIST = "objectInfo150.txt"


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
        named = [colour_code(colour) for colour in self.colours.tolist()]
        if twice := next((one for number, one in enumerate(named) if one in named[:number]), None):
            first, second = [self.names[k] for k, one in enumerate(named) if one == twice][:2]
            raise DataError(f"The class list gives one colour to '{first}' and '{second}': two are needed.")
        return {
            **{colour_code(colour): IGNORE for colour in self.ignored_colours},
            **{one: number for number, one in enumerate(named)},
        }


def colour_code(colour: Sequence[int]) -> int:
    """Return a colour as a number, 0xRRGGBB."""
    return int(colour[0]) << 16 | int(colour[1]) << 8 | int(colour[2])


def camvid_classes() -> ClassList:
    """Return the 11 classes of CamVid in the SegNet layout; id 11 (void) is ignored."""
    ids = {**{number: number for number in range(len(CAMVID_11))}, _CAMVID_VOID: IGNORE}
    return ClassList(tuple(CAMVID_11), np.array(list(CAMVID_11.values()), dtype=np.uint8), True, ids)


def read_classes(path: Path, fewest: int = 2) -> ClassList:
    """Read ``classes.txt``: a name per line, optionally ``id:`` before it and ``R G B`` behind it.

    Where every line begins with another number, these are the ids, also without a colon. Without ids, the
    line number (from 0) is the id. Classes called void, ignore or unlabelled are ignored,
    as is 255 where no line gives it to a class (``255: car``). Of objects,
    one class may be enough (``fewest``).

    Raises:
        DataError: the file is missing or empty, or a line cannot be understood.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing. It must list the classes, one name per line in the order of their ids."
        )
    lines = _with_colons(read_lines(path, errors="replace"), path)
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


def _with_colons(lines: list[Line], path: Path) -> list[Line]:
    """Return the lines as ``id: name`` where all of them are ``id name`` with different ids.

    Raises:
        DataError: the ids stand behind the names.
    """
    before = [re.fullmatch(r"(-?\d+)\s+(\D.*)", line.text) for line in lines]
    if len({match[1] for match in before if match}) == len(lines):
        return [Line(line.number, f"{m[1]}: {m[2]}") for line, m in zip(lines, before, strict=True) if m]
    behind = [re.fullmatch(r"\D+?[\s,;]+(\d+)", line.text) for line in lines]
    if len(lines) > 1 and len({match[1] for match in behind if match}) == len(lines):
        raise DataError(
            f"{path}, line {lines[0].number}: '{lines[0].text}': the id goes before the name, 'id: name'."
        )
    return lines


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
    match = re.fullmatch(
        r"(?:(-?\d+)\s*[:,]\s*)?(.*?)(?:[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3}))?", text
    )
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
