"""SimMIM against golden numbers of the official implementation, and as a task on every kind of backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopretrain import losses
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.masking import MaskedEncoder, PixelHead, hidden_count, hide_first, spread_cells
from geopretrain.tasks.pretext.simmim import PAPER, SimMIM, SimMIMConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.weights import export_state, load_state, parse_init

STEP = Step(0, 1)
TRANSFORMERS = {"swin": "test_swin", "vit": "test_vit"}


def make_task(config=None, seed=0) -> SimMIM:
    torch.manual_seed(seed)
    return SimMIM.create(config or SimMIMConfig(backbone="test_resnet"), parse_init("random"))[0]


def batch(count=2, size=(64, 96)) -> LabelledBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)
    return LabelledBatch(images, None, torch.arange(count))


def test_the_registry_knows_the_method():
    assert task_class("simmim") is SimMIM


@pytest.mark.parametrize("config", range(4))
def test_masks_are_those_of_the_released_code(golden, config):
    numbers = golden("simmim.npz")
    side, cell, patch, fraction = numbers["in_generator_configs"][config]
    cells = int(side // cell)
    hidden, total = numbers[f"out_num_masked_tokens_config{config}"]
    assert (hidden_count(cells**2, fraction), cells**2) == (hidden, total)
    for seed, expected in zip(numbers["in_np_seeds"], numbers[f"out_masks_config{config}"], strict=True):
        order = np.random.RandomState(seed).permutation(cells**2)
        found = hide_first(torch.from_numpy(order)[None], (cells, cells), float(fraction))
        tokens = spread_cells(found, (int(side // patch),) * 2, int(cell // patch))[0, 0]
        assert np.array_equal(tokens.numpy(), expected.astype(bool))


def test_the_loss_is_that_of_the_released_code(golden):
    numbers = golden("simmim.npz")
    target, painted = (torch.from_numpy(numbers[name]).double() for name in ("in_x", "in_x_rec"))
    patch = int(numbers["hp_patch_size"])
    hidden = spread_cells(torch.from_numpy(numbers["in_mask"]).bool(), target.shape[-2:], patch)
    loss = losses.hidden_l1(painted, target, hidden)
    assert loss.item() == pytest.approx(float(numbers["out_loss"]), rel=1e-5)
    assert losses.hidden_l1(painted, target, hidden & False).item() == numbers["out_loss_empty_mask"]


def test_the_head_is_that_of_the_released_code(golden):
    numbers = golden("simmim.npz")
    weight = torch.from_numpy(numbers["in_dec_weight"]).double()
    head = PixelHead(weight.shape[1], int(numbers["hp_dec_stride"])).double()
    head.load_state_dict({"0.weight": weight, "0.bias": torch.from_numpy(numbers["in_dec_bias"]).double()})
    painted = head(torch.from_numpy(numbers["in_dec_z"]).double())
    assert np.allclose(painted.detach().numpy(), numbers["out_dec_image"], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "swinv2_cr_tiny_ns_224"])
def test_an_encoder_knows_nothing_of_what_is_hidden(name):
    torch.manual_seed(0)
    encoder = MaskedEncoder(Backbone(name)).eval()
    images = torch.rand(1, 3, 64, 64)
    hidden = torch.zeros(1, 2, 2, dtype=torch.bool)
    hidden[:, 0, 1] = True
    other = images.clone()
    other[:, :, :32, 32:] = torch.rand(3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoder(images, hidden, 32), encoder(other, hidden, 32))
        assert not torch.allclose(encoder(images, hidden, 32), encoder(images, ~hidden, 32))
        assert not torch.allclose(encoder(images, hidden & False, 32), encoder(other, hidden & False, 32))


def test_a_normalised_target_has_mean_0_and_deviation_1_in_its_window():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    found = losses.normalised_in_windows(images, 5)
    for y, x in ((4, 5), (0, 0), (8, 3)):  # inside, a corner, a border
        window = images[1, 2, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        expected = (images[1, 2, y, x] - window.mean()) / (window.var() + 1e-6).sqrt()
        assert found[1, 2, y, x].item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224", "vit_small_patch14_dinov2"])
def test_a_step_moves_every_part(name):
    task = make_task(SimMIMConfig(backbone=name, target_window=0))
    data = task.train_transform(batch())
    assert data.images.shape == (2, 3, 64, 96)
    loss, logs = task.loss(data, STEP)
    loss.backward()
    assert set(logs) == {"hidden_l1", "baseline_l1"}
    for part in (
        task.encoder.mask.token,
        task.head[0].weight,
        next(task.encoder.backbone.model.parameters()),
    ):
        assert part.grad is not None
        assert part.grad.abs().sum() > 0


def test_cells_are_whole_patches():
    assert make_task(SimMIMConfig(backbone="vit_tiny_patch16_224", cell=40)).cell == 48 - 16
    assert make_task(SimMIMConfig(backbone="test_resnet", cell=40)).cell == 40


def test_the_error_of_what_is_seen_does_not_count():
    torch.manual_seed(0)
    target, hidden = torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    hidden[..., :2] = True
    painted = target.clone()
    painted[..., 2:] += 7
    painted[..., :2] += 0.5
    assert losses.hidden_l1(painted, target, hidden).item() == pytest.approx(0.5, rel=1e-4)


def test_saved_names_and_pictures():
    task = make_task().eval()
    tensors = export_state(task)
    assert {name.split(".")[0] for name in tensors} == {"backbone", "mask", "painter"}
    other = make_task(seed=5)
    load_state(other, tensors, source="test")
    assert torch.equal(other.encoder.mask.token, task.encoder.mask.token)
    rows = task.pictures(batch())
    assert list(rows) == ["sample_00", "sample_01"]
    assert rows["sample_00"].dtype == np.uint8


def test_the_paper_preset_is_the_paper_s():
    assert PAPER.rate(2048) == pytest.approx(4e-4)
    assert PAPER.warmup(800) == 10
    assert [learning_rate_factor(e, 800, PAPER.schedule) for e in (0, 699, 700)] == [1, 1, 0.1]


@pytest.mark.parametrize("option", [{"hidden": 0.0}, {"target_window": 4}, {"cell": 0}, {"min_scale": 0.0}])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError):
        SimMIMConfig(**option)
