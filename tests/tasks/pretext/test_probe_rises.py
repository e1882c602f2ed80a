"""Methods make features that tell classes better than those of their own untrained encoder do.

`dino` and `cross_view` do not at this size, as far as can be told (docs/synthetic.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
from PIL import Image

import geopretrain as gp
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet

SIZE = (64, 96)
VIDEO = "synthetic:street?worlds=8&frames=48&seed=500&height=64&width=96&stereo=0"
MANY = "synthetic:street?worlds=300&frames=4&seed=2000&height=64&width=96&stereo=0"
"""Pictures that can be told from each other."""
LABELLED = "synthetic:street?train=256&val=32&test=8&seed=77"
PATCHES = "patches"
"""Classes of images: what is in the middle of windows of the labelled images."""
PROBE = "synthetic:street?train=64&val=32&test=8&seed=9"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """A short training, and the points of mIoU that the linear probe gains in it at least, mean of the seeds.

    About half of what was seen (28.1 and 18.8 % before training for the two encoders), mostly with two seeds
    or three, or on two sets of samples, as one is a matter of luck (see docs/synthetic.md) and, for the same
    seed, of the processor: monodepth gained 0.9, 3.2 and 0.8 points with seeds 0 to 2 on an AMD EPYC.
    """

    method: str
    backbone: str
    steps: int
    batch_size: int
    lr: float
    margin: float
    settings: dict[str, Any] = field(default_factory=dict)
    video: str = VIDEO
    seeds: tuple[int, ...] = (0,)


DEPTHS = {"min_depth": 0.02, "max_depth": 20.0}
CASES = [
    Case("simmim", "test_resnet", 200, 16, 1e-3, 1.2),
    Case("simmim", "test_vit", 1200, 16, 2e-3, 1.5),
    Case("inpainting", "test_resnet", 500, 16, 1e-3, 1.0),
    Case(
        "mae", "test_vit", 1200, 16, 2e-3, 1.8, {"decoder_width": 64, "decoder_depth": 1, "decoder_heads": 4}
    ),
    Case("monodepth", "test_resnet", 600, 8, 1e-3, 0.8, DEPTHS, seeds=(0, 1, 2)),
    Case("depth_supervised", "test_resnet", 200, 8, 1e-3, 1.0),
    Case("optical_flow", "test_resnet", 500, 8, 1e-3, 0.5),
    Case("geometric_flow", "test_resnet", 200, 8, 1e-3, 0.8),
    Case("scdepth", "test_resnet", 200, 8, 1e-3, 0.8),
    Case("segmentation", "test_resnet", 300, 16, 1e-3, 2.6, video=LABELLED),
    Case("classification", "test_resnet", 400, 32, 1e-3, 1.2, video=PATCHES),
    Case("moco", "test_resnet", 300, 32, 1e-3, 0.9, {"queue": 512, "momentum": 0.99}, MANY),
]


@pytest.fixture(scope="module")
def store_of(tmp_path_factory) -> Callable[[str], Path]:
    @cache
    def prepared(video: str) -> Path:
        out = tmp_path_factory.mktemp("probed") / "store"
        gp.prepare([video], out, size=SIZE)
        return out

    return prepared


def write_patches(root: Path, side: int = 64, per_image: int = 12) -> None:
    """Write windows of labelled images into a folder for each class: the rarest with 15 % of the middle."""
    labelled = LabelledSet.open(LABELLED, size=(96, 320))
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for position in labelled.splits(LABELS)[split]:
            batch = labelled.read(np.array([position]), LABELS)
            image, labels = batch.images[0].permute(1, 2, 0).numpy(), batch.required("labels")[0].numpy()
            for number in range(per_image):
                y, x = rng.integers(0, 96 - side + 1), rng.integers(0, 320 - side + 1)
                middle = labels[y + 16 : y + 48, x + 16 : x + 48]
                ids, counts = np.unique(middle[middle != IGNORE], return_counts=True)
                common = [(n, k) for n, k in zip(counts, ids, strict=True) if n > 0.15 * middle.size]
                if common:
                    folder = root / split / labelled.class_names[min(common)[1]]
                    folder.mkdir(parents=True, exist_ok=True)
                    window = Image.fromarray(image[y : y + side, x : x + side])
                    window.save(folder / f"{position}_{number}.png")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method}-{case.backbone}")
def test_features_get_better(tmp_path, store_of, case):
    data, size = {LABELLED: (LABELLED, SIZE), PATCHES: (tmp_path / "patches", (64, 64))}.get(
        case.video, (None, None)
    )
    if case.video == PATCHES:
        write_patches(tmp_path / "patches")
    gains = []
    for seed in case.seeds:
        run = gp.pretrain(
            case.method,
            data=data or store_of(case.video),
            size=size,
            out=tmp_path / f"run-{seed}",
            backbone=case.backbone,
            steps=case.steps,
            batch_size=case.batch_size,
            lr=case.lr,
            settings=case.settings,
            precision="fp32",
            threads=1,
            probe=PROBE,
            validate_every=case.steps,
            progress=False,
            seed=seed,
        )
        gains.append(100 * (run.results["probe"]["after"] - run.results["probe"]["before"]))
    assert mean(gains) > case.margin, gains
