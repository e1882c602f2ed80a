"""How much of a training is waiting for data: methods that learn from a folder of JPEG files it writes.

    python benchmarks/waiting.py --methods simmim,moco --backbones resnet18,tf_efficientnet_lite0

Each training runs in a process of its own, with one thread and an empty cache. A first pass decodes and
resizes the files, then every step reads its rows from the cache. Printed are, of all steps but the first, the
median seconds, the part of them in which the loop waits for a batch (``data_fraction`` of metrics.jsonl, by
the clock), and which parts of the processor time go into reading and into augmentation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TRAINING = """
import json, sys, time
import torch
import geopretrain as gp
from lightning.pytorch.callbacks import Callback

method, backbone, images, out, size, batch, steps = sys.argv[1:]
spent = {"reading": 0.0, "augmentation": 0.0, "steps": 0.0}


def timed(part, function):
    def call(*given):
        start = time.thread_time()
        try:
            return function(*given)
        finally:
            spent[part] += time.thread_time() - start
    return call


class Watch(Callback):
    def on_train_start(self, trainer, module):
        module.task.train_transform = timed("augmentation", module.task.train_transform)
        data = trainer.train_dataloader.samples.data
        data.read = timed("reading", data.read)

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if not index:  # the first step compiles, and takes memory
            spent.update(reading=0.0, augmentation=0.0, steps=-time.process_time())

    def on_train_end(self, trainer, module):
        spent["steps"] += time.process_time()


settings = {"settings": {"queue": 64}} if method == "moco" else {}
gp.pretrain(method, data=f"images:{images}", backbone=backbone, init="random", size=size, out=out,
            batch_size=int(batch), steps=int(steps), precision="fp32", threads=1, log_every=1,
            callbacks=[Watch()], **settings)
print(json.dumps(spent))
"""
QUALITY = 90


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all combinations and print them as a table."""
    options = _options(arguments)
    print(
        "| method | backbone | step, s | waits for data | reading | augmentation |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images", options.images)
        for method in options.methods:
            for backbone in options.backbones:
                cells = _measure(folder, method, backbone, options)
                print(f"| {method} | {backbone} | {' | '.join(cells)} |", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=lambda text: text.split(","), default=["simmim", "moco"])
    parser.add_argument(
        "--backbones", type=lambda text: text.split(","), default=["resnet18", "tf_efficientnet_lite0"]
    )
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", default="224x224")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args(arguments)


def write_images(folder: Path, count: int) -> None:
    """Write smooth random pictures with noise as JPEG files of 500x375 px, as photographs on the web have."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = smooth + random.normal(0, 6, smooth.shape)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{number:06d}.jpg", quality=QUALITY)


def _measure(folder: Path, method: str, backbone: str, options: argparse.Namespace) -> list[str]:
    """Return seconds of a step and the three parts, as cells."""
    out = folder / f"{method}-{backbone}"
    words = [method, backbone, folder / "images", out, options.size, options.batch, options.steps]
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, *map(str, words)],
        env={**os.environ, "GEOPRETRAIN_CACHE": f"{out}-cache", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    spent = json.loads(done.stdout.splitlines()[-1])
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text("utf-8").splitlines()]
    timing = [record["timing"] for record in records if record["kind"] == "train"][1:]
    seconds = statistics.median(one["seconds_per_step"] for one in timing)
    waiting = statistics.median(one["data_fraction"] for one in timing)
    parts = [spent[name] / spent["steps"] for name in ("reading", "augmentation")]
    return [f"{seconds:.2f}", *(f"{part:.1%}" for part in (waiting, *parts))]


if __name__ == "__main__":
    main()
