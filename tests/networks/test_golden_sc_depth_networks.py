"""Equality with the released SC-Depth networks, through the converter of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from golden_networks import deterministic_weights
from tolerances import assert_near

from geopretrain.geometry import disparity_to_depth
from geopretrain.networks import Backbone, DepthNet, PoseNet, RotationNet
from geopretrain.tasks.pretext.scdepth import SCDepth, SCDepthConfig
from geopretrain.weights import parse_init, sc_depth
from geopretrain.weights.loading import rename

LAYOUT = json.loads((Path(__file__).parents[1] / "golden" / "sc_depth_networks.json").read_text())


def fill(net, converted, device, dtype):
    net.double().eval().backbone.set_normalisation([0.45] * 3, [0.225] * 3)
    state = rename(converted, {"backbone.": "backbone.model.", "decoder.": "decoder."})
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.split(".")[-1] in ("mean", "std", "num_batches_tracked") for name in missing)
    return net.to(device, dtype)


@pytest.fixture
def images(golden, device, dtype):
    """Their images are normalised already; ours are in [0, 1]."""
    arrays = golden("sc_depth_networks.npz")
    pair = [torch.from_numpy(arrays[f"in_image{i}"]).double() * 0.225 + 0.45 for i in (1, 2)]
    return arrays, *(image.to(device, dtype) for image in pair)


@torch.no_grad()
def test_depth_net_equals_the_released_one(images, device, dtype):
    arrays, image, _ = images
    net = DepthNet(Backbone("resnet18"), upsampling="bilinear")
    converted = sc_depth.depth_from_official(deterministic_weights(LAYOUT["DepthNet18"]))
    for scale, sigmoid in enumerate(fill(net, converted, device, dtype)(image)):
        depth = disparity_to_depth(sigmoid, 1 / 10.01, 100)
        assert_near(depth, arrays[f"out_decoder_output{scale}"])


@torch.no_grad()
def test_pose_net_equals_the_released_one_in_both_directions(images, device, dtype):
    arrays, first, second = images
    converted = sc_depth.pose_from_official(deterministic_weights(LAYOUT["PoseNet18"]))
    net = fill(PoseNet("resnet18"), converted, device, dtype)
    for pair, name in (((first, second), "out_pose_12"), ((second, first), "out_pose_21")):
        angles, translation = net(*pair)
        assert_near(torch.cat([translation, angles], 1), arrays[name], tighter=100)  # multiplied by 0.01


@torch.no_grad()
def test_rotation_net_equals_the_released_one(images, device, dtype):
    arrays, first, second = images
    converted = sc_depth.rotation_from_official(deterministic_weights(LAYOUT["RectifyNet18"]))
    net = fill(RotationNet("resnet18"), converted, device, dtype)
    assert_near(net(first, second), arrays["out_rot_12"])


def test_a_whole_checkpoint_is_taken_as_initialisation(tmp_path):
    networks = {"depth_net.": "DepthNet18", "pose_net.": "PoseNet18", "rectify_net.": "RectifyNet18"}
    state = {
        prefix + name: tensor.float()
        for prefix, network in networks.items()
        for name, tensor in deterministic_weights(LAYOUT[network]).items()
    }
    torch.save({"state_dict": state}, tmp_path / "official.ckpt")
    task, report = SCDepth.create(SCDepthConfig(version=2), parse_init(tmp_path / "official.ckpt"))
    assert not report.reinitialised
    unused = ("decoder.heads.", ".fc.")  # coarser outputs, never trained, and the classifier of ImageNet
    assert all(any(part in name for part in unused) for name, _ in report.skipped)
    assert task.depth_net.backbone.normalisation == {"mean": [0.45] * 3, "std": [0.225] * 3}
    squeeze = state["rectify_net.decoder.conv_squeeze.weight"]
    assert torch.equal(task.rotation_net.decoder.squeeze.weight, squeeze)


def test_a_whole_checkpoint_becomes_our_saved_names():
    networks = {"depth_net.": "DepthNet18", "pose_net.": "PoseNet18", "rectify_net.": "RectifyNet18"}
    tensors = {
        prefix + name: tensor
        for prefix, network in networks.items()
        for name, tensor in deterministic_weights(LAYOUT[network]).items()
    }
    assert sc_depth.is_official(tensors)
    names = set(sc_depth.from_official(tensors))
    assert {"backbone.conv1.weight", "pose.backbone.conv1.weight", "rotation.decoder.out.bias"} <= names
    assert not any("fc." in name for name in names)
    without = {n: t for n, t in tensors.items() if not n.startswith("rectify_net.")}
    assert not any(n.startswith("rotation.") for n in sc_depth.from_official(without))
