"""Which steps of a recipe need which: by the folders that they read and write."""

from __future__ import annotations

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
    texts = {step.name: list(_texts(as_saved(step.command, step.options))) for step in steps}
    found: dict[str, set[str]] = {}
    for number, step in enumerate(steps):
        before = steps[:number]
        found[step.name] = {one.name for one in before if _names(texts[step.name], one)}
        if step.command in INSIDE:
            found[step.name] |= {one.name for one in before if _names(texts[one.name], step)}
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


def _names(texts: Sequence[str], step: Step) -> bool:
    """Return whether one of the texts has the folder of a step, or a place inside it."""
    folder = re.compile(rf"(?<![\w./-]){re.escape(str(step.folder))}(?![\w.-])")
    return any(folder.search(text) for text in texts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
