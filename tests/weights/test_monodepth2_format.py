"""The released weight files, both ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from geopretrain.errors import WeightsError
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.transfer.segmentation import Segmentation, SegmentationConfig
from geopretrain.weights import export_state, monodepth2, parse_init

LAYOUT = json.loads((Path(__file__).parents[1] / "golden" / "monodepth2_networks.json").read_text())


@pytest.fixture(scope="module")
def task():
    torch.manual_seed(0)
    return Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init("random"))[0]


def save_official(state, folder):
    for file, tensors in monodepth2.to_official(state).items():
        torch.save({**tensors, "height": 192} if file == "encoder.pth" else tensors, folder / file)


def test_exported_names_and_shapes_are_the_released_ones(task):
    official = monodepth2.to_official(export_state(task))
    modules = ("ResnetEncoder18", "DepthDecoder_on_18", "PoseResnetEncoder18_2images", "PoseDecoder_on_18")
    for file, module in zip(monodepth2.FILES, modules, strict=True):
        expected = {name: shape for name, shape, _ in LAYOUT[module] if ".fc." not in name}
        assert {name: list(t.shape) for name, t in official[file].items()} == expected


def test_round_trip_returns_every_tensor(task):
    state = export_state(task)
    back = monodepth2.from_official(monodepth2.to_official(state))
    assert set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_a_folder_of_released_files_is_an_initialisation(task, tmp_path):
    save_official(export_state(task), tmp_path)
    torch.manual_seed(1)
    other, report = Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init(tmp_path))
    assert all(torch.equal(t, export_state(task)[name]) for name, t in export_state(other).items())
    assert other.depth_net.backbone.normalisation == {"mean": [0.45] * 3, "std": [0.225] * 3}
    assert report.reinitialised == []
    with pytest.raises(WeightsError, match="another backbone"):
        Monodepth.create(MonodepthConfig(backbone="resnet34"), parse_init(tmp_path))


def test_released_files_start_a_segmenter(task, tmp_path):
    save_official(export_state(task), tmp_path)
    other, report = Segmentation.create(SegmentationConfig(num_classes=4), parse_init(tmp_path))
    assert report.reinitialised == ["decoder.heads.0.weight", "decoder.heads.0.bias"]
    stage = other.network.decoder.stages[4].before.weight
    assert torch.equal(stage, task.depth_net.decoder.stages[4].before.weight)
