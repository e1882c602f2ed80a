"""The multi-scale decoder beyond what the golden numbers check."""

from __future__ import annotations

import pytest
import torch
from tolerances import assert_near

from geopretrain.errors import ConfigError, DataError
from geopretrain.networks import MultiscaleDecoder


def pyramid(channels, strides, size=(64, 96)):
    return [torch.rand(1, c, size[0] // s, size[1] // s) for c, s in zip(channels, strides, strict=True)]


def test_a_missing_level_means_no_skip():
    with_stride_2 = MultiscaleDecoder([8, 8, 8, 8, 8], [2, 4, 8, 16, 32])
    without = MultiscaleDecoder([8, 8, 8, 8], [4, 8, 16, 32])
    assert with_stride_2.stages[1].after.in_channels == 32 + 8
    assert without.stages[1].after.in_channels == 32
    assert without(pyramid([8] * 4, [4, 8, 16, 32]))[0].shape == (1, 1, 64, 96)


def test_only_the_scales_asked_for_are_computed():
    decoder = MultiscaleDecoder([8] * 5, [2, 4, 8, 16, 32])
    calls = []
    for i, stage in enumerate(decoder.stages):
        stage.register_forward_hook(lambda *_, i=i: calls.append(i))
    features = pyramid([8] * 5, [2, 4, 8, 16, 32])
    everything = decoder(features)
    calls.clear()
    (coarse,) = decoder(features, scales=(2,))
    assert calls == [4, 3, 2]
    torch.testing.assert_close(coarse, everything[2])


def test_a_replaced_head_leaves_the_rest_alone():
    decoder = MultiscaleDecoder([8] * 4, [4, 8, 16, 32])
    before = {name: value.clone() for name, value in decoder.stages.state_dict().items()}
    decoder.replace_head(7)
    assert [o.shape for o in decoder(pyramid([8] * 4, [4, 8, 16, 32]))] == [(1, 7, 64, 96)]
    assert all(torch.equal(value, before[name]) for name, value in decoder.stages.state_dict().items())


def test_impossible_decoders_are_refused():
    with pytest.raises(ConfigError, match="powers of two"):
        MultiscaleDecoder([8, 8], [3, 6])
    with pytest.raises(ConfigError, match="0 to 4"):
        MultiscaleDecoder([8] * 4, [4, 8, 16, 32], scales=(5,))


def test_images_that_shrink_to_nothing_are_refused():
    decoder = MultiscaleDecoder([8] * 4, [4, 8, 16, 32])
    with pytest.raises(DataError, match="33 px or more"):
        decoder(pyramid([8] * 4, [4, 8, 16, 32], (32, 64)))


@pytest.mark.parametrize("channels_last", [False, True])
def test_decoder_equals_the_textbook_form(channels_last, device, dtype):
    """Interpolate, concatenate, pad, convolve; gradients included."""
    torch.manual_seed(0)
    decoder = MultiscaleDecoder([4, 5, 6], [2, 4, 8], scales=(0, 1, 2)).to(device, dtype)
    features = [f.to(device, dtype).requires_grad_() for f in pyramid([4, 5, 6], [2, 4, 8], (16, 24))]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    given = [f.to(memory_format=layout) for f in features]
    outputs = decoder(given)
    expected = textbook(decoder, features)
    for output, truth in zip(outputs, expected, strict=True):
        assert_near(output, truth, tighter=10)
    weights = [torch.rand_like(o) for o in outputs]
    leaves = [*features, *decoder.parameters()]
    ours = torch.autograd.grad(sum((o * w).sum() for o, w in zip(outputs, weights, strict=True)), leaves)
    theirs = torch.autograd.grad(sum((o * w).sum() for o, w in zip(expected, weights, strict=True)), leaves)
    for a, b in zip(ours, theirs, strict=True):
        assert_near(a, b)


def textbook(decoder, features):
    def conv(layer, x):
        x = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return torch.nn.functional.conv2d(x, layer.weight, layer.bias)

    skips = {0: None, 1: features[0], 2: features[1]}
    x, outputs = features[2], []
    for i in (2, 1, 0):
        x = torch.nn.functional.elu(conv(decoder.stages[i].before, x))
        x = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        x = x if skips[i] is None else torch.cat([x, skips[i]], 1)
        x = torch.nn.functional.elu(conv(decoder.stages[i].after, x))
        outputs.append(conv(decoder.heads[str(i)], x))
    return outputs[::-1]
