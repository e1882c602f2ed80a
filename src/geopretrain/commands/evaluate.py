"""``evaluate``: a run and pictures with measured depth or labels in, scores under a named protocol out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain import manifest
from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.command import takes
from geopretrain.config.options import EvaluateOptions
from geopretrain.config.saved import as_saved, check_saved, write_saved
from geopretrain.console import console
from geopretrain.errors import ConfigError, OptionError
from geopretrain.files import write_json, write_picture, write_text
from geopretrain.folders import check_replaceable, owned
from geopretrain.runs.folder import EVALUATION, RunFolder, own_scores
from geopretrain.schema import defaults, given

if TYPE_CHECKING:
    from geopretrain.evaluation.measured import MeasuredSet
    from geopretrain.pictures import Picture
    from geopretrain.tasks.base import DepthTask, FlowTask, SegmentationTask, Task
    from geopretrain.tasks.transfer.detection import Detection

Size = tuple[int, int]

PATIENCE = 30.0
"""Seconds to wait for another process that writes the folder, so that scores are not lost."""
_OF_PAIRS = "is of single frames; --protocol {} scores pairs."
COLUMNS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "a1": "d<1.25",
    "a2": "d<1.25^2",
    "a3": "d<1.25^3",
    "log10": "log10",
    "dbe_acc": "DBEacc",
    "dbe_com": "DBEcom",
    "pe_plan": "PEplan",
    "pe_orie": "PEorie",
    "dde_0": "DDE0",
    "dde_m": "DDE-",
    "dde_p": "DDE+",
    "tae": "TAE",
    "flow_change": "change",
    "rotation": "rot deg",
    "direction": "dir deg",
    "ate5": "ATE5",
    "ate": "ATE",
    "ate_relative": "ATE/way",
    "epe": "EPE",
    "fl_all": "Fl-all",
}
"""What the table shows, and under which heading."""


@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Score the depth (or flow) a run predicts against what was measured, beside baselines that saw no image.

    A run that predicts classes or objects is scored on a split of labelled images instead
    (`score_segmentation`, `score_detection`).

    Returns:
        ``protocol``, ``images``, the mean errors, ``baselines`` (their errors), ``meaning`` (what the
        prediction is right up to: ``metric``, ``scale`` or ``scale_shift``), ``data``, ``frames``,
        ``listed`` and ``missing`` (frames of the split file: how many, and which are not there),
        ``truth`` (what the measured depth is, where a data set has several kinds),
        ``without_depth`` (pictures that cannot be scored), ``left_out`` (a sentence about each file that is
        damaged and in none of the numbers), ``per_image``.

    Raises:
        UserError: run, data or protocol cannot be used together; the message says what to do.
    """
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import SegmentationTask
    from geopretrain.tasks.transfer.detection import Detection

    folder = RunFolder.open(os.fspath(options.run))
    target = folder.path / EVALUATION if options.out is None else Path(options.out)
    check_saved(target, "evaluate")
    task = load_task(folder).to(resolve_device(options.device)).eval()
    use_threads(options.threads)
    _check_options(task, options)
    if isinstance(task, SegmentationTask):
        return _evaluate_classes(task, folder, options, target)
    if isinstance(task, Detection):
        return _evaluate_objects(task, folder, options, target)
    task = _checked(task, folder, options.protocol)
    scores, drawn = _scored(task, folder, options)
    result = {
        "run": str(folder.path),
        "data": as_saved("", options)["data"],
        "every": options.every,
        **scores,
    }
    console.say(table(result))
    _keep(result, target, options, drawn)
    return result


def _scored(
    task: DepthTask | FlowTask, folder: RunFolder, options: EvaluateOptions
) -> tuple[dict[str, Any], Picture | None]:
    """Return the scores of a depth or flow task, and a picture of some where that was asked for."""
    from geopretrain.evaluation.depth_pictures import draw_scored
    from geopretrain.evaluation.measured import find_frames
    from geopretrain.evaluation.points import POINTS
    from geopretrain.evaluation.pose import POSE
    from geopretrain.evaluation.temporal import TEMPORAL
    from geopretrain.metrics import get_protocol
    from geopretrain.tasks.base import FlowTask

    data, size = os.fspath(options.data), folder.size
    if isinstance(task, FlowTask):
        return _flow_scores(task, data, options.every, size), None
    if options.protocol == POSE:
        return _pose_scores(task, data, folder, options, size), None
    if options.protocol in (*TEMPORAL, *POINTS):
        return _footage_scores(task, data, folder, options, size), None
    if options.protocol is not None:
        get_protocol(options.protocol, (POSE, *TEMPORAL, *POINTS))  # a name that is none is refused at once
    found = find_frames(
        data,
        folder,
        frames=options.frames,
        split_file=None if options.split_file is None else os.fspath(options.split_file),
        depth_unit=options.depth_unit,
    )
    scores = _depth_scores(task, found, options, size)
    if not options.pictures:
        return scores, None
    frames, protocol = found.frames[:: options.every], scores["protocol"]
    return scores, draw_scored(task, frames, protocol, count=options.pictures, size=size, flip=options.flip)


def _keep(result: dict[str, Any], target: Path, options: EvaluateOptions, drawn: Picture | None) -> None:
    with owned(target, patience=PATIENCE):  # another evaluation of this run may be writing, too
        manifest.begin(target, own_scores(target))
        _write(result, target, options.csv, drawn)
        write_saved(target, as_saved("evaluate", options))


def _evaluate_classes(
    task: SegmentationTask, run: RunFolder, options: EvaluateOptions, target: Path
) -> dict[str, Any]:
    """Score class maps on a split of labelled images, and keep the result as those of depth are."""
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.evaluation.averaging import Averaging
    from geopretrain.evaluation.segmentation import familiarity, score_segmentation, table
    from geopretrain.pictures import draw_confusion

    averaging = Averaging(options.window, options.stride, options.scales, options.flip)
    data, split = LabelledSet.open(os.fspath(options.data), size=run.size), options.split or "test"
    data.tell()
    scores = score_segmentation(task, data, split, options.every, averaging)
    result = {
        "run": str(run.path),
        "data": as_saved("", options)["data"],
        "every": options.every,
        "split": split,
        "averaging": averaging.slug,
        "familiarity": familiarity(run, data, split),
        **scores,
    }
    console.say(table(result))
    _keep(result, target, options, draw_confusion(result["confusion"], task.class_names))
    return result


def _evaluate_objects(
    task: Detection, run: RunFolder, options: EvaluateOptions, target: Path
) -> dict[str, Any]:
    """Score boxes and masks on a split of labelled images, and keep the result as those of depth are."""
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.evaluation.detection import score_detection, table
    from geopretrain.evaluation.segmentation import familiarity

    data = LabelledSet.open(os.fspath(options.data), size=run.size, names=task.required.names)
    data.tell()
    split = options.split or "test"
    result = {
        "run": str(run.path),
        "data": as_saved("", options)["data"],
        "every": options.every,
        "split": split,
        "predicted": "detection",
        "averaging": "",
        "familiarity": familiarity(run, data, split),
        **score_detection(task, data, split, options.every),
    }
    console.say(table(result))
    if result["familiarity"]:
        console.say(result["familiarity"])
    _keep(result, target, options, None)
    return result


def _check_options(task: Task, options: EvaluateOptions) -> None:
    """Refuse options that have nothing to do with what the run predicts (OptionError)."""
    from geopretrain.tasks.base import DetectionTask, FlowTask, SegmentationTask

    if isinstance(task, FlowTask) and options.pictures:
        raise OptionError("pictures", f"shows depth; this run, of {task.name}, predicts flow.")
    asked = given(options)
    of_depth = ("protocol", "frames", "split_file", "depth_unit", "pictures")
    of_classes = ("split", "window", "stride", "scales")
    foreign: tuple[str, ...] = of_depth if isinstance(task, SegmentationTask) else of_classes
    if isinstance(task, DetectionTask):
        foreign = (*of_depth, "window", "stride", "scales", "flip", "csv")
    for name in foreign:
        if name in asked and asked[name] != defaults(EvaluateOptions)[name]:
            what = "depth or flow" if name in of_depth else "class maps"
            what = "depth or class maps" if name in ("flip", "csv") else what
            raise OptionError(name, f"is for runs that predict {what}; this one is of {task.name}.")


def _depth_scores(
    task: DepthTask, found: MeasuredSet, options: EvaluateOptions, size: Size | None
) -> dict[str, Any]:
    from geopretrain.evaluation.depth import default_protocol, fitting_protocol, score_depth
    from geopretrain.evaluation.measured import truth_doubt, unit_doubt

    meaning, chosen, every = task.depth_meaning, found.frames[:: options.every], options.every
    rules = fitting_protocol(meaning, options.protocol or default_protocol(meaning, found.kind))
    for said in (found.in_words(), unit_doubt(chosen), truth_doubt(rules.name, found.truth)):
        if said:
            console.warn(said)
    console.say(f"Scoring {len(chosen)} images under {rules.name}.")
    scores = score_depth(
        task,
        chosen,
        rules,
        size=size,
        flip=options.flip,
        baselines_from=found.others[::every],
        min_gap=max(1, -(-found.min_gap // every)),
        per_image=True,
    )
    listed = {} if found.listed is None else {"listed": found.listed, "missing": list(found.missing)}
    told = {"without_depth": found.without_depth, "left_out": [*found.left_out, *scores.pop("left_out")]}
    truth = {"truth": found.truth} if found.truth else {}
    return {"frames": found.name, **listed, **told, **truth, **scores}


def _footage_scores(
    task: DepthTask, data: str, run: RunFolder, options: EvaluateOptions, size: Size | None
) -> dict[str, Any]:
    """Return how steady depth is, or its errors at sparse points (OptionError for options of depth maps)."""
    from geopretrain.evaluation.points import POINTS, score_points
    from geopretrain.evaluation.temporal import score_temporal

    at_points = options.protocol in POINTS
    for name in ("split_file", "depth_unit", "pictures"):
        if getattr(options, name):
            scored = "is of depth maps; --protocol {} scores points." if at_points else _OF_PAIRS
            raise OptionError(name, scored.format(options.protocol))
    return (score_points if at_points else score_temporal)(
        task,
        data,
        run,
        str(options.protocol),
        frames=options.frames,
        size=size,
        flip=options.flip,
        every=options.every,
    )


def _pose_scores(
    task: DepthTask, data: str, run: RunFolder, options: EvaluateOptions, size: Size | None
) -> dict[str, Any]:
    """Return the errors of the predicted motion (OptionError for options that only depth has)."""
    from geopretrain.evaluation.pose import score_pose

    for name in ("split_file", "depth_unit", "pictures", "flip"):
        if getattr(options, name):
            raise OptionError(name, "is of depth; --protocol pose scores the motion of the camera.")
    return score_pose(task, data, run, frames=options.frames, size=size, every=options.every)


def _flow_scores(task: FlowTask, data: str, every: int, size: Size | None) -> dict[str, Any]:
    from geopretrain.data.readers.flow_pairs import open_flow_pairs
    from geopretrain.evaluation.flow import score_flow

    return {"frames": "all", "flip": False, **score_flow(task, open_flow_pairs(data)[::every], size)}


def _checked(task: Task, run: RunFolder, protocol: str | None) -> DepthTask | FlowTask:
    """Return a task that predicts depth or flow and can be scored under the protocol.

    Raises:
        ConfigError: it predicts neither, or not what the protocol is for.
    """
    from geopretrain.metrics.flow import FLOW_PROTOCOL
    from geopretrain.tasks.base import DepthTask, FlowTask

    if not isinstance(task, (DepthTask, FlowTask)):
        raise ConfigError(
            f"The run in '{run.path}' ({task.name}) predicts neither depth nor flow nor classes nor "
            "objects. Give a run of a method that learns one of them, such as monodepth."
        )
    is_flow = isinstance(task, FlowTask)
    if protocol is not None and is_flow is not (protocol == FLOW_PROTOCOL):
        raise ConfigError(
            f"The run in '{run.path}' predicts {'flow' if is_flow else 'depth'}, so it cannot be scored "
            f"under '{protocol}'. Leave --protocol away for the one that suits."
        )
    return task


def table(result: dict[str, Any]) -> str:
    """Return the errors of the run and of the baselines as lines of text, under the name of the protocol."""
    columns = {name: heading for name, heading in COLUMNS.items() if name in result}
    what = result.get("counted", "pictures")
    lines = [
        f"{result['protocol']}, {result['images']} {what} ({result['frames'].replace('_', '-')}), "
        f"{'flip average' if result['flip'] else 'no post-processing'}; {_meaning(result)}",
        f"{'':14}" + "".join(f"{heading:>9}" for heading in columns.values()),
    ]
    for name, errors in {"run": result, **result["baselines"]}.items():
        values = "".join(_cell(errors.get(column)) for column in columns)
        lines.append(f"{name.replace('_', ' '):14}{values}")
    if result.get("missing"):
        there = result["listed"] - len(result["missing"])
        lines.append(f"{there} of {result['listed']} listed frames were there to be scored.")
    if result["skipped"]:
        lines.append(f"{result['skipped']} {what} have no pixel that counts and were left out.")
    if result["left_out"]:
        lines.append(f"{len(result['left_out'])} damaged, named above, and in none of these numbers.")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:z9.3f}"


def _meaning(result: dict[str, Any]) -> str:
    from geopretrain.tasks.predictions import MEANINGS

    if result["predicted"] == "flow":
        return "flow in px of the pictures"
    if result["predicted"] == "motion":
        return f"{result['alignment']}, in {result['unit']}; poses {result['poses']}"
    truth = f"; truth: {result['truth']}" if result.get("truth") else ""
    return f"depth is known {MEANINGS[result['meaning']]}, {result['alignment']}{truth}"


def _write(result: dict[str, Any], folder: Path, csv: bool, drawn: Picture | None) -> None:
    """Write ``DATA-PROTOCOL.json`` and, where wanted, ``.csv`` and ``.png``."""
    classes = "split" in result
    kind = result.get("predicted", "segmentation")
    how = f"{kind}{result['averaging']}" if classes else result["protocol"] + "-flip" * result["flip"]
    stem = f"{Path(str(result['data'])).name}-{result.get('frames') or result['split']}-{how}"
    stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in stem)
    for ending in ("json", "csv", "png"):
        check_replaceable(folder / f"{stem}.{ending}")
    write_json(folder / f"{stem}.json", {k: v for k, v in result.items() if k != "per_image"})
    if csv:
        write_text(folder / f"{stem}.csv", per_image_csv(result))
    if drawn is not None:
        write_picture(folder / f"{stem}.png", drawn)
    more = [ending for ending, there in ((".csv", csv), (".png", drawn is not None)) if there]
    console.say(f"Written to {folder / stem}.json{''.join(f' and {ending}' for ending in more)}.")


def per_image_csv(result: dict[str, Any]) -> str:
    """Return the errors of each picture as comma-separated values, the protocol in a column."""
    import csv
    import io

    rows = [
        {"protocol": result["protocol"], **{k: v for k, v in row.items() if k != "position"}}
        for row in result["per_image"]
    ]
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))  # not every picture has edges
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
