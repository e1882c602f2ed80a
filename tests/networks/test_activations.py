"""Layers by name: MeSa's nine of Swin-v2, and those of other families."""

from __future__ import annotations

import math

import pytest
import torch

from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.activations import activations, layer_names

LARGE = {
    "swinv2_large_window12_192": (192, 192),
    "swinv2_large_window12to24_192to384": (480, 480),
    "vit_large_patch14_dinov2": (224, 224),
    "vit_small_patch14_dinov2": (75, 101),
    "convnext_tiny": (75, 101),
    "mobilenetv3_large_100": (75, 101),
    "resnet50": (75, 101),
}
NINE = {  # Table 4, by timm's names
    "layer_0": "layers.1.downsample.norm",
    "layer_1": "layers.2.downsample.norm",
    "layer_2": "layers.2.blocks.3.norm1",
    "layer_3": "layers.2.blocks.6.norm1",
    "layer_4": "layers.2.blocks.9.norm1",
    "layer_5": "layers.2.blocks.12.norm1",
    "layer_6": "layers.2.blocks.15.norm1",
    "layer_7": "layers.3.downsample.norm",
    "layer_8": "norm",
}


@pytest.mark.parametrize("name", [name for name in LARGE if name.startswith("swinv2")])
def test_mesas_nine_layers_of_the_large_network(name):
    height, width = LARGE[name]
    with torch.device("meta"):
        backbone = Backbone(name)
    assert layer_names(backbone) == NINE
    kept = activations(backbone, torch.empty(1, 3, height, width, device="meta"))
    places = [(height // s) * (width // s) for s in (8, 16, 16, 16, 16, 16, 16, 32, 32)]
    channels = [384, *[768] * 6, 1536, 1536]
    assert [tuple(f.shape) for f in kept.values()] == [
        (1, n, c) for n, c in zip(places, channels, strict=True)
    ]


def test_the_layers_of_a_small_swin_lie_at_the_same_sixths():
    torch.manual_seed(0)
    backbone = Backbone("swinv2_tiny_window8_256").eval()
    names = layer_names(backbone)
    assert [names[f"layer_{i}"] for i in range(2, 7)] == [f"layers.2.blocks.{i}.norm1" for i in range(1, 6)]
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        kept = activations(backbone, images)
        last = backbone.last(images)
    torch.testing.assert_close(kept["layer_8"], last.flatten(2).transpose(1, 2))
    assert all(f.shape[0] == 2 and f.ndim == 3 for f in kept.values())
    assert not backbone.model.norm._forward_hooks


@pytest.mark.parametrize("name", LARGE)
def test_every_family_is_built_and_names_its_layers(name):
    with torch.device("meta"):
        backbone = Backbone(name)
    size = LARGE[name]
    images = torch.empty(1, 3, *size, device="meta")
    features = backbone(images)
    assert [tuple(f.shape) for f in features] == [
        (1, c, math.ceil(size[0] / s), math.ceil(size[1] / s))
        for c, s in zip(backbone.channels, backbone.strides, strict=True)
    ]
    kept = activations(backbone, images)
    assert len(kept) == len(layer_names(backbone)) >= 4
    assert all(f.ndim == 3 for f in kept.values())


def test_layers_of_a_convolutional_network_are_what_its_stages_compute():
    backbone = Backbone("test_resnet").eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = backbone(images)
        kept = activations(backbone, images)
    torch.testing.assert_close(list(kept.values())[-1], features[-1].flatten(2).transpose(1, 2))


def test_layers_of_ones_own_choice_and_their_mistakes():
    backbone = Backbone("test_resnet").eval()
    with torch.no_grad():
        kept = activations(backbone, torch.rand(1, 3, 64, 64), {"first": "conv1", "last": "layer4"})
    assert list(kept) == ["first", "last"]
    with pytest.raises(ConfigError, match=r"has no layer 'layer5'\. Did you mean 'layer\d"):
        activations(backbone, torch.rand(1, 3, 64, 64), {"x": "layer5"})
