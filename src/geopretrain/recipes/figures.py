"""What the page of a recipe draws of its rows: numbers over a value, depth, maps and activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.config.analysis_options import ACTIVATIONS, CKA
from geopretrain.data.subsets import spread_positions
from geopretrain.pictures import EDGE_COLOURS
from geopretrain.recipes.depth_pictures import FramePictures, draw_errors, frame_pictures
from geopretrain.recipes.plan import Measured, Step
from geopretrain.recipes.results import Outcome
from geopretrain.recipes.shapes import Item
from geopretrain.report.drawing import Drawing, drawing
from geopretrain.report.finding import ODD, damaged
from geopretrain.report.maps import read_map
from geopretrain.report.moved import read_features
from geopretrain.report.page import embedded, embedded_picture
from geopretrain.report.texts import kept_as
from geopretrain.report.values import value_curves
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.tasks.base import DepthTask

if TYPE_CHECKING:
    from geopretrain.evaluation.measured import MeasuredFrame

TABLE = "cka.csv"
"""The numbers of a map, as ``analyse cka`` writes them."""
PICTURE = "activations.png"
"""As ``analyse activations`` writes it."""


def lines_of(item: Item, outcome: Outcome | None) -> Drawing | None:
    """Return the first column of a table over a value of its rows; None where that is not asked for."""
    if outcome is None or not item.lines:
        return None
    (across, by), column = item.lines, outcome.columns[0]
    lines: dict[str, dict[float, tuple[float, float]]] = {}
    for line in outcome.lines:
        if line.seeds:
            where = float(line.row.values[across])
            values = (line.mean(column.name), line.sd(column.name))
            lines.setdefault(str(line.row.values[by]), {})[where] = values
    if not lines:
        return None
    figure = value_curves(lines, across=across, up=column.title, decimals=column.decimals)
    return drawing(
        figure, f"{column.title} over {across}, a line for each of {', '.join(lines)}", list(lines)
    )


def maps_of(done: Sequence[Measured], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Return the maps of layers (CKA) of the first seed of each row; of a damaged one, what is wrong."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        steps = [step for name in wanted if (step := one.step(name)) is not None]
        if steps and one.row.name not in found:
            maps = [_map(step, one.row.name) for step in steps]
            found[one.row.name] = {"name": one.row.name, "words": one.row.words, "maps": maps}
    return list(found.values())


def _map(step: Step, row: str) -> dict[str, Any]:
    """Return a map with its numbers to keep, or what is damaged in it."""
    folder = Path(step.folder)
    try:
        found = read_map(folder, str(folder))
        numbers = (folder / TABLE).read_text(encoding="utf-8")
        kept = kept_as(f"{row}-{folder.name}.csv", "Numbers of this map (CSV)", numbers, "text/csv")
    except ODD as error:
        return {"words": step.words, "of": None, "damage": damaged(error).words, "downloads": []}
    shown = replace(found.drawing, words=f"{row}: {found.drawing.words}")
    return {"words": step.words, "of": replace(found, drawing=shown), "damage": "", "downloads": [kept]}


def activations_of(done: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the pictures of activations of the first seed of each row, all of the same images."""
    found: dict[str, dict[str, Any]] = {}
    for one in done:
        for step in one.steps:
            if step.command == ACTIVATIONS and (drawn := embedded(step.folder / PICTURE)):
                found.setdefault(one.row.name, {"row": one.row, "words": step.words, "picture": drawn})
    return list(found.values())


def analysis_of(step: Step) -> dict[str, Any]:
    """Return what a study looks at beside its comparisons: a map of layers, features, or activations; of a
    damaged one, what is wrong."""
    found: dict[str, Any] = {"words": step.words, "picture": None}
    found |= {kind: [] for kind in ("maps", "features", "damaged_maps", "damaged_features")}
    if step.command == ACTIVATIONS:
        return {**found, "picture": embedded(step.folder / PICTURE)}
    kind, read = ("maps", read_map) if step.command == CKA else ("features", read_features)
    try:
        found[kind].append(read(step.folder, step.name))
    except ODD as error:
        found[f"damaged_{kind}"].append(damaged(error).words)
    return found


def depths_of(file: Path, item: Item, done: Sequence[Measured]) -> dict[str, Any] | None:
    """Return the depth of the first seed of each row on frames that were scored; None for other tasks.

    Args:
        file: PNG that gets all pictures in one.
        item: says which step has scored the frames, and how many of them are shown.
        done: rows and seeds that came to their end.
    """
    trained: dict[str, tuple[RunFolder, Any]] = {}
    for one in done:
        step, run = one.step(str(item.pictures)), run_of(one)
        if step is not None and run is not None:
            trained.setdefault(one.row.name, (run, step.options))
    tasks = {row: load_task(run).eval() for row, (run, _) in trained.items()}
    networks = {row: task for row, task in tasks.items() if isinstance(task, DepthTask)}
    if not networks:
        return None
    first, options = next(iter(trained.values()))
    shown = frame_pictures(networks, _scored(first, options, item.frames), first.size)
    return gallery_of(draw_errors(file, shown), shown) if shown else None


def _scored(run: RunFolder, options: Any, count: int) -> list[MeasuredFrame]:
    """Return frames that a run was scored on, evenly spread."""
    from geopretrain.evaluation.measured import find_frames

    split_file = None if options.split_file is None else str(options.split_file)
    found = find_frames(str(options.data), run, frames=options.frames, split_file=split_file)
    return [found.frames[position] for position in spread_positions(len(found.frames), count)]


def gallery_of(file: Path, shown: Sequence[FramePictures]) -> dict[str, Any]:
    """Return what the page needs to show pictures of frames, and all of them in one file."""
    every = [parts for frame in shown for parts in frame.networks.values()]
    return {
        "name": file.stem,
        "file": file.name,
        "rows": list(shown[0].networks),
        # what one frame lacks could not be chosen for all
        "kinds": [kind for kind in every[0] if all(kind in parts for parts in every)],
        "edges": {words: f"rgb{colour}" for words, colour in EDGE_COLOURS.items()},
        "frames": [
            {
                "name": frame.name,
                "image": embedded_picture(frame.image),
                "truth": embedded_picture(frame.truth),
                "networks": {
                    row: {kind: embedded_picture(one) for kind, one in parts.items()}
                    for row, parts in frame.networks.items()
                },
            }
            for frame in shown
        ],
    }


def run_of(one: Measured) -> RunFolder | None:
    """Return the training of a row and seed; None where it has none."""
    runs = (RunFolder(step.folder) for step in one.steps)
    return next((run for run in runs if run.is_ours()), None)
