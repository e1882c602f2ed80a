"""Everything the engine says goes through here, so that sentences do not tear the progress line apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@cache
def console() -> Console:
    """Return the one console the engine writes to (standard output)."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def say(text: str, *, progress: bool = True) -> None:
    """Print one sentence, unless ``progress`` is off (many runs side by side stay quiet)."""
    if progress:
        console().print(text)
