"""Equality with the released Monodepth2 networks, through the converter of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from golden_networks import deterministic_weights
from tolerances import assert_near

from geopretrain.networks import Backbone, DepthNet, PoseNet
from geopretrain.weights import monodepth2

LAYOUT = json.loads((Path(__file__).parents[1] / "golden" / "monodepth2_networks.json").read_text())


def official_depth_net(encoder: str, decoder: str, backbone: str, device, dtype) -> DepthNet:
    net = DepthNet(Backbone(backbone)).double().eval()
    net.backbone.set_normalisation([0.45] * 3, [0.225] * 3)
    encoder_state = monodepth2.backbone_from_official(deterministic_weights(LAYOUT[encoder]))
    net.backbone.model.load_state_dict(encoder_state)
    net.decoder.load_state_dict(monodepth2.decoder_from_official(deterministic_weights(LAYOUT[decoder])))
    return net.to(device, dtype)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@torch.no_grad()
def test_depth_net_18_equals_the_released_one(golden, device, dtype, layout):
    arrays = golden("monodepth2_networks.npz")
    net = official_depth_net("ResnetEncoder18", "DepthDecoder_on_18", "resnet18", device, dtype)
    net.to(memory_format=layout)
    image = torch.from_numpy(arrays["in_image"]).to(device, dtype)
    features = net.backbone(image)
    for i, feature in enumerate(features):
        found = torch.stack([feature.mean(), feature.std(correction=0), feature.abs().max()])
        assert_near(found, arrays[f"out_feature{i}_mean_std_absmax"])
    assert_near(features[4][:, :8], arrays["out_feature4_channels0_7"])
    assert_near(features[0][:, 3], arrays["out_feature0_channel3"])
    for scale, disparity in enumerate(net(image)):
        assert_near(disparity, arrays[f"out_disp_scale{scale}"])


@torch.no_grad()
def test_depth_net_50_equals_the_released_one(golden, device, dtype):
    arrays = golden("monodepth2_networks.npz")
    net = official_depth_net("ResnetEncoder50", "DepthDecoder_on_50", "resnet50", device, dtype)
    disparities = net(torch.from_numpy(arrays["in_image"]).to(device, dtype))
    for scale in (0, 3):
        assert_near(disparities[scale], arrays[f"out_resnet50_disp_scale{scale}"])


@torch.no_grad()
def test_pose_net_equals_the_released_one(golden, device, dtype):
    arrays = golden("monodepth2_networks.npz")
    net = PoseNet("resnet18").double().eval()
    net.backbone.set_normalisation([0.45] * 3, [0.225] * 3)
    encoder = deterministic_weights(LAYOUT["PoseResnetEncoder18_2images"])
    net.backbone.model.load_state_dict(monodepth2.backbone_from_official(encoder))
    decoder = deterministic_weights(LAYOUT["PoseDecoder_on_18"])
    net.decoder.load_state_dict(monodepth2.pose_decoder_from_official(decoder))
    net.to(device, dtype)
    pair = torch.from_numpy(arrays["in_image_pair"]).to(device, dtype)
    for found, name in zip(net(pair[:, :3], pair[:, 3:]), ("out_axisangle", "out_translation"), strict=True):
        assert_near(found, arrays[name][:, 0, 0], tighter=100)  # the output is multiplied by 0.01


@pytest.mark.parametrize(("official", "depth"), [("18", "resnet18"), ("50", "resnet50")])
def test_converted_names_and_shapes_are_complete(official, depth):
    net = DepthNet(Backbone(depth))
    encoder = monodepth2.backbone_from_official(deterministic_weights(LAYOUT[f"ResnetEncoder{official}"]))
    assert {n: t.shape for n, t in encoder.items()} == {
        n: t.shape for n, t in net.backbone.model.state_dict().items()
    }
