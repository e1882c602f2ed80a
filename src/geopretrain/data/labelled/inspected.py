"""Labelled images that are only looked at: what they hold, and which transfer they are fit for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.labelled.census import census, refuse_overlap
from geopretrain.data.labelled.labelled_set import BOXES, LABELS, LabelledSet
from geopretrain.data.labelled.object_census import refuse_unlikely
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError

MAX_INSPECTED = 300
"""Images of a split, evenly spread, that are read where a data set is only looked at."""


def inspected(path: str | Path) -> tuple[str, tuple[str, ...]]:
    """Return what labelled images hold, or what speaks against training on them, and what they are fit for.

    Some images of each split are read. Fit for ``segmentation`` or ``detection``, both or nothing.
    """
    try:
        data = LabelledSet.open(path)
    except DataError as error:
        return f"They cannot be used: {error}", ()
    said, fit = [f"{data.describe().in_words(remarks=True)}."], list[str]()
    looks = {"labels": ("segmentation", _class_maps), "boxes": ("detection", _objects)}
    for field, (task, look) in looks.items():
        if field not in data.source.fields:
            continue
        try:
            said.append(look(data))
            fit.append(task)
        except DataError as error:
            said.append(f"Not fit for training{f' {task}' if len(data.source.fields) > 1 else ''}: {error}")
    return " ".join(said), tuple(fit)


def _chosen(data: LabelledSet) -> dict[str, NDArray[np.int64]]:
    return {split: rows[spread_positions(len(rows), MAX_INSPECTED)] for split, rows in data.splits().items()}


def _class_maps(data: LabelledSet) -> str:
    """Return what class maps hold (DataError where that cannot be meant)."""
    rows = _chosen(data)
    together = np.concatenate(list(rows.values()))
    data.check(together, LABELS)
    _refuse_overlaps(data, rows)
    found = census(data, together)
    if (problem := found.problem()) is not None:
        raise DataError(problem)
    return " ".join([found.in_words(), *filter(None, [found.doubt()])])


def _objects(data: LabelledSet) -> str:
    """Return which objects there are (DataError where they cannot be meant)."""
    rows = _chosen(data)
    together = np.concatenate(list(rows.values()))
    data.check(together, BOXES)
    _refuse_overlaps(data, rows)
    counts = data.object_counts(together)
    refuse_unlikely(data, counts, "inspected")
    return counts.in_words(data.class_names, "inspected")


def _refuse_overlaps(data: LabelledSet, rows: dict[str, NDArray[np.int64]]) -> None:
    for split in ("val", "test"):
        if len(rows.get(split, ())):
            refuse_overlap(data, rows["train"], rows[split], split)
