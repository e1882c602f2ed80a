"""A trial runner that trains nothing: scores are a formula of initialisation, mode, rate and seed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from dying import die

from geopretrain.errors import DataError, Diverged
from geopretrain.files import write_json
from geopretrain.interruption import finishing

GAIN = {"random": 0.0, "depth": 0.05}
BEST_RATE = {"random": 1e-3, "depth": 1e-4}


def run(trial, threads=None, device="auto"):
    Path(trial.folder).parent.mkdir(parents=True, exist_ok=True)
    with (Path(trial.folder).parent.parent / "calls.log").open("a") as log:
        log.write(f"{trial.evaluate_on} {trial.name} {trial.lr:g}\n")
    if trial.name == os.environ.get("FAKE_KILL"):
        die()
    if (failing := os.environ.get("FAKE_FAIL")) and trial.name.startswith(failing):
        raise DataError("the label x.png is bad")
    if trial.name == os.environ.get("FAKE_CRASH"):
        raise ZeroDivisionError("oops")
    if any(trial.name.endswith(end) for end in os.environ.get("FAKE_DIVERGE", "").split(";") if end):
        return diverges(trial)
    init = trial.init.removesuffix(".safetensors")
    rate = 0.1 if trial.lr == BEST_RATE.get(init) else 0.0
    miou = 0.2 + GAIN.get(init, 0.0) + rate + 0.001 * (trial.seed % 10) * (1 + (init == "depth"))
    if trial.drawn:  # one of several sets of labelled images
        miou += 0.01 * (trial.settings["labels"] - 4)
        miou += 0.02 * (trial.settings.get("subset_seed", 4) - 1) * (init == "depth")
    curve = [{"step": i, "miou": miou * i / trial.curve[-1], "pixel_accuracy": 0.5} for i in trial.curve]
    if trial.name == os.environ.get("FAKE_UNDEFINED"):
        curve = [{**point, "miou": None, "pixel_accuracy": None} for point in curve]
    if trial.task == "depth":
        curve = [{"step": trial.curve[-1], "abs_rel": 0.6 - miou, "rmse": 3.0}]
    if trial.task == "detection":
        curve = [{"step": i, "box_map": miou, "box_map_50": 0.5} for i in trial.curve]
    more = int(os.environ.get("FAKE_CLASSES", 3)) - 3
    confusion = np.pad([[8, 2, 0], [0, 0, 0], [1, 1, trial.seed]], (0, more))
    outcome = {
        **{name: getattr(trial, name) for name in ("init", "mode", "seed", "lr", "evaluate_on")},
        "curve": curve,
        "miou": miou,
        "pixel_accuracy": 0.5,
        "per_image_miou": miou,
        "iou": [miou, None, 1.0, *[0.0] * more],
        **({"confusion": confusion.tolist()} if trial.task == "segmentation" else {}),
        **({"abs_rel": 0.6 - miou, "images": 7, "protocol": "dense-80"} if trial.task == "depth" else {}),
        **({"box_map": miou, "box_ap": [miou] * 12} if trial.task == "detection" else {}),
        "seconds": 1.0,
        "run": trial.folder,
        "weights": trial.weights,
    }
    write_json(trial.record, outcome)
    return outcome


def diverges(trial):
    """What comes of a rate that is too high: an answer where rates are searched, an error elsewhere."""
    if not trial.searching:
        raise Diverged("The loss is not a number any more at step 3; training has been stopped.")
    outcome = {
        name: getattr(trial, name) for name in ("init", "mode", "seed", "lr", "evaluate_on", "weights")
    }
    outcome |= {"diverged": "The loss is not a number any more at step 3.", "seconds": 1.0}
    write_json(trial.record, outcome)
    return outcome


def always_fails(trial, threads=None, device="auto"):
    raise DataError("disk")


def waits(trial, threads=None, device="auto"):
    """Say which process trains, and go on until asked to stop; then keep what a checkpoint would be."""
    folder = Path(trial.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "process").write_text(str(os.getpid()))
    with finishing() as interruption:
        while interruption.asked is None:
            time.sleep(0.02)
        (folder / "kept").write_text(str(interruption.asked))


def waits_for_word(trial, threads=None, device="auto"):
    """Say in which process and on which machine the trial runs, and answer when a file says so."""
    import ray

    place = Path(trial.folder).parent.parent
    with (place / "begun.log").open("a") as log:
        log.write(f"{trial.name}|{os.getpid()}|{ray.get_runtime_context().get_node_id()}\n")
    while not (place / "word").exists():
        time.sleep(0.05)
    return run(trial, threads, device)
