"""What the commands of the documentation are run on: small data under the names that its pages use.

A command is run as it is typed but for two tables: ``IN_PLACE_OF``, words that stand for what a test cannot
have, and ``SMALL``, options that are added behind those that are typed and win over them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docs_commands import name_of
from making_clips import write_depth, write_video
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.cli import COMMANDS
from geopretrain.config.parsing import parse
from geopretrain.networks import Backbone
from geopretrain.synthetic import make_world
from geopretrain.weights import save_tensors

SIZE = (64, 96)
BACKBONE = "test_resnet"
IN_PLACE_OF = {
    r"\bLABELLED\b": "labelled",
    r"\bSTORE\b": "store",
    r"\bVIDEO\b": "drive.mp4",
    r"\bRUN\b": "runs/depth",
    r"(?<![\w/-])imagenet(?![\w.-])": "imagenet.safetensors",  # no backbone so small has weights of ImageNet
    r"\btf_efficientnet_lite0\b|\bresnet50\b": BACKBONE,
    r"vit_small_patch16_224": "test_vit",
    r"layer\?\.\*\.conv2": "layer?.0",
    r"4,16,64": "2,4,8",
    r"--subsets\0\d+": "--subsets\0" + "2",
    r"\bkitti_raw\b": "measured",
    r"runs/(masked|finetuned)\b": "runs/seg",
    r"trials/imagenet-full": "trials/imagenet.safetensors-full",
    r"trials/depth-full": "trials/imagenet-depth-full",
}
"""Patterns of words, and what is there in their place; between two words stands a null."""
_TRAINING = f"--batch-size 2 --steps 2 --threads 1 --device cpu --backbone {BACKBONE} --progress=false"
SMALL = {
    "data prepare": "--size 64x96 --overwrite --progress=false",
    "data select": "--candidates 20 --threads 1 --device cpu --overwrite --progress=false",
    "data propagate": "--overwrite --progress=false",
    "data pseudo-depth": "--device cpu --overwrite --progress=false",
    "advise": "--size 64x96 --threads 1 --device cpu --progress=false",
    "pretrain": f"{_TRAINING} --overwrite",
    "finetune segmentation": f"{_TRAINING} --size 64x96 --curve-points 1 --overwrite",
    "finetune depth": f"{_TRAINING} --overwrite",
    "finetune detection": f"{_TRAINING} --size 64x96 --overwrite",
    "compare": f"{_TRAINING} --size 64x96 --curve-points 1 --seeds 2 --modes full --pictures 1 --jobs 1 "
    "--overwrite",
    "evaluate": "--threads 1 --device cpu --every 4 --progress=false",
    "predict": "--threads 1 --device cpu --every 8 --overwrite --progress=false",
    "export": "--overwrite --progress=false",
    "analyse cka": "--images 16 --batch-size 8 --threads 1 --device cpu --overwrite --progress=false",
    "analyse activations": "--images 2 --threads 1 --device cpu --overwrite --progress=false",
    "analyse features": "--size 64x96 --threads 1 --device cpu --overwrite --progress=false",
}
"""Options by command that make it take seconds; one that does without is not here."""
LEAST = {
    "data prepare": "a.mp4 --out store",
    "data select": "store --out chosen --init runs/depth",
    "data propagate": "labelled store --out more",
    "data pseudo-depth": "store --teacher runs/depth",
    "advise": "store labelled",
    "pretrain": "monodepth --data store --out runs/depth",
    "finetune segmentation": "--data labelled --out runs/seg",
    "finetune depth": "--data store --out runs/depth",
    "finetune detection": "--data labelled --out runs/objects",
    "compare": "--inits random,imagenet --data labelled --out runs/cmp",
    "evaluate": "runs/depth store",
    "predict": "runs/seg drive.mp4 --out seen",
    "export": "runs/depth --format timm --out backbone.safetensors",
    "analyse cka": "imagenet --data store --out layers",
    "analyse activations": "runs/seg --data labelled --out seen",
    "analyse features": "imagenet --data labelled --out features",
}
"""The least that each must be given, for the test of the table above."""
BACKBONES = {"mae": "test_vit", "cross_view": "test_vit"}
"""Methods that take no convolutional network, or hide all of an image as small as these in its cells."""


def small(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command with what stands for what a test cannot have, and the options that make it small."""
    name = name_of(tuple(words))
    typed = "\0".join(words[len(name.split()) :])
    for pattern, there in IN_PLACE_OF.items():
        typed = re.sub(pattern, there, typed)
    rest = typed.split("\0") if typed else []
    added = SMALL.get(name, "").split()
    if rest and rest[0] in BACKBONES:
        added = [BACKBONES[rest[0]] if word == BACKBONE else word for word in added]
    return (*name.split(), *rest, *added)


def run(commands: Sequence[tuple[str, ...]], folder: Path) -> None:
    """Run commands one after the other in a folder, each once; every one has to succeed."""
    with chdir(folder):
        for words in dict.fromkeys(commands):
            typed = words if words[0].startswith("--") else small(words)
            assert cli.main(typed) == 0, f"geopretrain {' '.join(typed)}"


def make_calls_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the public functions, when they are called, the options that make their commands small."""
    for name, added in SMALL.items():
        function = name.removeprefix("data ").replace(" ", "_").replace("-", "_")
        if hasattr(gp, function) and added:
            given = parse(name, COMMANDS[name].options_class(), added.split())
            monkeypatch.setattr(gp, function, partial(_called, getattr(gp, function), given))


def _called(function: Callable[..., Any], added: Mapping[str, Any], *arguments: Any, **given: Any) -> Any:
    return function(*arguments, **{**given, **added})


def write(folder: Path) -> Path:
    """Write the data that the pages speak of."""
    drive = make_world("street", seed=5, frames=40, size=SIZE)
    frames = [drive.frame(i) for i in range(40)]
    pictures = [frame.image for frame in frames]
    write_video(folder / "drive.mp4", pictures)
    for name in ("videos", "held_out_videos"):
        (folder / name).mkdir()
        shutil.copy(folder / "drive.mp4", folder / name / "a.mp4")
    others = make_world("street", seed=6, frames=90, size=SIZE)
    elsewhere = [others.frame(10 * i) for i in range(9)]
    _labelled(folder / "labelled", drive, {"train": frames[:18], "val": elsewhere[:4], "test": elsewhere[4:]})
    for name in ("camvid", "others"):
        shutil.copytree(folder / "labelled", folder / name)
    for i, frame in enumerate(frames[:24]):
        _image(folder / "measured" / "images" / f"{i:03d}.png", frame.image)
        write_depth(folder / "measured" / "depth" / f"{i:03d}.png", 1000 * np.minimum(frame.depth, 60))
        _image(folder / "photographs" / ("early" if i < 12 else "late") / f"{i}.jpg", frame.image)
    _image(folder / "street.jpg", pictures[0])
    tensors = Backbone(BACKBONE).model.state_dict()
    save_tensors(folder / "imagenet.safetensors", {f"backbone.{name}": v for name, v in tensors.items()})
    return folder


def _labelled(folder: Path, world, splits) -> None:
    for split, frames in splits.items():
        for i, frame in enumerate(frames):
            _image(folder / split / "images" / f"{i:03d}.png", frame.image)
            _image(folder / split / "labels" / f"{i:03d}.png", frame.semantic)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in world.class_names))


def _image(path: Path, pixels: np.ndarray) -> None:
    os.makedirs(path.parent, exist_ok=True)
    Image.fromarray(pixels).save(path)
