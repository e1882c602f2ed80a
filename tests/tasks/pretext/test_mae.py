"""Masked auto-encoding as a pre-training task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geopretrain import losses
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.networks.visible_tokens import PatchDecoder, VisibleTokens, random_order
from geopretrain.tasks.pretext.mae import MAE, PAPER, MAEConfig
from geopretrain.tasks.registry import task_class
from geopretrain.tasks.step import Step
from geopretrain.weights import export_state, load_state, parse_init

STEP = Step(0, 1)
SMALL = MAEConfig(backbone="vit_tiny_patch16_224", decoder_width=32, decoder_depth=1, decoder_heads=2)


def make_task(config=SMALL, seed=0) -> MAE:
    torch.manual_seed(seed)
    return MAE.create(config, parse_init("random"))[0]


def batch(count=2, size=(64, 96)) -> LabelledBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)
    return LabelledBatch(images, None, torch.arange(count))


def test_the_registry_knows_the_method():
    assert task_class("mae") is MAE


def test_patches_and_back():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 32, 48)
    patches = losses.patches_of(images, 16)
    assert patches.shape == (2, 6, 768)
    assert torch.equal(patches[1, 4].view(3, 16, 16), images[1, :, 16:, 16:32])
    assert torch.equal(losses.from_patches(patches, (2, 3)), images)
    normal = losses.normalised_patches(patches.double())
    assert torch.allclose(normal.mean(2), torch.zeros(2, 6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(normal.std(2), torch.ones(2, 6, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(losses.like_patches(normal, patches.double()), patches.double())


def test_all_patches_visible_give_the_features_of_timm_in_the_order_asked_for():
    torch.manual_seed(0)
    encoder = VisibleTokens(Backbone("vit_tiny_patch16_224")).eval()
    images, order = torch.rand(2, 3, 64, 96), random_order(2, (4, 6))
    with torch.no_grad():
        whole = encoder.backbone.model.forward_features(encoder.backbone.normalise(images))[:, 1:]
        found = encoder(images, order)
    assert torch.allclose(found, whole.gather(1, order[:, :, None].expand_as(whole)), atol=1e-5)


def test_what_is_hidden_is_neither_seen_nor_computed():
    torch.manual_seed(0)
    encoder = VisibleTokens(Backbone("vit_tiny_patch16_224")).eval()
    visible = torch.tensor([[0, 5, 7]])
    images = torch.rand(1, 3, 64, 96)
    other = torch.rand(1, 3, 64, 96)
    for patch in visible[0].tolist():
        row, column = 16 * (patch // 6), 16 * (patch % 6)
        other[..., row : row + 16, column : column + 16] = images[..., row : row + 16, column : column + 16]
    with torch.no_grad():
        found = encoder(images, visible)
        assert torch.equal(found, encoder(other, visible))
    assert found.shape[1] == 3


def test_the_decoder_puts_each_feature_at_its_place():
    torch.manual_seed(0)
    decoder = PatchDecoder(8, outputs=4, width=16, depth=0, heads=2)
    visible = torch.tensor([[3, 1]])
    features = torch.rand(1, 2, 8)
    swapped = decoder(features.flip(1), visible.flip(1), (2, 3))
    assert torch.allclose(decoder(features, visible, (2, 3)), swapped)
    changed = decoder(torch.cat([features[:, :1] + 1, features[:, 1:]], 1), visible, (2, 3))
    assert (changed - swapped).abs().sum(2).nonzero()[:, 1].tolist() == [3]


def test_the_loss_counts_hidden_patches_only():
    task = make_task(replace(SMALL, normalise_target=False)).eval()
    data = task.eval_transform(batch())
    images = data.images
    torch.manual_seed(3)
    loss, logs = task.loss(data, STEP)
    torch.manual_seed(3)
    painted, hidden = task.paint(images)
    assert hidden.sum(1).tolist() == [18.0, 18.0]  # of 24
    error = (painted - task.target(images)).square().mean(2)[hidden > 0].mean()
    assert loss.item() == pytest.approx(error.item(), rel=1e-5)
    assert logs["hidden_mse"].item() == loss.item()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch14_dinov2"])
def test_a_step_moves_every_part(name):
    task = make_task(replace(SMALL, backbone=name))
    loss, _ = task.loss(task.train_transform(batch()), STEP)
    loss.backward()
    for part in (task.encoder.backbone.model.blocks[0], task.decoder.mask, task.decoder.head):
        assert sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None) > 0


def test_saved_names_and_pictures():
    task = make_task().eval()
    tensors = export_state(task)
    assert {name.split(".")[0] for name in tensors} == {"backbone", "painter"}
    load_state(make_task(seed=5), tensors, source="test")
    rows = task.pictures(batch())
    assert list(rows) == ["sample_00", "sample_01"]
    assert rows["sample_00"].dtype == np.uint8


def test_the_paper_preset():
    assert PAPER.rate(4096) == pytest.approx(2.4e-3)
    assert PAPER.warmup(800) == 40


def test_other_backbones_are_told_what_to_use():
    with pytest.raises(ConfigError, match="simmim"):
        make_task(replace(SMALL, backbone="test_resnet"))


@pytest.mark.parametrize("option", [{"hidden": 1.0}, {"decoder_width": 30}, {"decoder_heads": 3}])
def test_impossible_options_are_refused(option):
    with pytest.raises(ConfigError):
        MAEConfig(**option)
