"""The flow networks."""

from __future__ import annotations

import pytest
import torch
from tolerances import assert_near

from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone, ConditionalFlowNet, MotionEncoder, SiameseFlowNet

SIZE = (64, 96)


def conditional(levels: int = 1) -> ConditionalFlowNet:
    torch.manual_seed(0)
    backbone = Backbone("test_resnet")
    return ConditionalFlowNet(backbone, MotionEncoder("test_resnet"), motion_levels=levels).eval()


@pytest.mark.parametrize("levels", [1, 3])
@torch.no_grad()
def test_outputs_have_two_channels_at_every_scale_and_the_code_has_128_numbers(levels, device, dtype):
    net = conditional(levels).to(device, dtype)
    first, second = (torch.rand(n, 3, *SIZE, device=device, dtype=dtype) for n in (2, 4))
    outputs, code = net(first, second)
    assert [o.shape for o in outputs] == [(4, 2, 64 >> s, 96 >> s) for s in range(4)]
    assert code.shape == (4, 128)


@torch.no_grad()
def test_the_source_is_seen_through_the_code_only():
    net, (target, source, other) = conditional(), torch.rand(3, 1, 3, *SIZE)
    outputs, code = net(target, source)
    again = net.decode(net.backbone(target), net.motion(target, source))
    assert all(torch.equal(a, b) for a, b in zip(outputs, again, strict=True))
    assert not torch.equal(net.motion(target, other), code)
    assert not torch.equal(net.motion(source, target), code)


def test_the_code_is_standardised_over_the_batch_and_a_single_pair_does_not_fail(device, dtype):
    torch.manual_seed(0)
    motion = MotionEncoder("test_resnet").to(device, dtype)
    target, source = torch.rand(2, 8, 3, *SIZE, device=device, dtype=dtype)
    code = motion(target, source)
    assert_near(code.mean(0), torch.zeros(128))
    assert code.std(0, correction=0).median() > 0.5
    assert torch.isfinite(motion(target[:1], source[:1])).all()


def test_the_decoder_has_the_fourteen_layers_of_the_paper():
    net = ConditionalFlowNet(Backbone("resnet18"), MotionEncoder("resnet18"))
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.decoder.modules()) == 14


def test_more_levels_than_the_backbone_has_are_refused():
    with pytest.raises(ConfigError, match="motion_levels must be 1 to 5"):
        conditional(6)


@torch.no_grad()
def test_the_siamese_network_sees_both_images_with_one_encoder():
    torch.manual_seed(0)
    net = SiameseFlowNet(Backbone("test_resnet")).eval()
    seen = []
    net.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    first, second = torch.rand(2, 2, 3, *SIZE)
    outputs = net(first, second)
    assert seen == [(4, 3, *SIZE)]
    assert outputs[0].shape == (2, 2, *SIZE)
    assert not torch.allclose(net(second, first)[0], outputs[0])
