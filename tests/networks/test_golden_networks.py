"""Equality with the released Monodepth2 networks, through the converter of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_networks import deterministic_weights

from geopretrain.networks import Backbone, DepthNet, PoseNet
from geopretrain.weights import monodepth2

LAYOUT = json.loads((Path(__file__).parents[1] / "golden" / "monodepth2_networks.json").read_text())


def official_depth_net(encoder: str, decoder: str, backbone: str) -> DepthNet:
    net = DepthNet(Backbone(backbone)).double().eval()
    net.backbone.set_normalisation([0.45] * 3, [0.225] * 3)
    encoder_state = monodepth2.backbone_from_official(deterministic_weights(LAYOUT[encoder]))
    net.backbone.model.load_state_dict(encoder_state)
    net.decoder.load_state_dict(monodepth2.decoder_from_official(deterministic_weights(LAYOUT[decoder])))
    return net


@torch.no_grad()
def test_depth_net_18_equals_the_released_one(golden):
    arrays = golden("monodepth2_networks.npz")
    net = official_depth_net("ResnetEncoder18", "DepthDecoder_on_18", "resnet18")
    image = torch.from_numpy(arrays["in_image"]).double()
    features = net.backbone(image)
    for i, feature in enumerate(features):
        found = [feature.mean(), feature.std(correction=0), feature.abs().max()]
        np.testing.assert_allclose(torch.stack(found), arrays[f"out_feature{i}_mean_std_absmax"], rtol=1e-9)
    np.testing.assert_allclose(features[4][:, :8], arrays["out_feature4_channels0_7"], atol=1e-9)
    np.testing.assert_allclose(features[0][:, 3], arrays["out_feature0_channel3"], atol=1e-9)
    for scale, disparity in enumerate(net(image)):
        np.testing.assert_allclose(disparity, arrays[f"out_disp_scale{scale}"], atol=1e-9)


@torch.no_grad()
def test_depth_net_18_equals_the_released_one_in_single_precision(golden):
    arrays = golden("monodepth2_networks.npz")
    net = official_depth_net("ResnetEncoder18", "DepthDecoder_on_18", "resnet18").float()
    net.to(memory_format=torch.channels_last)
    for scale, disparity in enumerate(net(torch.from_numpy(arrays["in_image"]))):
        np.testing.assert_allclose(disparity, arrays[f"out_disp_scale{scale}"], atol=1e-4)


@torch.no_grad()
def test_depth_net_50_equals_the_released_one(golden):
    arrays = golden("monodepth2_networks.npz")
    net = official_depth_net("ResnetEncoder50", "DepthDecoder_on_50", "resnet50")
    disparities = net(torch.from_numpy(arrays["in_image"]).double())
    for scale in (0, 3):
        np.testing.assert_allclose(disparities[scale], arrays[f"out_resnet50_disp_scale{scale}"], atol=1e-9)


@torch.no_grad()
def test_pose_net_equals_the_released_one(golden):
    arrays = golden("monodepth2_networks.npz")
    net = PoseNet("resnet18").double().eval()
    net.backbone.set_normalisation([0.45] * 3, [0.225] * 3)
    encoder = deterministic_weights(LAYOUT["PoseResnetEncoder18_2images"])
    net.backbone.model.load_state_dict(monodepth2.backbone_from_official(encoder))
    decoder = deterministic_weights(LAYOUT["PoseDecoder_on_18"])
    net.decoder.load_state_dict(monodepth2.pose_decoder_from_official(decoder))
    pair = torch.from_numpy(arrays["in_image_pair"]).double()
    axis_angle, translation = net(pair[:, :3], pair[:, 3:])
    np.testing.assert_allclose(axis_angle, arrays["out_axisangle"][:, 0, 0], atol=1e-12)
    np.testing.assert_allclose(translation, arrays["out_translation"][:, 0, 0], atol=1e-12)


@pytest.mark.parametrize(("official", "depth"), [("18", "resnet18"), ("50", "resnet50")])
def test_converted_names_and_shapes_are_complete(official, depth):
    net = DepthNet(Backbone(depth))
    encoder = monodepth2.backbone_from_official(deterministic_weights(LAYOUT[f"ResnetEncoder{official}"]))
    assert {n: t.shape for n, t in encoder.items()} == {
        n: t.shape for n, t in net.backbone.model.state_dict().items()
    }
