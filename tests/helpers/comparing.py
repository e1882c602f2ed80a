"""What comparisons are made of, as small as it gets: labelled images, and what looks like a pre-training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.study import worker
from geopretrain.weights import save_tensors

BACKBONE = "test_resnet"
CLASSES = ("road", "sky", "car")
SWITCHES = ("FAKE_FAIL", "FAKE_CRASH", "FAKE_KILL", "FAKE_UNDEFINED", "FAKE_DIVERGE")
"""Variables that make `fake_runner` do something else than to answer."""


def write_labelled(
    root: Path, splits: Mapping[str, int | Sequence[str]], classes: Sequence[str] = CLASSES
) -> Path:
    """Write images of noise with labels, as folders of splits; ``splits`` are names, or how many."""
    for number, (split, names) in enumerate(splits.items()):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for k, name in enumerate(map(str, range(names)) if isinstance(names, int) else names):
            pixels = np.random.default_rng([number, k]).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / "images" / f"{name}.png")
            Image.fromarray(pixels[..., 0] % len(classes)).save(root / split / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    return root


@cache
def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return the tensors of a small backbone."""
    torch.manual_seed(seed)
    return {f"backbone.{name}": value for name, value in Backbone(BACKBONE).model.state_dict().items()}


def write_pretrained(path: Path, seed: int = 0) -> RunFolder:
    """Write a folder that looks like a pre-training run."""
    run = RunFolder.create(path, config={"command": "pretrain", "steps": 7, "seed": seed})
    run.write_lineage({"method": "scripted", "backbone": BACKBONE, "chain": [], "data": "video.mp4"})
    save_tensors(path / "model.safetensors", weights(seed))
    run.write_results({})
    return run


def train_nothing(monkeypatch) -> None:
    """Have trials answered by `fake_runner`, in other processes too."""
    helpers = Path(__file__).parent
    monkeypatch.setattr(worker, "RUNNER", "fake_runner:run")
    monkeypatch.setenv("PYTHONPATH", f"{helpers}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
