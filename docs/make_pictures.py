"""Make the pictures of the pages of methods: ``python docs/make_pictures.py [METHOD...]``.

Each is a row of the figures of a training of a minute or less on built-in streets, of frames that were held
out; all of them take some ten minutes of a core. Runs are kept in ``build/pictures``.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import geopretrain as gp
from geopretrain.synthetic import make_world

ROOT = Path(__file__).parents[1]
WORK, OUT = ROOT / "build" / "pictures", ROOT / "docs" / "images" / "methods"
VIDEO = "synthetic:street?worlds=4&frames=40&seed=300"
LABELLED = "synthetic:street?train=64&val=8&test=8&seed=77"
DEMO = ROOT / "demo" / "imagenet-depth"
"""The picture of monodepth is of what `make demo` trains."""
SIZE = (64, 128)
SIDE = 64
LARGER = 2
"""How many times larger pictures are shown than they were worked at."""


@dataclass(frozen=True)
class Training:
    """What is trained for a picture, and which of its samples are shown, below each other."""

    steps: int
    batch_size: int = 8
    backbone: str = "test_resnet"
    lr: float = 1e-3
    settings: dict[str, Any] = field(default_factory=dict)
    data: str = "store"
    shown: tuple[int, ...] = (0, 2)


PAINTER = {"decoder_width": 64, "decoder_depth": 1, "decoder_heads": 4}
TRAININGS = {
    "geometric_flow": Training(200),
    "simmim": Training(200, 16),
    "inpainting": Training(200),
    "depth_supervised": Training(150),
    "optical_flow": Training(200),
    "mae": Training(400, 16, "test_vit", 2e-3, PAINTER),
    "segmentation": Training(150, data=LABELLED),
    "classification": Training(150, 16, data="windows", shown=(0, 1, 2, 3)),
    "cross_view": Training(150, 8, "test_vit", 2e-3, PAINTER),
    "moco": Training(2, settings={"queue": 64}),
    "dino": Training(2, settings={"outputs": 64}),
}


def main(methods: list[str]) -> None:
    """Train and draw; a training that is there is not repeated."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "store").exists():
        gp.prepare([VIDEO], WORK / "store", size=SIZE)
    if not (WORK / "windows").exists():
        write_windows(WORK / "windows")
    if (DEMO / "figures").exists():
        draw(DEMO, (0, 2), OUT / "monodepth.jpg")
    for method in methods or TRAININGS:
        training, run = TRAININGS[method], WORK / method
        if not (run / "results.json").exists():
            shutil.rmtree(run, ignore_errors=True)
            train(method, training, run)
        draw(run, training.shown, OUT / f"{method}.jpg")


def train(method: str, training: Training, run: Path) -> None:
    """Train a method; the last validation draws the figures."""
    data = training.data if ":" in training.data else WORK / training.data
    size = {"windows": (SIDE, SIDE), "store": None}.get(training.data, SIZE)
    gp.pretrain(
        method,
        data=data,
        size=size,
        out=run,
        backbone=training.backbone,
        steps=training.steps,
        batch_size=training.batch_size,
        lr=training.lr,
        settings=training.settings,
        precision="fp32",
        threads=1,
        validate_every=training.steps,
    )


def draw(run: Path, shown: tuple[int, ...], out: Path) -> None:
    """Put the last figures of some samples below each other, or side by side where they are narrow."""
    last = [sorted((run / "figures").glob(f"sample_{number:02d}_*.png"))[-1:] for number in shown]
    rows = [np.asarray(Image.open(file).convert("RGB")) for files in last for file in files]
    together = np.concatenate(rows, 1 if rows[0].shape[1] <= 2 * SIDE else 0)
    picture = Image.fromarray(together)
    picture = picture.resize((picture.width * LARGER, picture.height * LARGER), Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out, quality=85)
    print(out.relative_to(ROOT), picture.size, f"{out.stat().st_size / 1000:.0f} kB")


def write_windows(folder: Path, worlds: int = 24, windows: int = 40) -> None:
    """Write windows of streets into a folder for each class: what is in their middle."""
    rng = np.random.default_rng(0)
    for seed in range(worlds):
        world = make_world("street", seed=9000 + seed, frames=1, size=(128, 256))
        frame, split = world.frame(0), "val" if seed % 6 == 0 else "train"
        for number in range(windows):
            y, x = rng.integers(0, 128 - SIDE), rng.integers(0, 256 - SIDE)
            name = world.class_names[frame.semantic[y + SIDE // 2, x + SIDE // 2]]
            if name in ("sky", "building", "road", "tree", "car", "fence"):
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                window = Image.fromarray(frame.image[y : y + SIDE, x : x + SIDE])
                window.save(folder / split / name / f"{seed}-{number}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
