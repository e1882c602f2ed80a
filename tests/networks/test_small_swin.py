from __future__ import annotations

import timm
import torch

from geopretrain.networks import Backbone

NAME = "geopretrain_swinv2_mini"


def test_timm_knows_the_small_swin_and_it_is_a_pyramid_of_any_size():
    assert timm.is_model(NAME)
    backbone = Backbone(NAME).eval()
    assert (backbone.strides, backbone.channels) == ([4, 8, 16, 32], [32, 64, 128, 256])
    assert sum(p.numel() for p in backbone.parameters()) < 2_000_000
    with torch.no_grad():
        features = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(one.shape[-2:]) for one in features] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_it_is_of_the_family_of_the_paper():
    small, large = (timm.create_model(name, num_classes=0) for name in (NAME, "swinv2_tiny_window8_256"))
    assert type(small) is type(large)
    assert "layers.2.downsample.norm.weight" in small.state_dict(), "named as MeSa's Table 4 names layers"
