"""How right labels are in neighbouring frames: python benchmarks/propagated_labels.py [LABELLED STORE]

Labels of every frame are carried to its neighbours, up to --reach strides away, by each way there is, and
compared with the neighbours' own labels: by measured depth and poses (where the store has both), by each
--run (monodepth or scdepth), by optical flow, and copied. LABELLED must have labels for neighbouring frames
of STORE; without both a synthetic street is rendered.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import geopretrain as gp
from geopretrain.console import console
from geopretrain.synthetic import make_world

SIZE, FRAMES = (96, 320), 60


def rendered(folder: Path, seed: int) -> tuple[Path, Path]:
    """Write a street with labels for all frames but the last ones, and return both."""
    world = make_world("street", seed, FRAMES, size=SIZE)
    parts = {"train": range(FRAMES - 10), "val": (FRAMES - 5,), "test": (FRAMES - 2,)}
    for split, numbers in parts.items():
        for kind in ("images", "labels"):
            (folder / "labelled" / split / kind).mkdir(parents=True)
        for number in numbers:
            frame, name = world.frame(number), f"{number:06d}.png"
            Image.fromarray(frame.image).save(folder / "labelled" / split / "images" / name)
            Image.fromarray(frame.semantic).save(folder / "labelled" / split / "labels" / name)
    (folder / "labelled" / "classes.txt").write_text("".join(f"{one}\n" for one in world.class_names))
    spec = f"synthetic:street?frames={FRAMES}&seed={seed}&stereo=0"
    gp.prepare(spec, out=folder / "store", size=SIZE, holdout=0.0)
    return folder / "labelled", folder / "store"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--run", action="append", default=[])
    parser.add_argument("--reach", type=int, default=8)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    ways: dict[str, dict[str, Any]] = {"measured": {}, **{run: {"run": run} for run in options.run}}
    ways |= {"flow": {"by": "flow"}, "none": {"by": "none"}}
    with tempfile.TemporaryDirectory() as folder:
        labelled, store = options.data or rendered(Path(folder), options.seed)
        for way, more in ways.items():
            try:
                with console.showing(False):
                    more |= {"out": Path(folder) / "out", "reach": options.reach, "overwrite": True}
                    done = gp.propagate(labelled, store, **more)
            except gp.DataError as error:
                print(f"{way}: {error}")
                continue
            for row in done.scores:
                known = [name for name, iou in row["iou"].items() if np.isfinite(iou)]
                classes = ", ".join(f"{name} {row['iou'][name]:.0%}" for name in known)
                print(
                    f"{way}, {row['steps']} strides: {row['labelled']:.0%} labelled, {row['accuracy']:.1%} "
                    f"right, mIoU {row['miou']:.1%} ({classes})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
