"""``evaluate``: a run and pictures with measured depth in, errors under a named protocol out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geopretrain.engine.common import parse_size, plain, required
from geopretrain.engine.options import resolve_device
from geopretrain.engine.run_folder import RunFolder
from geopretrain.engine.screen import say
from geopretrain.errors import ConfigError, one_of
from geopretrain.files import write_json, write_text

COLUMNS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSElog",
    "a1": "d<1.25",
    "a2": "d<1.25^2",
    "a3": "d<1.25^3",
    "log10": "log10",
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
    """Score the depth a run predicts against measured depth, beside guesses that have not seen the picture.

    Args:
        run: run folder of a method that learns depth.
        data: prepared store with depth, data set with depth, or folder with images/ and depth/.
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
        ``protocol``, ``images``, the mean errors, ``guesses`` (their errors), ``meaning`` (what the
        prediction is right up to: ``metric``, ``scale`` or ``scale_shift``), ``data``, ``frames``,
        ``per_image``.

    Raises:
        UserError: run, data or protocol cannot be used together; the message says what to do.
    """
    from geopretrain.engine.depth_check import default_protocol, fitting_protocol, score_depth
    from geopretrain.engine.measured import find_frames
    from geopretrain.engine.predict import load_task

    data = required(data, "data", "a store, a data set with depth, or a folder with images/ and depth/")
    one_of("frames", frames, ("auto", "held_out", "in_sample", "all"))
    if every < 1:
        raise ConfigError(f"every must be at least 1, not {every}.")
    folder = RunFolder.open(run)
    task = load_task(folder).to(resolve_device(device)).eval()
    _set_threads(threads)
    if not hasattr(task, "predict") or folder.kind != "pretrain":
        raise ConfigError(
            f"The run in '{folder.path}' ({folder.lineage.get('method')}) predicts no depth. Give a run of a "
            "method that learns depth, such as monodepth."
        )
    found = find_frames(
        str(data), folder, frames=frames, split_file=split_file, depth_unit=depth_unit, progress=progress
    )
    rules = fitting_protocol(task, protocol or default_protocol(task, found.kind))
    chosen = found.frames[::every]
    say(f"Scoring {len(chosen)} pictures under {rules.name}.", progress=progress)
    scores = score_depth(
        task,
        chosen,
        rules,
        size=parse_size(folder.config["size"]),
        flip=flip,
        guesses_from=found.others[::every],
        min_gap=max(1, -(-found.min_gap // every)),
        per_image=True,
    )
    result = {"run": str(folder.path), "data": plain(data), "frames": found.name, "every": every, **scores}
    say(table(result), progress=progress)
    _write(result, Path(out) if out is not None else folder.path / "evaluation", csv, progress)
    return result


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def table(result: dict[str, Any]) -> str:
    """Return the errors of the run and of the guesses as lines of text, under the name of the protocol."""
    from geopretrain.engine.depth_check import MEANINGS

    said = "flip average" if result["flip"] else "no post-processing"
    lines = [
        f"{result['protocol']}, {result['images']} pictures ({result['frames'].replace('_', '-')}), {said}; "
        f"predicted depth is right {MEANINGS[result['meaning']]}".replace("right in metres", "in metres"),
        f"{'':12}" + "".join(f"{heading:>9}" for heading in COLUMNS.values()),
    ]
    for name, errors in {"run": result, **result["guesses"]}.items():
        values = "".join(f"{errors[column]:9.3f}" for column in COLUMNS)
        lines.append(f"{name.replace('_', ' '):12}{values}")
    if result["skipped"]:
        lines.append(f"{result['skipped']} pictures have no pixel that counts and were left out.")
    return "\n".join(lines)


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
