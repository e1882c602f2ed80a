"""``evaluate``: a run and pictures with measured depth in, errors under a named protocol out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.commands.common import Size, parse_size, plain, required
from geopretrain.console import say
from geopretrain.errors import ConfigError, one_of
from geopretrain.files import write_json, write_text
from geopretrain.runs.folder import RunFolder
from geopretrain.training.options import resolve_device

if TYPE_CHECKING:
    from geopretrain.evaluation.measured import MeasuredSet
    from geopretrain.tasks.base import Task

COLUMNS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "a1": "d<1.25",
    "a2": "d<1.25^2",
    "a3": "d<1.25^3",
    "log10": "log10",
    "epe": "EPE",
    "fl_all": "Fl-all",
}
"""What the table shows, and under which heading."""


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    protocol: str | None = None,
    frames: str = "auto",
    split_file: str | Path | None = None,
    every: int = 1,
    flip: bool = False,
    csv: bool = False,
    depth_unit: float | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Score the depth (or flow) that a run predicts against what was measured, beside baselines.

    Args:
        run: run folder of a method that learns depth or flow.
        data: store or data set with depth, folder with images/ and depth/, or pairs with known flow.
        protocol: name of the protocol; left away: the one that suits the data and what the run knows.
        frames: of the store the run was trained on: held_out, in_sample or all; auto: held_out.
        split_file: text file with a line DRIVE FRAME SIDE per picture, as the lists of the Eigen split.
        every: take every n-th frame.
        flip: average the prediction with that of the mirrored picture.
        csv: also write the errors of each picture as a table.
        depth_unit: units per metre of 16-bit depth PNGs in depth/, e.g. 256; left away: 1000 (millimetres).
        out: folder to write results into; left away: evaluation/ in the run folder.
        device: cpu, cuda, mps or auto.
        threads: threads of the processor to compute with.
        progress: show progress.

    Returns:
        ``protocol``, ``images``, the mean errors, ``baselines`` (their errors), ``meaning`` (what the
        prediction is right up to: ``metric``, ``scale`` or ``scale_shift``), ``data``, ``frames``,
        ``per_image``.

    Raises:
        UserError: run, data or protocol cannot be used together; the message says what to do.
    """
    from geopretrain.commands.predict import load_task
    from geopretrain.evaluation.measured import find_frames

    data = required(data, "data", "a store, a data set with depth, or a folder with images/ and depth/")
    one_of("frames", frames, ("auto", "held_out", "in_sample", "all"))
    if every < 1:
        raise ConfigError(f"every must be at least 1, not {every}.")
    folder = RunFolder.open(run)
    task = load_task(folder).to(resolve_device(device)).eval()
    _set_threads(threads)
    is_flow = _sees_flow(task, folder, protocol)
    size = parse_size(folder.config["size"])
    if is_flow:
        scores = _flow_scores(task, str(data), every, size)
    else:
        found = find_frames(
            str(data), folder, frames=frames, split_file=split_file, depth_unit=depth_unit, progress=progress
        )
        scores = _depth_scores(task, found, protocol, every, size, flip, progress)
    result = {"run": str(folder.path), "data": plain(data), "every": every, **scores}
    say(table(result), progress=progress)
    _write(result, Path(out) if out is not None else folder.path / "evaluation", csv, progress)
    return result


def _depth_scores(
    task: Task,
    found: MeasuredSet,
    protocol: str | None,
    every: int,
    size: Size | None,
    flip: bool,
    progress: bool,
) -> dict[str, Any]:
    from geopretrain.evaluation.depth import (
        default_protocol,
        depth_meaning,
        fitting_protocol,
        score_depth,
    )

    meaning, chosen = depth_meaning(task), found.frames[::every]
    rules = fitting_protocol(meaning, protocol or default_protocol(meaning, found.kind))
    say(f"Scoring {len(chosen)} pictures under {rules.name}.", progress=progress)
    scores = score_depth(
        task,
        chosen,
        rules,
        size=size,
        flip=flip,
        baselines_from=found.others[::every],
        min_gap=max(1, -(-found.min_gap // every)),
        per_image=True,
    )
    return {"frames": found.name, **scores}


def _flow_scores(task: Task, data: str, every: int, size: Size | None) -> dict[str, Any]:
    from geopretrain.data.readers.flow_pairs import open_flow_pairs
    from geopretrain.evaluation.flow import score_flow

    return {"frames": "all", "flip": False, **score_flow(task, open_flow_pairs(data)[::every], size)}


def _sees_flow(task: Task, run: RunFolder, protocol: str | None) -> bool:
    """Return whether a run predicts flow, not depth; raises ConfigError where it is neither, or the other."""
    from geopretrain.metrics.flow import FLOW_PROTOCOL

    is_flow = hasattr(task, "predict_flow")
    if not is_flow and (not hasattr(task, "predict") or run.kind != "pretrain"):
        raise ConfigError(
            f"The run in '{run.path}' ({run.lineage.get('method')}) predicts neither depth nor flow. Give a "
            "run of a method that learns one of them, such as monodepth."
        )
    if protocol is not None and is_flow is not (protocol == FLOW_PROTOCOL):
        raise ConfigError(
            f"The run in '{run.path}' predicts {'flow' if is_flow else 'depth'}, so it cannot be scored "
            f"under '{protocol}'. Leave --protocol away for the one that suits."
        )
    return is_flow


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def table(result: dict[str, Any]) -> str:
    """Return the errors of the run and of the baselines as lines of text, under the name of the protocol."""
    columns = {name: heading for name, heading in COLUMNS.items() if name in result}
    lines = [
        f"{result['protocol']}, {result['images']} pictures ({result['frames'].replace('_', '-')}), "
        f"{'flip average' if result['flip'] else 'no post-processing'}; {_meaning(result)}",
        f"{'':12}" + "".join(f"{heading:>9}" for heading in columns.values()),
    ]
    for name, errors in {"run": result, **result["baselines"]}.items():
        values = "".join(f"{errors[column]:9.3f}" for column in columns)
        lines.append(f"{name.replace('_', ' '):12}{values}")
    if result["skipped"]:
        lines.append(f"{result['skipped']} pictures have no pixel that counts and were left out.")
    return "\n".join(lines)


def _meaning(result: dict[str, Any]) -> str:
    from geopretrain.evaluation.depth import MEANINGS

    if result["predicted"] == "flow":
        return "flow in px of the pictures"
    return f"depth is known {MEANINGS[result['meaning']]}"


def _write(result: dict[str, Any], folder: Path, csv: bool, progress: bool) -> None:
    """Write ``DATA-PROTOCOL.json`` and, where wanted, ``.csv``."""
    stem = f"{Path(str(result['data'])).name}-{result['frames']}-{result['protocol']}"
    stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in stem) + ("-flip" * result["flip"])
    write_json(folder / f"{stem}.json", {k: v for k, v in result.items() if k != "per_image"})
    if csv:
        write_text(folder / f"{stem}.csv", per_image_csv(result))
    say(f"Written to {folder / stem}.json{' and .csv' if csv else ''}.", progress=progress)


def per_image_csv(result: dict[str, Any]) -> str:
    """Return the errors of each picture as comma-separated values, the protocol in a column."""
    import csv
    import io

    rows = [
        {"protocol": result["protocol"], **{k: v for k, v in row.items() if k != "position"}}
        for row in result["per_image"]
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
