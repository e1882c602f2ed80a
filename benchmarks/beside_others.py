"""Seconds per training step alone and beside busy processes, with fixed threads and with those demo chooses.

A busy process computes all the time in one thread, as a browser, a call and a build do together at worst.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

BUSY = "while True: pass"
TRAINING = """
import contextlib, sys
import geopretrain as gp
from geopretrain.compute import fewer_threads_where_shared
from geopretrain.recipes.demo import PRETRAINING

store, out, steps, threads, backbone = sys.argv[1:]
watched = fewer_threads_where_shared() if threads == "auto" else contextlib.nullcontext()
with watched:
    gp.pretrain("monodepth", data=store, out=out, backbone=backbone, steps=int(steps), log_every=1,
                threads=None if threads == "auto" else int(threads), **PRETRAINING)
"""
STORE = "synthetic:street?worlds=4&frames=32&seed=5&height={0}&width={1}&stereo=0"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all combinations and print them as a table."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        source = STORE.format(*options.size.split("x"))
        _geopretrain("data", "prepare", source, "--size", options.size, "--out", str(store))
        print("| threads | " + " | ".join(f"beside {busy}" for busy in options.busy) + " |")
        print("|---|" + "---|" * len(options.busy))
        for threads in options.threads:
            cells = []
            for busy in options.busy:
                with _busy(busy):
                    cells.append(_measure(store, Path(folder) / f"{threads}-{busy}", threads, options))
            print(f"| {threads} | " + " | ".join(cells) + " |", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=lambda text: [int(n) for n in text.split(",")], default=[0, 1, 3])
    parser.add_argument("--threads", type=lambda text: text.split(","), default=["2", "1", "auto"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="a training is stopped after so long")
    parser.add_argument("--size", default="64x128")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    return parser.parse_args(arguments)


def _geopretrain(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "geopretrain", *words], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _measure(store: Path, out: Path, threads: str, options: argparse.Namespace) -> str:
    """Return the median seconds of the second half of the steps, and between what they lie."""
    words = [str(store), str(out), str(options.steps), threads, options.backbone]
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, *words], stdout=subprocess.DEVNULL, env=os.environ.copy()
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(options.seconds)
    process.kill()
    process.wait()
    seconds = _seconds(out / "metrics.jsonl")
    later = sorted(seconds[len(seconds) // 2 :])
    time.sleep(1.0)
    if not later:
        return f"no step in {options.seconds:.0f} s"
    return f"{statistics.median(later):.2f} ({later[0]:.2f} to {later[-1]:.2f}; {len(later)} steps)"


def _seconds(path: Path) -> list[float]:
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return [row["timing"]["seconds_per_step"] for row in rows if row["kind"] == "train"]


if __name__ == "__main__":
    main()
