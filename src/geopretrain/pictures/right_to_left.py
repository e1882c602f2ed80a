"""Arabic and Hebrew in the order in which they are drawn, for drawing that knows no order of its own.

Letters of Arabic get the form that they have at their place in a word: Unicode's presentation forms, which
fonts have as they have letters. What stands between brackets is not mirrored.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise

_LETTERS = ("R", "AL")
_MARK = "NSM"
_NUMBERS = ("EN", "AN")
_AT_NUMBERS = ("ET", "ES", "CS")  # percent signs and the like
_LAM = "\u0644"


def in_drawing_order(text: str) -> str:
    """Return a text whose characters stand from left to right as they are drawn."""
    if not any(unicodedata.bidirectional(char) in _LETTERS for char in text):
        return text
    kinds = _kinds(text)
    letters = joined(text)
    runs: list[tuple[bool, list[str]]] = []
    for char, leftwards in zip(letters, kinds, strict=True):
        if not runs or runs[-1][0] != leftwards:
            runs.append((leftwards, []))
        runs[-1][1].append(char)
    parts = ["".join(_reversed(chars) if leftwards else chars) for leftwards, chars in runs]
    return "".join(reversed(parts) if kinds[0] else parts)


def _kinds(text: str) -> list[bool]:
    """Return of each character whether it is read from right to left; spaces are as what is around them."""
    kinds: list[bool | None] = []
    for char in text:
        kind, before = unicodedata.bidirectional(char), kinds[-1] if kinds else None
        if kind in _LETTERS:
            kinds.append(True)
        elif kind == _MARK or (kind in _AT_NUMBERS and before is False):
            kinds.append(before)
        else:
            kinds.append(False if kind == "L" or kind in _NUMBERS else None)
    first = next(kind for kind in kinds if kind is not None)
    after: bool = first
    for place in reversed(range(len(kinds))):
        before = next((kind for kind in reversed(kinds[:place]) if kind is not None), first)
        found = kinds[place]
        after = (after if after == before else first) if found is None else found
        kinds[place] = after
    return [bool(kind) for kind in kinds]


def _reversed(chars: list[str]) -> list[str]:
    """Return characters in reverse order, marks still behind the letter that they belong to."""
    groups: list[str] = []
    for char in chars:
        if groups and char and unicodedata.bidirectional(char[0]) == _MARK:
            groups[-1] += char
        else:
            groups.append(char)
    return groups[::-1]


def joined(text: str) -> list[str]:
    """Return each character of a text in the form of its place in the word; the alef of a lam is in it."""
    letters, forms = list(text), _forms()
    for place, (first, second) in enumerate(pairwise(text)):
        if first == _LAM and first + second in forms:
            letters[place : place + 2] = [first + second, ""]
    places = [i for i, one in enumerate(letters) if one and unicodedata.bidirectional(one[0]) != _MARK]
    shown = list(letters)
    for number, place in enumerate(places):
        own = forms.get(letters[place], {})
        before = letters[places[number - 1]] if number else ""
        after = letters[places[number + 1]] if number + 1 < len(places) else ""
        from_before = "<final>" in own and "<initial>" in forms.get(before, {})
        to_after = "<initial>" in own and "<final>" in forms.get(after, {})
        name = {(True, True): "<medial>", (True, False): "<final>", (False, True): "<initial>"}
        shown[place] = own.get(name.get((from_before, to_after), "<isolated>"), letters[place])
    return shown


@cache
def _forms() -> dict[str, dict[str, str]]:
    """Return the forms of each letter, and of lam with an alef, by their names in Unicode."""
    found: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBB2), *range(0xFBD3, 0xFC00), *range(0xFE80, 0xFEFD)):
        name, *parts = unicodedata.decomposition(chr(code)).split() or [""]
        if name and (len(parts) == 1 or code >= 0xFEF5):
            found.setdefault("".join(chr(int(part, 16)) for part in parts), {})[name] = chr(code)
    return found
