"""Pictures of a comparison: scored image, truth, what each initialisation made of it, and depth."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain import pictures
from geopretrain.console import console
from geopretrain.errors import UserError
from geopretrain.files import write_picture
from geopretrain.study.summary import first_and_best
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.study.plan import Plan
    from geopretrain.study.summary import Row
    from geopretrain.study.trials import Trial


def draw_pictures(plan: Plan, trials: list[Trial]) -> list[dict[str, Any]]:
    """Write PNGs to ``OUT/figures`` and return, for each shown image, the names of its files.

    Returns:
        ``{'name', 'image', 'truth', 'predictions': {mode: {init: file}}, 'depth': {init: file}}`` for each
        image.
    """
    if not plan.pictures:
        return []
    folder = plan.out / "figures"
    looked_at = plan.contest.shown(plan.data, plan.evaluate_on, plan.pictures, plan.settings)
    shown: list[dict[str, Any]] = [
        {
            "name": name,
            "image": _write(folder, f"test{k}-image", image),
            "truth": _write(folder, f"test{k}-truth", truth),
            "predictions": {},
            "depth": {},
        }
        for k, (name, image, truth) in enumerate(looked_at)
    ]
    known = {"image": [one for _, one, _ in looked_at], "truth": [one for _, _, one in looked_at]}
    _draw_predictions(plan, trials, folder, shown, known)
    _draw_depth(plan, folder, shown, known["image"])
    return shown


def _draw_predictions(
    plan: Plan,
    trials: list[Trial],
    folder: Path,
    shown: list[dict[str, Any]],
    known: dict[str, list[pictures.Picture]],
) -> None:
    found: dict[str, dict[str, list[pictures.Picture]]] = {}
    for trial in trials:
        if not trial.pictures or not trial.predictions.is_file():
            continue
        try:
            with np.load(trial.predictions, allow_pickle=False) as file:
                predicted = plan.contest.drawn(file, plan.data)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            console.warn(f"'{trial.predictions}' is damaged: its pictures are left out of the report.")
            continue
        for k, (entry, picture) in enumerate(zip(shown, predicted, strict=False)):
            name = _write(folder, f"test{k}-{trial.mode}-{trial.init}", picture)
            entry["predictions"].setdefault(trial.mode, {})[trial.init] = name
            found.setdefault(trial.mode, {}).setdefault(trial.init, []).append(picture)
    for mode, columns in found.items():
        _draw_beside(plan, folder / f"inits-{mode}.png", {**known, **columns})


def _draw_beside(plan: Plan, file: Path, columns: dict[str, list[pictures.Picture]]) -> None:
    """Write one picture of all initialisations beside image and truth, with the names of the classes."""
    rows = min(len(column) for column in columns.values())
    table = pictures.beside({name: column[:rows] for name, column in columns.items()})
    described = plan.data.describe()
    colours, names = np.array(described.class_colours, np.uint8), described.class_names
    key = [pictures.legend(names, colours, table.shape[1])] if names else []
    write_picture(file, pictures.grid([table, *key]))


def _draw_depth(
    plan: Plan, folder: Path, shown: list[dict[str, Any]], images: list[pictures.Picture]
) -> None:
    """Show the disparity that depth pre-training runs predict on the scored images."""
    from geopretrain.evaluation.depth import predict_disparity
    from geopretrain.runs.folder import RunFolder
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import DepthTask

    runs = {one.source: one for one in reversed(plan.inits) if one.kind == "run"}
    for init in reversed(runs.values()):
        try:
            task = load_task(RunFolder.open(init.source)).eval()
        except UserError:
            continue  # a run without its depth network still initialises; there is only nothing to draw
        if not isinstance(task, DepthTask):
            continue
        for k, entry in enumerate(shown):
            disparity = predict_disparity(task, images[k], plan.data.size)
            entry["depth"][init.name] = _write(
                folder, f"test{k}-depth-{init.name}", pictures.colour_depth(disparity)
            )


def draw_confusions(plan: Plan, outcomes: Sequence[dict[str, Any]], rows: Sequence[Row]) -> dict[str, str]:
    """Write what is taken for what, mean over the seeds, and return the name of the file of each mode.

    Shown are the first initialisation and the best one of the others, at the end.
    """
    names, written = plan.data.describe().class_names, dict[str, str]()
    for mode in plan.modes:
        found = {
            init: [one["confusion"] for one in outcomes if (one["mode"], one["init"]) == (mode, init)]
            for init in first_and_best(rows, mode, plan.contest.measure)
            if all("confusion" in one for one in outcomes)
        }
        drawn = {
            f"{init} (mean of {counted(len(of), 'training')})": pictures.draw_confusion(np.mean(of, 0), names)
            for init, of in found.items()
            if of
        }
        if drawn:
            picture = pictures.side_by_side(list(drawn.values()), list(drawn))
            written[mode] = _write(plan.out / "figures", f"confusion-{mode}", picture)
    return written


def _write(folder: Path, name: str, picture: np.ndarray) -> str:
    write_picture(folder / f"{name}.png", picture)
    return f"figures/{name}.png"
