"""Pre-trainings and fine-tunings as a page shows them: how far they are, their numbers and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geopretrain.config.options import (
    FinetuneDepthOptions,
    FinetuneDetectionOptions,
    FinetuneSegmentationOptions,
    PretrainOptions,
)
from geopretrain.config.saved import command_line
from geopretrain.errors import UserError
from geopretrain.report.figures import SYMBOLS, colour_of, plain, style
from geopretrain.report.finding import ODD, Found, Standing, damaged, standing_of_run
from geopretrain.runs.folder import RunFolder
from geopretrain.wording import in_versions, metric, number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

OPTIONS: Mapping[str, type] = {
    "pretrain": PretrainOptions,
    "finetune segmentation": FinetuneSegmentationOptions,
    "finetune depth": FinetuneDepthOptions,
    "finetune detection": FinetuneDetectionOptions,
}
POINTS = 300
"""Of a curve, at most: pages are read while trainings write every few steps."""
PERCENT = ("miou", "pixel_accuracy", "box_map", "box_map_50", "mask_map")
ERRORS = ("abs_rel", "rmse")
TRAINING = "training loss"
"""Name of a panel; others have that of a number of the validation."""
Curve = tuple[list[int], list[float]]


@dataclass(frozen=True)
class RunEntry:
    """A run in a page.

    Attributes:
        place: of its folder.
        command: that trains it.
        method: its task, e.g. ``monodepth``.
        standing: how far it is.
        started_from: chain of initialisations.
        numbers: of a finished run, in words, by name.
        values: the same as they were measured; fractions are in [0, 1].
        protocol: that these were made under; empty without.
        loss: over the steps while training.
        validated: number of the validation that is drawn, and its curve; empty without.
        line: the command that repeats it; empty where it cannot be told.
        versions: of the libraries.
    """

    place: str
    command: str
    method: str
    standing: Standing
    started_from: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    loss: Curve = ([], [])
    validated: str = ""
    validation: Curve = ([], [])
    line: str = ""
    versions: str = ""


def read_run(found: Found) -> RunEntry:
    """Return a run as far as it can be read; what is damaged is said, and no error."""
    try:
        return _read(found, RunFolder(found.path))
    except ODD as error:
        return RunEntry(found.place, found.command, "", damaged(error))


def _read(found: Found, run: RunFolder) -> RunEntry:
    config, lineage = run.config, run.lineage if run.has_lineage else {}
    results = run.results if run.finished else {}
    scores = _scores(results)
    validated, validation = _validation(run.metrics("validation"))
    method = lineage.get("method") or config.get("method") or _method_of(found.command, config)
    return RunEntry(
        found.place,
        found.command,
        str(method),
        standing_of_run(run),
        started_from=_chain(lineage) or str(config.get("init", "")),
        numbers={name: words for name, (_, words) in scores.items()},
        values={name: value for name, (value, _) in scores.items()},
        protocol=_protocol(results),
        loss=_curve(run.metrics("train"), "loss"),
        validated=validated,
        validation=validation,
        line=_line(found.command, config),
        versions=in_versions(dict(lineage.get("versions", {}))),
    )


def _method_of(command: str, config: Mapping[str, Any]) -> str:
    """Return the task of a run that has no lineage yet and whose settings do not name it."""
    if command == "finetune depth" and config.get("supervision") != "labels":
        return "monodepth"
    return command.split()[-1]


def _chain(lineage: Mapping[str, Any]) -> str:
    steps = lineage.get("chain") or []
    return " → ".join(str(step.get("method") or step.get("init")) for step in steps if isinstance(step, dict))


def _line(command: str, config: Mapping[str, Any]) -> str:
    """Return the command with every option that is not the default, empty where settings are odd."""
    try:
        return command_line(OPTIONS[command], config)
    except (UserError, ValueError, TypeError):
        return ""


def _scores(results: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return what a finished run was scored by, each as it was measured and in words."""
    depth = _object(results.get("depth")).get("held_out")
    told = {**_object(results.get("validation")), **_object(depth), **results}
    known = {name: value for name, value in told.items() if _is_number(value)}
    found = {
        metric(name): (known[name], f"{number(100 * known[name], 'z.1f')} %")
        for name in PERCENT
        if name in known
    }
    found |= {metric(name): (known[name], number(known[name], "z.3f")) for name in ERRORS if name in known}
    if (bits := known.get("residual_information")) is not None:
        found["residual information"] = (bits, f"{bits:.3f} bits a pixel")
    if not found and "loss" in known:
        found["validation loss"] = (known["loss"], number(known["loss"], "z.4g"))
    probe = _object(results.get("probe"))
    if all(_is_number(probe.get(name)) for name in ("before", "after")):
        words = f"{100 * probe['after']:.1f} % (before {100 * probe['before']:.1f} %)"
        found["probe mIoU"] = (probe["after"], words)
    return found


def _protocol(results: Mapping[str, Any]) -> str:
    """Return what numbers were made under."""
    depth = _object(_object(results.get("depth")).get("held_out"))
    told = (results, depth, _object(results.get("validation")), _object(results.get("probe")))
    return "; ".join(str(one["protocol"]) for one in told if "protocol" in one)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _validation(records: Sequence[Mapping[str, Any]]) -> tuple[str, Curve]:
    """Return the number of the validation that tells most, with its curve."""
    for name in ("miou", "box_map", "abs_rel", "loss"):
        curve = _curve(records, name)
        if curve[0]:
            return name, curve
    return "", ([], [])


def _curve(records: Sequence[Mapping[str, Any]], name: str) -> Curve:
    points = [(int(one["step"]), float(one[name])) for one in records if _is_number(one.get(name))]
    every = max(1, -(-len(points) // POINTS))
    kept = [point for k, point in enumerate(points) if k % every == 0 or k == len(points) - 1]
    return [step for step, _ in kept], [value for _, value in kept]


def run_curves(entries: Sequence[RunEntry]) -> Figure | None:
    """Return the curves of runs of one kind: their losses and, beside them, what validated them.

    None where nothing has been logged yet. Losses of different methods do not belong in one figure.
    """
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    curves = [{TRAINING: one.loss, one.validated: one.validation} for one in entries]
    parts = sorted({name for of in curves for name, curve in of.items() if curve[0]}, key=TRAINING.__ne__)
    if not parts:
        return None
    titles = [_title(part) for part in parts]
    figure = make_subplots(1, len(parts), subplot_titles=titles, horizontal_spacing=0.09)
    colours = colour_of([one.place for one in entries])
    for order, (one, of) in enumerate(zip(entries, curves, strict=True)):
        for part, (steps, values) in of.items():
            if not steps:
                continue
            scale = 100 if part in PERCENT else 1
            line = Scatter(
                x=steps,
                y=[scale * value for value in values],
                mode="lines" if part == TRAINING and len(steps) > 1 else "lines+markers",
                line={"color": colours[one.place], "width": 2},
                marker={"size": 7, "symbol": SYMBOLS[order % len(SYMBOLS)]},
                name=plain(one.place),
                legendgroup=one.place,
                customdata=[number(scale * value, "z.4g") for value in values],
                hovertemplate="%{fullData.name}: %{customdata} after %{x}<extra></extra>",
            )
            figure.add_trace(line, 1, parts.index(part) + 1)
    figure.update_xaxes(title_text="steps", rangemode="tozero")
    style(figure, height=340, left=60)
    return figure


def _title(name: str) -> str:
    return "training loss" if name == TRAINING else f"validation {metric(name)}{', %' * (name in PERCENT)}"
