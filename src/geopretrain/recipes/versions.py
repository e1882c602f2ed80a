"""Versions of the libraries that the numbers of a recipe were made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from geopretrain.recipes.plan import Measured, Plan, Step
from geopretrain.runs.folder import RunFolder
from geopretrain.study.comparison import Comparison
from geopretrain.study.protocol import versions
from geopretrain.wording import in_versions


def versions_of_rows(plan: Plan, done: Sequence[Measured]) -> list[tuple[str, str]]:
    """Return names of trainings and their versions, those of what writes the page where nothing was trained.

    Args:
        plan: of the recipe.
        done: rows and seeds that came to their end.
    """
    steps = [*plan.stages, *(step for one in done for step in one.steps)]
    return _grouped((step.name, _of(step)) for step in steps) or [("this page", in_versions(versions()))]


def _of(step: Step) -> Mapping[str, str]:
    run = RunFolder(step.folder)
    return run.lineage.get("versions") or {} if run.is_ours() and run.has_lineage else {}


def versions_of_comparisons(names: Sequence[str], comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """Return names of comparisons and their versions."""
    found = (one.results["protocol"]["versions"] for one in comparisons)
    return _grouped(zip(names, found, strict=True))


def _grouped(found: Iterable[tuple[str, Mapping[str, str]]]) -> list[tuple[str, str]]:
    """Return each set of versions once, with the names that have it; no names where it is that of all."""
    names: dict[str, list[str]] = {}
    for name, known in found:
        if known:
            names.setdefault(in_versions(known), []).append(name)
    return [("" if len(names) == 1 else ", ".join(own), text) for text, own in names.items()]
