"""Which steps of a recipe need which: by the folders that they read and write."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from geopretrain.config.saved import as_saved
from geopretrain.recipes.commands import INSIDE, is_launched
from geopretrain.recipes.plan import Step

Needs = Mapping[str, Collection[str]]
"""Names of the steps that must be finished before, by the name of the step."""


def needs_of(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Return what each step needs of those before it: what they have written where it reads.

    One that writes into the folder of another waits for all that read that folder before it in the list, so
    that what a step finds in its data does not depend on how many run at a time.
    """
    texts = {step.name: "\n".join(_places(as_saved(step.command, step.options))) for step in steps}
    folders = {step.name: _folder(step) for step in steps}
    found: dict[str, set[str]] = {}
    for number, step in enumerate(steps):
        before = [one.name for one in steps[:number]]
        found[step.name] = {name for name in before if folders[name].search(texts[step.name])}
        if step.command in INSIDE:
            found[step.name] |= {name for name in before if folders[step.name].search(texts[name])}
    return found


def in_turn(steps: Sequence[Step]) -> dict[str, set[str]]:
    """Return what each step needs where all follow each other."""
    return {one.name: {before.name} for before, one in pairwise(steps)}


def width(names: Sequence[str], needs: Needs) -> int:
    """Return how many steps run at a time where each begins as early as it can and all take equally long."""
    levels: dict[str, int] = {}
    for name in names:
        levels[name] = 1 + max((levels[one] for one in needs.get(name, ()) if one in levels), default=0)
    return max((list(levels.values()).count(level) for level in set(levels.values())), default=0)


def can_be_launched(step: Step) -> bool:
    """Return whether a step may run in a process of its own; on several devices it has its own processes."""
    return is_launched(step.command) and getattr(step.options, "devices", 1) == 1


def _folder(step: Step) -> re.Pattern[str]:
    """Return what finds the folder of a step, or a place inside it; a longer name is another folder."""
    names = "|".join(re.escape(one) for one in sorted({str(step.folder), os.path.realpath(step.folder)}))
    return re.compile(rf"(?<![\w./-])({names})(?![\w.+-])")


def _places(value: Any) -> Iterator[str]:
    """Return all texts that may have a place, also as the disk has it: ``..`` and links lead to the same."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _places(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _places(part)
    elif isinstance(value, str) and os.sep in value:
        yield from {value, os.path.realpath(value)}
