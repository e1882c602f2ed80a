"""A cell runner that trains nothing: scores are a formula of initialisation, mode, rate and seed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from geopretrain.errors import DataError
from geopretrain.files import write_json

GAIN = {"random": 0.0, "depth": 0.05}
BEST_RATE = {"random": 1e-3, "depth": 1e-4}


def run(cell, threads=None, device="auto"):
    Path(cell.folder).parent.mkdir(parents=True, exist_ok=True)
    with (Path(cell.folder).parent.parent / "calls.log").open("a") as log:
        log.write(f"{cell.evaluate_on} {cell.name} {cell.lr:g}\n")
    if cell.name == os.environ.get("FAKE_KILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.name == os.environ.get("FAKE_FAIL"):
        raise DataError("the label x.png is bad")
    if cell.name == os.environ.get("FAKE_CRASH"):
        raise ZeroDivisionError("oops")
    rate = 0.1 if cell.lr == BEST_RATE[cell.init] else 0.0
    miou = 0.2 + GAIN[cell.init] + rate + 0.001 * (cell.seed % 10) * (1 + (cell.init == "depth"))
    curve = [{"step": i, "miou": miou * i / cell.curve[-1], "pixel_accuracy": 0.5} for i in cell.curve]
    outcome = {
        **{name: getattr(cell, name) for name in ("init", "mode", "seed", "lr", "evaluate_on")},
        "curve": curve,
        "miou": miou,
        "pixel_accuracy": 0.5,
        "per_image_miou": miou,
        "iou": [miou, None, 1.0],
        "seconds": 1.0,
        "run": cell.folder,
    }
    write_json(cell.record, outcome)
    return outcome


def always_fails(cell, threads=None, device="auto"):
    raise DataError("disk")
