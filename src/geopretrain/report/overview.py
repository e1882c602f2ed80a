"""One page of everything that lies in a folder: comparisons, recipes, runs and maps, in any mixture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geopretrain.report.comparisons import ComparisonEntry, read_comparison
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.finding import (
    CKA,
    COMPARE,
    FEATURES,
    ODD,
    REPRODUCE,
    Found,
    Standing,
    State,
    damaged,
    find,
)
from geopretrain.report.kept import kept_of_recipe, kept_of_runs
from geopretrain.report.maps import LayerMap, read_map
from geopretrain.report.moved import FeatureTable, read_features
from geopretrain.report.page import write_page
from geopretrain.report.recipes import RecipeEntry, read_recipe
from geopretrain.report.runs import RunEntry, read_run, run_curves
from geopretrain.report.texts import file_stem
from geopretrain.wording import counted

STATES: dict[State, str] = {
    "training": "in training",
    "stopped": "not finished",
    "failed": "with failures",
    "damaged": "damaged",
    "finished": "finished",
}


LEARNED = {
    ("finetune depth", "depth"): " with labels",
    ("finetune depth", "monodepth"): " without labels",
}
"""What tells groups of runs of one command apart, by command and method."""


@dataclass(frozen=True)
class Overview:
    """What was found in a folder, each part in the order of its place.

    Attributes:
        folder: that was looked through.
        comparisons: finished or not.
        recipes: likewise.
        runs: pre-trainings and fine-tunings that are no part of a comparison.
        maps: of layers.
        features: what they are worth, and how far weights have moved.
        damaged: places of what cannot be read at all, with the reason.
    """

    folder: Path
    comparisons: list[ComparisonEntry] = field(default_factory=list)
    recipes: list[RecipeEntry] = field(default_factory=list)
    runs: list[RunEntry] = field(default_factory=list)
    maps: list[LayerMap] = field(default_factory=list)
    features: list[FeatureTable] = field(default_factory=list)
    damaged: list[tuple[str, Standing]] = field(default_factory=list)

    @property
    def standings(self) -> list[Standing]:
        """How far each thing is."""
        entries: list[Any] = [*self.comparisons, *self.recipes, *self.runs]
        return [*(one.standing for one in entries), *(standing for _, standing in self.damaged)]

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours was found."""
        return not (self.standings or self.maps or self.features)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train: all is finished, or failed or damaged for good."""
        return not self.is_empty and not {"training", "stopped"} & {one.state for one in self.standings}

    def sentence(self) -> str:
        """Say what there is, and how far it is."""
        kinds = (
            (len(self.comparisons), "comparison"),
            (len(self.recipes), "recipe"),
            (sum(one.command == "pretrain" for one in self.runs), "pre-training"),
            (sum(one.command != "pretrain" for one in self.runs), "fine-tuning"),
            (len(self.maps), "layer map"),
            (len(self.features), "feature table"),
        )
        there = [counted(number, noun) for number, noun in kinds if number]
        states = Counter(one.state for one in self.standings)
        far = [f"{states[state]} {words}" for state, words in STATES.items() if states[state]]
        if not there and not far:
            return "There are no runs here yet."
        return f"{_listed(there) or 'Nothing that can be read'}{': ' * bool(far)}{', '.join(far)}."


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def look_through(folder: Path) -> Overview:
    """Return what lies in a folder; damaged things are among it, and no error."""
    found, seen = find(folder), Overview(folder)
    for one in found:
        if one.command == COMPARE:
            seen.comparisons.append(read_comparison(one))
        elif one.command == REPRODUCE:
            seen.recipes.append(read_recipe(one, [other for other in found if _is_inside(other, one)]))
        elif one.command == CKA:
            _add(seen, seen.maps, read_map, one)
        elif one.command == FEATURES:
            _add(seen, seen.features, read_features, one)
        elif one.is_run:
            seen.runs.append(read_run(one))
        else:
            seen.damaged.append((one.place, Standing("damaged", one.problem)))
    return seen


def _is_inside(one: Found, other: Found) -> bool:
    return one is not other and one.path.is_relative_to(other.path)


def _add(seen: Overview, entries: list[Any], read: Callable[[Path, str], Any], found: Found) -> None:
    """Add what an analysis has found to ``entries``, or say what is damaged."""
    try:
        entries.append(read(found.path, found.place))
    except ODD as error:
        seen.damaged.append((found.place, damaged(error)))


def build_overview(seen: Overview, path: Path, every: float | None = None) -> Path:
    """Write the page of what was found to ``path`` (RunFolderError where it cannot be written).

    Args:
        seen: what was found.
        path: of the page.
        every: seconds after which the page loads itself anew; None: it does not.
    """
    content: dict[str, Any] = {
        "seen": seen,
        "title": seen.folder.resolve().name,
        "groups": _groups(seen.runs),
        "states": STATES,
        "link": partial(_link, os.path.relpath(seen.folder.resolve(), path.parent.resolve())),
        "others": partial(_others, seen.folder, path),
        "kept_of_recipe": lambda one: kept_of_recipe(file_stem(one.name), one.tables),
    }
    return write_page(path, "overview.html.j2", drawings=True, every=every, **content)


def _others(folder: Path, path: Path, pages: Sequence[str]) -> list[str]:
    """Return the pages that are there beside this one, which may have been written over one of them."""
    return [page for page in pages if page and (folder / page).resolve() != path.resolve()]


def _link(way: str, page: str) -> str:
    """Return the address of a page below what was looked through, to which ``way`` leads from this one."""
    return quote(os.fsencode(page if way == "." else Path(way, page).as_posix()))


@dataclass(frozen=True)
class Group:
    """Runs whose curves stand in one figure."""

    title: str
    runs: list[RunEntry]
    curves: Drawing | None
    columns: list[str]
    downloads: list[dict[str, str]]


def _groups(runs: Sequence[RunEntry]) -> list[Group]:
    """Return the runs by what they learn: losses of different methods do not belong in one figure."""
    by_kind: dict[tuple[str, str], list[RunEntry]] = {}
    for one in runs:
        kind = (one.command, one.method if one.command != "finetune segmentation" else "")
        by_kind.setdefault(kind, []).append(one)
    first = sorted(by_kind.items(), key=lambda item: item[0][0] != "pretrain")
    return [_group(*kind, own) for kind, own in first]


def _title(command: str, method: str) -> str:
    if command == "pretrain":
        return f"Pre-training: {method}" if method else "Pre-training"
    return command.replace("finetune", "Fine-tuning for") + LEARNED.get((command, method), "")


def _group(command: str, method: str, runs: list[RunEntry]) -> Group:
    title = _title(command, method)
    figure = run_curves(runs)
    curves = None
    if figure is not None:
        words, names = f"{title}: curves, a line for each run", [one.place for one in runs]
        curves = drawing(figure, words, names, panels=len(figure.layout.annotations))
    name = f"{command} {method}".strip().replace(" ", "-")
    columns = list(dict.fromkeys(name for one in runs for name in one.numbers))
    return Group(title, runs, curves, columns, kept_of_runs(name, runs, columns) if columns else [])
