"""Files as a careless hand, a full disk or a bad copy leaves them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ODD = (None, -1, "x", [], {}, 10**30, float("nan"), True, [[1]], 0.5)
"""Values that may stand where another was."""
CONTENTS = (
    *(b"", b"{}", b"[]", b"null", b"5", b'"x"'),
    *(b"\xff\xfe\x00", b'{"a": ', b"[" * 5000, b"\x00" * 64),
)
"""What a whole file may be."""


def cut(content: bytes) -> Iterator[bytes]:
    """Yield a file that ends too early, at several places."""
    for part in (0.1, 0.35, 0.6, 0.9):
        yield content[: int(len(content) * part)]
    yield content[:-2]


def changed(value: Any) -> Iterator[Any]:
    """Yield a JSON value with one part replaced or taken away; of lists the first and the last are tried."""
    places = [*_places(value)]
    for place in places:
        for odd in ODD:
            yield _with(value, place, odd)
        yield _without(value, place)


def damaged(file: Path, every: int = 1) -> Iterator[str]:
    """Write a JSON file in many wrong ways, one by one, and yield what was done; mends it at last."""
    content = file.read_bytes()
    for number, wrong in enumerate((*CONTENTS, *cut(content))):
        file.write_bytes(wrong)
        yield f"content {number}: {wrong[:40]!r}"
    for wrong in islice(changed(json.loads(content)), 0, None, every):
        file.write_text(text := json.dumps(wrong))
        yield text[:300]
    file.write_bytes(content)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        inside: list[Any] = list(value)
    else:
        inside = sorted({0, len(value) - 1}) if isinstance(value, list) and value else []
    for key in inside:
        yield (*at, key)
        yield from _places(value[key], (*at, key))


def _with(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    made = copy.deepcopy(value)
    _holder(made, place)[place[-1]] = odd
    return made


def _without(value: Any, place: tuple[Any, ...]) -> Any:
    made = copy.deepcopy(value)
    del _holder(made, place)[place[-1]]
    return made


def _holder(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        value = value[key]
    return value
