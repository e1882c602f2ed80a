"""Channels last on a CPU: layers that a library cannot do in it keep the usual order, all others change."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from geopretrain.networks.memory_order import use_channels_last

LAYERS = {
    "stem": nn.Conv2d(3, 8, 1, stride=2),
    "wide": nn.Conv2d(16, 8, 1, stride=2),
    "plain": nn.Conv2d(3, 8, 1),
    "square": nn.Conv2d(3, 8, 3, stride=2),
    "grouped": nn.Conv2d(32, 8, 1, stride=3, groups=4),
}


def test_only_strided_filters_of_one_pixel_over_few_channels_stay():
    model = nn.ModuleDict(LAYERS)
    assert use_channels_last(model, "cuda") == []
    assert use_channels_last(model, "cpu") == ["stem", "grouped"]
    assert model["stem"].weight.stride() == (3, 1, 1, 1)
    assert model["wide"].weight.stride() == (16, 1, 16, 16)
    given = []
    model["stem"].register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0].stride()))
    images = torch.rand(2, 3, 6, 8).to(memory_format=torch.channels_last)
    expected = nn.functional.conv2d(images, model["stem"].weight, model["stem"].bias, 2)
    assert torch.allclose(model["stem"](images), expected, atol=1e-6)
    assert given == [(144, 48, 8, 1)]


STEP = """
import sys
import torch
from geopretrain.networks.backbone import Backbone
from geopretrain.networks.memory_order import use_channels_last
name, sizes = sys.argv[1], [int(side) for side in sys.argv[2].split(",")]
torch.set_num_threads(1)
for side in sizes:
    backbone = Backbone(name).train()
    use_channels_last(backbone, "cpu")
    levels = backbone(torch.rand(2, 3, side, side))
    sum(level.square().mean() for level in levels).backward()
    del backbone, levels
"""


def one_step(name: str, sizes: str) -> tuple[int, str]:
    """Return exit code and what was said of a forward and a backward pass in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", STEP, name, sizes],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stderr


def test_fastvit_survives_its_stem():
    code, said = one_step("fastvit_t8", "128,96,128,256")
    assert code == 0, said


SMALL = (
    *("test_", "atto", "femto", "pico", "nano", "tiny", "xxs", "xx_small", "_t0", "_xs", "mini", "small"),
    *("_s0", "_m0", "_b0", "_000", "_002", "_050", "18", "10", "_s", "_0"),
)
"""Parts of names of small models, the smallest first."""


def families() -> list[str]:
    """Return timm's modules of models, without importing it for a list of tests."""
    spec = importlib.util.find_spec("timm")
    files = (Path(str(spec and spec.origin)).parent / "models").glob("[a-z]*.py")
    return sorted(file.stem for file in files)


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_one_model_of_every_family_takes_a_step_or_says_why_not(family):
    import timm

    names = timm.list_models(module=family)
    if not names:
        pytest.skip("no models")
    name = min(names, key=lambda n: (next((i for i, part in enumerate(SMALL) if part in n), 99), len(n)))
    code, said = one_step(name, "128")
    if code == 1 and _refused(said):
        code, said = one_step(name, "224")  # some are made for one size
    assert code == 0 or (code == 1 and _refused(said)), said


def _refused(said: str) -> bool:
    return any(line.startswith("geopretrain.errors.") for line in said.splitlines())
