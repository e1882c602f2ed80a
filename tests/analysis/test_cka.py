"""CKA: equal to the published implementations and to its definition, and what it is invariant to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain.analysis.cka import MinibatchCKA, debiased_cka, linear_cka
from geopretrain.analysis.layers import chosen_layers, fewest_cells, grid_of, samples_of
from geopretrain.errors import ConfigError, DataError
from geopretrain.networks import Backbone


@pytest.fixture
def cka(golden):
    return golden("cka.npz")


def of(data, name, dtype=torch.float64):
    return torch.from_numpy(data[name]).to(dtype)


@pytest.mark.parametrize("number", range(3))
def test_all_samples_at_once_equal_the_published_notebook(cka, number):
    first, second = of(cka, f"in_X{number}"), of(cka, f"in_Y{number}")
    assert float(linear_cka(first, second)) == pytest.approx(float(cka[f"out_linear_cka{number}"]), abs=1e-9)
    wanted = float(cka[f"out_linear_cka_debiased{number}"])
    assert float(debiased_cka(first, second)) == pytest.approx(wanted, abs=1e-9)
    assert float(debiased_cka(first.float(), second.float())) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(("dtype", "off"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_batches_equal_the_published_estimator(cka, dtype, off):
    layers = [[of(cka, f"in_model{m}_layer{n}", dtype) for n in range(m + 1)] for m in (1, 2)]
    sums, first = MinibatchCKA(), 0
    for size in cka["in_batch_sizes"]:
        sums.update(*([layer[first : first + size] for layer in model] for model in layers))
        first += size
    np.testing.assert_allclose(sums.compute(), cka["out_minibatch_cka_mean_of_batches"], atol=off)


def test_the_unbiased_estimate_is_that_of_its_definition():
    """Song et al. 2012, equation 5, written out with traces and sums."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(9, width, generator=generator, dtype=torch.float64) + 3 for width in (5, 4))
    k, m, n = x @ x.T, y @ y.T, 9
    k.fill_diagonal_(0), m.fill_diagonal_(0)

    def hsic(a, b):
        product = a @ b
        return (product.trace() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * product.sum() / (n - 2)) / (
            n * (n - 3)
        )

    wanted = hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()
    assert float(debiased_cka(x, y)) == pytest.approx(float(wanted), abs=1e-12)


def test_turning_scaling_and_shifting_a_layer_change_nothing():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    for measure in (linear_cka, debiased_cka):
        assert float(measure(x, 7 * x @ rotation + 5)) == pytest.approx(1, abs=1e-12)


def test_layers_without_anything_in_common_are_at_zero_and_not_above():
    """The biased estimate calls noise alike where there are more features than samples."""
    generator = torch.Generator().manual_seed(2)
    sums = MinibatchCKA()
    for _ in range(40):
        sums.update([torch.randn(32, 300, generator=generator)], [torch.randn(32, 300, generator=generator)])
    assert abs(float(sums.compute())) < 4 * float(sums.standard_error()) < 0.05
    noise = [torch.randn(32, 300, generator=generator) for _ in range(2)]
    assert float(linear_cka(*noise)) > 0.8


def test_the_standard_error_is_how_far_repetitions_lie_apart():
    generator, found, errors = torch.Generator().manual_seed(3), [], []
    for _ in range(60):
        sums = MinibatchCKA()
        for _ in range(12):
            x = torch.randn(16, 4, generator=generator)
            sums.update([x], [x + torch.randn(16, 4, generator=generator)])
        found.append(float(sums.compute()))
        errors.append(float(sums.standard_error()))
    assert 0.7 < np.mean(errors) / np.std(found, ddof=1) < 1.4


def test_a_layer_that_is_the_same_for_all_images_has_no_number():
    sums = MinibatchCKA()
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(4))
    sums.update([torch.ones(8, 3), x])
    assert torch.equal(sums.compute().isnan(), torch.tensor([[True, True], [True, False]]))
    assert sums.standard_error().isnan().all()  # of one batch


def test_too_few_samples_are_refused():
    with pytest.raises(DataError, match="at least 4"):
        MinibatchCKA().update([torch.ones(3, 2)])
    with pytest.raises(DataError, match="no images"):
        MinibatchCKA().compute()


@pytest.mark.parametrize(
    ("places", "size", "tokens", "grid"),
    [
        (12, (96, 128), 0, (3, 4)),
        (49, (112, 112), 1, (7, 7)),
        (50, (112, 112), 1, (7, 7)),  # a class token before the map
        (1, (64, 320), 0, (1, 1)),
        (1, (64, 320), 1, (1, 1)),
        (30, (96, 320), 0, (3, 10)),
        (11, (96, 128), 0, None),
    ],
)
def test_the_rows_and_columns_of_maps_are_found(places, size, tokens, grid):
    assert grid_of(places, size, tokens) == grid


def test_samples_are_what_they_are_called():
    torch.manual_seed(0)
    backbone, images = Backbone("test_resnet").eval(), torch.rand(10, 3, 64, 96)
    layers = {"one": "layer2"}
    with torch.no_grad():
        maps = backbone.model.get_submodule("layer2")
        kept = []
        handle = maps.register_forward_hook(lambda *call: kept.append(call[2]))
        backbone.model.forward_features(backbone.normalise(images))
        handle.remove()
    maps = kept[0]
    assert fewest_cells(backbone, images, layers) == maps.shape[2]
    pooled, flattened, cells = (
        samples_of(backbone, images, layers, how, 4)[0] for how in ("pooled", "flattened", "positions")
    )
    torch.testing.assert_close(pooled, maps.mean((2, 3)))
    assert flattened.shape == (10, maps[0].numel())
    assert cells.shape == (10 * 16, maps.shape[1])
    corner = maps[3, :, : maps.shape[2] // 4, : maps.shape[3] // 4]
    torch.testing.assert_close(cells[3 * 16], corner.mean((1, 2)))


def test_class_tokens_are_not_among_the_positions():
    torch.manual_seed(0)
    backbone, images = Backbone("test_vit").eval(), torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        tokens = backbone.model.forward_features(backbone.as_seen(images))
    pooled = samples_of(backbone, images, {"last": "norm"}, "pooled", 1)[0]
    torch.testing.assert_close(pooled, tokens[:, 1:].mean(1))


def test_layers_are_chosen_by_patterns_in_the_order_of_the_model():
    backbone, images = Backbone("test_resnet").eval(), torch.rand(2, 3, 64, 64)
    chosen = list(chosen_layers(backbone, ["layer?", "layer1.*.conv1"], images))
    assert chosen == ["layer1", "layer1.0.conv1", "layer2", "layer3", "layer4"]
    with pytest.raises(ConfigError, match=r"'layr1'\. Did you mean 'layer1'"):
        chosen_layers(backbone, ["layer1", "layr1"], images)


def test_layers_are_kept_as_they_were_computed():
    """An activation in place writes into the output of the normalisation before it."""
    torch.manual_seed(0)
    backbone, images = Backbone("test_resnet").eval(), torch.rand(5, 3, 64, 96)
    model = backbone.model
    assert model.act1.inplace
    with torch.no_grad():
        wanted = model.bn1(model.conv1(backbone.normalise(images)))
        if hasattr(model.bn1, "act"):
            pytest.skip("normalisation and activation are one module")
    found = samples_of(backbone, images, {"bn1": "bn1"}, "flattened", 1)[0]
    torch.testing.assert_close(found, wanted.flatten(2).transpose(1, 2).flatten(1))
    assert (found < 0).any()
