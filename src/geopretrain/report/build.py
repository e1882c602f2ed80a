"""Build ``report.html`` from a comparison: everything embedded, nothing fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from geopretrain.report import curves, figures, moved
from geopretrain.report import maps as maps_of
from geopretrain.report.downloads import downloads
from geopretrain.report.drawing import drawing
from geopretrain.report.finding import ODD, damaged
from geopretrain.report.page import embedded, write_page
from geopretrain.report.tables import choice_table, frame, pretraining_table, residual_table, shown, table
from geopretrain.study.contests import contest_of
from geopretrain.study.sentences import MODE_WORDS, any_of
from geopretrain.study.summary import headline_rows, residual_rows

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

Found = TypeVar("Found")
ERRORS = (
    ("abs_rel", "AbsRel", "lower is better"),
    ("rmse", "RMSE, m", "lower is better"),
    ("a1", "\u03b4 < 1.25", "higher is better"),
)

SPLITS = {"val": "validation", "test": "test"}
"""What the scored images are called."""


def build_report(comparison: Comparison, path: str | Path, every: float | None = None) -> Path:
    """Write the page for ``comparison`` to ``path`` (RunFolderError where it cannot be written).

    Args:
        comparison: with the figures in its folder, and maps of layers (``analyse cka``) in folders inside.
        path: of the page.
        every: seconds after which the page loads itself anew; None: it does not.
    """
    content = content_of(comparison)
    return write_page(
        Path(path),
        "report.html.j2",
        {"percent": partial(shown, comparison.measure), "rate": lambda value: f"{value:g}"},
        drawings=True,
        every=every,
        of=content,
        **content,
    )


def content_of(comparison: Comparison, name: str = "comparison") -> dict[str, Any]:
    """Return what a page shows of a comparison, where files to keep and parts are called by its ``name``."""
    results, rows = comparison.results, comparison.rows
    names = results["classes"]["names"]
    search, measure = results["learning_rates"], comparison.measure
    maps, damaged_maps = _inside(comparison.path, maps_of.NUMBERS, maps_of.read_map)
    features, damaged_features = _inside(comparison.path, moved.NUMBERS, moved.read_features)
    bits, about = residual_rows(rows), frame(comparison)
    return {
        "name": name,
        "measure": measure,
        "words": contest_of(results.get("task", "segmentation")).words,
        "results": results,
        "protocol": results["protocol"],
        "inits": results["inits"],
        "colours": about["colours"],
        "mode_words": MODE_WORDS,
        "created": datetime.fromisoformat(results["protocol"]["created"]).strftime("%d %B %Y, %H:%M UTC"),
        "lines": table(comparison, headline_rows(rows), headline_rows(bits), measure),
        "all_lines": table(comparison, rows, bits, measure),
        "residual": residual_table(comparison),
        "downloads": downloads(comparison, name),
        "scored_words": _scored_on(comparison),
        "maps": maps,
        "damaged_maps": damaged_maps,
        "features": features,
        "damaged_features": damaged_features,
        "frame": about,
        "counts": list(dict.fromkeys(row.labels for row in rows)),
        "counts_in_words": any_of(results["protocol"].get("label_counts") or [results["protocol"]["labels"]]),
        "steps_in_words": any_of(
            dict.fromkeys(results["protocol"].get("steps_of", {0: results["protocol"]["steps"]}).values())
        ),
        "subsets": about["subsets"],
        "ending": about["ending"],
        "choice": choice_table(results.get("choice", ()), measure),
        "pretrainings": pretraining_table(results.get("pretrainings", ()), measure),
        "tried": sorted({row["lr"] for one in search for row in one["rates"]}),
        "searches": max(
            (len(row["values"]) + row.get("diverged", 0) for one in search for row in one["rates"]), default=0
        ),
        "legend": [
            (name, _hex(colour)) for name, colour in zip(names, results["classes"]["colours"], strict=True)
        ],
        "pictures": [_embedded(entry, comparison.path) for entry in results["pictures"]],
        "confusions": {
            mode: embedded(comparison.path / name) for mode, name in results.get("confusions", {}).items()
        },
        "depth": _depth_tables(results["inits"]),
        "errors": ERRORS,
        **_figures(comparison),
    }


def _figures(comparison: Comparison) -> dict[str, Any]:
    """Return the figures of the page by name; None where there is nothing to draw."""
    inits = [one["name"] for one in comparison.results["inits"]]
    return {
        **_of_steps(comparison, inits),
        **_of_scores(comparison, inits),
        "classes": _of_classes(comparison, inits),
        "rates": _of_rates(comparison, inits),
    }


def _of_steps(comparison: Comparison, inits: list[str]) -> dict[str, Any]:
    """Return what is drawn over the steps of the trainings."""
    results, rows, measure = comparison.results, comparison.rows, comparison.measure
    modes, ending = results["modes"], results["protocol"].get("ending")
    panels = max(len(modes), len({row.labels for row in rows}))
    second = f"{measure.name} against {measure.second_name}, a line for each initialisation"
    found = {
        "courses": (
            lambda: curves.courses(results["courses"], inits, modes, ending, measure),
            "Validation over the steps, a line for each training",
            bool(ending),
        ),
        "curves": (
            lambda: curves.learning_curves(rows, inits, modes, measure, _scored_on(comparison)),
            f"{measure.name} over the steps, a line for each initialisation",
            True,
        ),
        "losses": (
            lambda: curves.loss_curves(results["losses"], inits, modes, measure),
            "Training loss over the steps, a line for each initialisation",
            bool(results.get("losses")),
        ),
        "against_second": (
            lambda: curves.score_against_second(rows, inits, modes, measure),
            second,
            len({row.step for row in rows}) > 1,
        ),
    }
    return {
        name: drawing(draw(), words, inits, panels=panels) if there else None
        for name, (draw, words, there) in found.items()
    }


def _of_scores(comparison: Comparison, inits: list[str]) -> dict[str, Any]:
    """Return the scores against the number of labels, and the differences to the baseline."""
    rows, measure, modes = comparison.rows, comparison.measure, comparison.results["modes"]
    several = len({row.labels for row in rows}) > 1
    return {
        "label_curves": drawing(
            curves.label_curves(rows, inits, modes, measure, _scored_on(comparison)),
            f"{measure.name} against the number of {measure.images}, a line for each initialisation",
            inits,
            panels=len(modes),
        )
        if several
        else None,
        "differences": drawing(
            figures.differences(rows, inits, measure),
            f"Differences of {measure.name} to {inits[0]} with their intervals",
            inits if len(inits) > 2 else (),
        ),
    }


def _of_classes(comparison: Comparison, inits: list[str]) -> list[tuple[str, Any]]:
    """Return the bars of the classes for each mode."""
    results, measure = comparison.results, comparison.measure
    words = f"{measure.name} of each class, a bar for each initialisation"
    return [
        (
            mode,
            drawing(figures.class_bars(per_class, results["classes"]["names"], inits, measure), words, inits),
        )
        for mode in results["modes"]
        if (per_class := results["per_class"].get(mode)) is not None
    ]


def _of_rates(comparison: Comparison, inits: list[str]) -> Any:
    """Return what each learning rate gave on validation images, None where none was searched for."""
    results, measure = comparison.results, comparison.measure
    if not (search := results["learning_rates"]):
        return None
    return drawing(
        figures.rate_curves(search, inits, results["modes"], measure),
        f"Validation {measure.name} at each learning rate, a line for each initialisation",
        inits,
        panels=len({(one["mode"], one.get("labels")) for one in search}),
    )


def _scored_on(comparison: Comparison) -> str:
    return SPLITS.get(comparison.results["protocol"].get("scored_on", "test"), "test")


def _inside(folder: Path, name: str, read: Callable[[Path, str], Found]) -> tuple[list[Found], list[str]]:
    """Return what analyses have left in the folders inside one, and sentences about what is damaged.

    Args:
        folder: of a comparison.
        name: of the file with their numbers.
        read: what reads a folder that has one.
    """
    found, odd = list[Found](), list[str]()
    for file in sorted([*folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")]):
        try:
            found.append(read(file.parent, file.parent.relative_to(folder).as_posix()))
        except ODD as error:
            odd.append(damaged(error).words)
    return found, odd


def _depth_tables(inits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each run with depth errors, a table of the network against the baselines."""
    words = {"held_out": "frames kept out of pre-training", "in_sample": "frames seen in pre-training"}
    names = {"constant": "constant", "row_wise": "row-wise", "ground_ramp": "ground ramp"}
    tables = []
    for init in inits:
        for kind, result in init["depth"].items():
            lines = [("this network", result)]
            lines += [(names.get(name, name), errors) for name, errors in result["baselines"].items()]
            best = {name: _best([line[name] for _, line in lines], name) for name, _, _ in ERRORS}
            tables.append(
                {
                    "init": init["name"],
                    "kind": words.get(kind, kind),
                    "images": result["images"],
                    "protocol": result["protocol"],
                    "lines": lines,
                    "best": best,
                }
            )
    return tables


def _best(values: list[float], name: str) -> float:
    return max(values) if name.startswith("a") and name != "abs_rel" else min(values)


def _embedded(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    def data(name: str) -> str:
        return embedded(folder / name)

    return {
        "name": entry["name"],
        "image": data(entry["image"]),
        "truth": data(entry["truth"]),
        "predictions": {
            mode: {init: data(name) for init, name in files.items()}
            for mode, files in entry["predictions"].items()
        },
        "depth": {init: data(name) for init, name in entry["depth"].items()},
    }


def _hex(colour: list[int]) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)
