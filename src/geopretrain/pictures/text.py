"""Letters in pictures, of any script: in a font that has them, else spelt in letters that all have."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from geopretrain.console import console
from geopretrain.pictures.right_to_left import in_drawing_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.ImageFont import FreeTypeFont

PAPER = 255
INK = (40, 40, 40)
USUAL = "DejaVu Sans"
"""Comes with matplotlib and knows the alphabets of Europe, Hebrew and Arabic."""
_SIZES = (12, 11, 10, 9, 8)
_NO_LETTERS = ("emoji", "last resort", "lastresort", "symbol", "dingbats")
"""Words in the names of fonts that have all characters as one box, or none that is a letter."""
_SOUND = re.compile(r".*\b(?:LETTER|SYLLABLE|VOWEL SIGN)(?: SMALL)? ([A-Z]{1,8})")


@cache
def font(size: int, text: str = "") -> FreeTypeFont:
    """Return a font that has the letters of a text, in the order and form that `legible` gives them."""
    from PIL import ImageFont

    return ImageFont.truetype(_fonts_of(text)[-1][1], size, layout_engine=ImageFont.Layout.BASIC)


def families(text: str) -> list[str]:
    """Return the names of the fonts to draw a text with, for matplotlib, see `plotted`."""
    return [name for name, _ in _fonts_of(text)]


def fitted(
    text: str, width: float, sizes: Sequence[int] = _SIZES, behind: str = ""
) -> tuple[str, FreeTypeFont]:
    """Return a text in the largest of some sizes that fits ``width`` px, shortened where none does.

    Args:
        text: in a word or more.
        width: px.
        sizes: px, the largest first.
        behind: what stands behind the text, and is not shortened.
    """
    text = " ".join(text.split())
    shown = legible(f"{text} {behind}".strip())
    for size in sizes:
        if font(size, shown).getlength(shown) <= width:
            return shown, font(size, shown)
    smallest, kept, rest = sizes[-1], text, f" {behind}" * bool(behind)
    dots = "…" if _font_with(frozenset(f"{shown}…")) else "..."
    while kept and font(smallest, shown).getlength(legible(kept + dots + rest)) > width:
        kept = kept[:-1]
    return legible((kept.rstrip() + dots + rest) if kept or not rest else behind), font(smallest, shown)


def length(text: str) -> int:
    """Return how many px a text takes in the largest size that `fitted` chooses."""
    shown = legible(" ".join(text.split()))
    return ceil(font(_SIZES[0], shown).getlength(shown))


def legible(text: str) -> str:
    """Return a text as it is drawn, what no font of this system has spelt in other letters (told once)."""
    return _with_letters(text, in_drawing_order(text))


def plotted(text: str) -> str:
    """Return a text as `legible` does for matplotlib, which from 3.11 on orders and joins letters itself."""
    from matplotlib import __version_info__ as version

    return _with_letters(text, text if tuple(version)[:2] >= (3, 11) else in_drawing_order(text))


def _with_letters(text: str, shown: str) -> str:
    if _font_with(frozenset(shown)) is not None:
        return shown
    known, spelt = _characters(_usual_file()), list[str]()
    for char in shown:
        beside = spelt and spelt[-1].startswith("U+") and ord(char) not in known
        spelt.append(char if ord(char) in known else " " * bool(beside) + _spelt(char))
    found = "".join(spelt)
    odd = next(char for char in shown if ord(char) not in known)
    _tell(unicodedata.name(odd, "?").split()[0], text, found)
    return found


def _spelt(char: str) -> str:
    """Return how a letter sounds by its name in Unicode, else its number; marks are left out."""
    if sound := _SOUND.fullmatch(unicodedata.name(char, "")):
        return sound[1].lower()
    return "" if unicodedata.category(char).startswith("M") else f"U+{ord(char):04X}"


@cache
def _tell(script: str, text: str, spelt: str) -> None:
    if script in _told:
        return
    _told.add(script)
    console.warn(
        f"No font of this system has all letters of '{text}': in pictures it stands as '{spelt}'. A font "
        "that has them, such as Noto Sans CJK for Chinese, Japanese and Korean, is used once it is installed."
    )


_told: set[str] = set()


def _fonts_of(text: str) -> list[tuple[str, str]]:
    """Return names and files of the usual font and, where it lacks letters, of one that has them."""
    usual = (USUAL, _usual_file())
    found = _font_with(frozenset(text)) or usual
    return [usual] if found == usual else [usual, found]


@cache
def _font_with(characters: frozenset[str]) -> tuple[str, str] | None:
    """Return name and file of a font that has all of these, the usual one if it has; None without any."""
    codes = {ord(char) for char in characters}
    if codes <= _characters(_usual_file()):
        return USUAL, _usual_file()
    return next((one for one in system_fonts() if codes <= _characters(one[1])), None)


@cache
def system_fonts() -> tuple[tuple[str, str], ...]:
    """Return names and files of the upright fonts that matplotlib finds, those of usual weight first."""
    from matplotlib.font_manager import fontManager, weight_dict

    usual, found = weight_dict["regular"], set[tuple[int, str, str]]()
    for one in fontManager.ttflist:
        if one.style == "normal" and not any(word in one.name.lower() for word in _NO_LETTERS):
            weight = one.weight if isinstance(one.weight, int) else weight_dict.get(one.weight, usual)
            found.add((abs(weight - usual), one.name, one.fname))
    return tuple((name, file) for _, name, file in sorted(found))


@cache
def _characters(file: str) -> frozenset[int]:
    """Return the characters of a font, none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _usual_file() -> str:
    from pathlib import Path

    from matplotlib import get_data_path

    return str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
