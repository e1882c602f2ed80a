"""Run folders as trainings leave them, with invented numbers, at any stage of their life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml

from geopretrain.runs.folder import RunFolder

HOLDING = """
import sys, time
from geopretrain.folders import owned
with owned(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def fake_pretraining(path: Path, steps: int = 30, *, total: int = 30, method: str = "monodepth") -> RunFolder:
    """Write a pre-training that has come so far; it is finished where it has come to its last step."""
    run = RunFolder.create(
        path,
        config={"command": "pretrain", "method": method, "data": "store", "steps": total, "out": str(path)},
    )
    chain = [{"init": "random", "kind": "random"}]
    run.write_lineage({"method": method, "chain": chain, "versions": {"torch": "2.15.0"}, "data": "store"})
    for step in range(10, steps + 1, 10):
        run.append_metrics({"kind": "train", "step": step, "loss": 1 / step})
    run.append_metrics({"kind": "validation", "step": steps, "loss": 0.1})
    if steps == total:
        run.write_results({"command": "pretrain", "steps": total, "validation": {"loss": 0.1}})
    return run


def fake_finetuning(path: Path, miou: float = 0.4) -> RunFolder:
    """Write a finished fine-tuning for segmentation."""
    run = RunFolder.create(path, config={"command": "finetune segmentation", "data": "few", "steps": 4})
    run.append_metrics({"kind": "validation", "step": 4, "miou": miou, "pixel_accuracy": 0.7})
    run.write_results({"steps": 4, "miou": miou, "pixel_accuracy": 0.7, "residual_information": 0.75})
    return run


def fake_begun_comparison(path: Path, done: int = 4) -> Path:
    """Write a comparison of random and depth, with three seeds, of which some trainings are finished."""
    (path / "trials").mkdir(parents=True)
    config = {"geopretrain": "0.2.0", "command": "compare", "inits": ["random", "depth"], "data": "few"}
    config |= {"modes": ["full"], "seeds": [0, 1, 2], "labels": 16, "subsets": 1, "task": "segmentation"}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "inits.json").write_text(json.dumps({"random": "random", "depth": "abc"}))
    trainings = [(seed, init) for seed in range(3) for init in ("random", "depth")][:done]
    for seed, init in trainings:
        miou = 0.3 + 0.01 * seed + (0.05 + 0.002 * seed) * (init == "depth")
        point = {"step": 10, "miou": miou, "pixel_accuracy": 0.6, "residual_information": 1.5 - miou}
        record = {"init": init, "mode": "full", "seed": seed, "lr": 0.001, "labels": 16, "subset": 0}
        record |= {"curve": [point], "seconds": 2.0, "run": "", "weights": ""}
        (path / "trials" / f"{init}-full-seed{seed}.json").write_text(json.dumps(record))
    return path


@contextmanager
def being_written(folder: Path):
    """Have another process hold a folder, as one that trains does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
