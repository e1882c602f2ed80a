"""Augmentation, weights of classes, rates and presets of the transfer."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

import geopretrain as gp
from geopretrain.config.saved import migrated
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.schema import plain
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_presets import PRESETS
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.weights import parse_init, save_weights

SMALL = "test_resnet"


def make(**options) -> Segmentation:
    torch.manual_seed(0)
    config = SegmentationConfig(**{"num_classes": 4, "backbone": SMALL, **options})
    return Segmentation.create(config, parse_init("random"))[0]


def coded(count=3, height=40, width=60) -> LabelledBatch:
    """Images whose red is the label (0 to 3) over 4, in blocks of 20 px."""
    rows, columns = torch.arange(height)[:, None] // 20, torch.arange(width) // 20
    labels = ((rows + columns) % 4).expand(count, -1, -1).clone()
    images = (labels[:, None].expand(-1, 3, -1, -1) * 60).to(torch.uint8)
    return LabelledBatch(images, labels, torch.arange(count))


@pytest.mark.parametrize(
    "options",
    [
        {"crop": "32x48"},
        {"crop": "32x48", "zoom": "0.5,2"},
        {"zoom": "0.6,1.5"},
        {"min_scale": 0.3},
        {"crop": "64x80"},
    ],
)
def test_images_and_labels_are_cut_alike(options):
    task, batch = make(**options), coded()
    seen = task.train_transform(batch)
    size = task.config.crop or (40, 60)
    assert seen.images.shape == (3, 3, *size)
    assert seen.labels.shape == (3, *size)
    told = (seen.images[:, 0] * 255 / 60).round().long()
    sure = seen.labels != 255
    same = (told == seen.labels)[sure].float().mean()
    assert same > 0.85  # borders of blocks are blends
    outside = seen.images.permute(0, 2, 3, 1)[~sure]
    assert torch.equal(outside, outside.new_tensor([0.45] * 3).expand_as(outside))
    again = task.train_transform(batch)
    assert not torch.equal(again.labels, seen.labels)


def test_a_crop_without_zoom_is_a_part_of_the_image():
    torch.manual_seed(3)
    batch = LabelledBatch(
        torch.randint(0, 255, (1, 3, 40, 60), dtype=torch.uint8),
        torch.zeros(1, 40, 60).long(),
        torch.tensor([0]),
    )
    seen = make(crop="40x60", flip=0.0).train_transform(batch)
    torch.testing.assert_close(seen.images, batch.images / 255, atol=1e-4, rtol=0)


def test_beyond_the_image_there_is_no_label():
    seen = make(crop="80x120", flip=0.0).train_transform(coded())
    assert (seen.labels != 255).sum((1, 2)).tolist() == [40 * 60] * 3


def test_jitter_changes_colours_only():
    plain, changed = make().eval_transform(coded()), make(jitter=0.5, flip=0.0).train_transform(coded())
    assert torch.equal(changed.labels, plain.labels)
    assert not torch.allclose(changed.images, plain.images)
    assert changed.images.min() >= 0
    assert changed.images.max() <= 1


def test_by_default_nothing_but_flips_happens():
    seen = make(flip=0.0).train_transform(coded())
    assert torch.equal(seen.images, coded().images / 255)


@pytest.mark.parametrize("mode", ["full", "frozen"])
def test_weights_of_classes_come_from_the_labels_that_are_learned_from(mode):
    task, batch = make(class_weights="balanced", mode=mode), coded()
    labels = torch.full_like(batch.labels, 255)
    labels[0, :10], labels[1, :30] = 0, 2  # 600 and 1800 of 2400 pixels
    task.prepare_training(iter([LabelledBatch(batch.images, labels, batch.index)]))
    assert task.class_weights.tolist() == pytest.approx([2400 / 1200, 0, 2400 / 3600, 0])
    again = make(class_weights="balanced")
    again.load_state_dict(task.state_dict())  # as a checkpoint does
    assert torch.equal(again.class_weights, task.class_weights)
    assert "class_weights" not in make().state_dict()


def test_settings_of_the_loss_change_it():
    batch = make().eval_transform(coded())
    losses = {
        name: make(**{name: value}).eval().loss(batch, Step(0, 1))[0].item()
        for name, value in (("flip", 0.5), ("ohem_fraction", 0.1), ("ohem_threshold", 0.2))
    }
    assert losses["ohem_fraction"] > losses["flip"]
    assert len(set(losses.values())) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crop": "8x8x8"}, "crop must be"),
        ({"zoom": "2,1"}, "two numbers LOW,HIGH"),
        ({"zoom": "-1,1"}, "zoom must be above 0"),
        ({"min_scale": 0}, "min_scale must be above 0"),
        ({"min_scale": 0.5, "crop": "64x64"}, "give one of them"),
        ({"ohem_fraction": 0}, "ohem_fraction must be above 0"),
        ({"class_weights": "inverse"}, "class_weights must be"),
        ({"jitter": 0.2, "as_released": True}, "knows no jitter"),
    ],
)
def test_impossible_settings_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        SegmentationConfig(num_classes=4, **options)


def test_presets_hold_settings_that_there_are():
    for preset in PRESETS.values():
        SegmentationConfig(num_classes=4, **preset.settings)


def test_the_paper_s_numbers():
    kitti, full, half = PRESETS["paper"], PRESETS["cityscapes"], PRESETS["cityscapes_controlled"]
    assert (kitti.steps, kitti.batch_size, kitti.lr, kitti.schedule) == (20_000, 16, 1e-5, "cosine")
    assert (full.steps, half.steps, full.batch_size, full.optimizer) == (60_000, 30_000, 8, "sgd")
    rates = {kind: full.of_init(kind).lr for kind in ("run", "file", "imagenet")}
    assert rates == {"run": 0.1, "file": 0.1, "imagenet": 0.01}
    config = SegmentationConfig(num_classes=19, **full.settings)
    assert (config.head, config.output_stride, config.crop) == ("deeplabv3", 16, (512, 512))
    assert (config.backbone_bn_momentum, config.head_bn_momentum) == (0.05, 0.0003)
    assert (PRESETS["nyu"].size, PRESETS["nyu"].lr, PRESETS["nyu"].optimizer) == ((384, 448), 1e-5, "adam")
    assert [learning_rate_factor(s, 4, "linear") for s in range(5)] == [1, 0.75, 0.5, 0.25, 0]


def test_a_preset_s_settings_and_size_are_those_of_the_run(tmp_path):
    run = gp.finetune_segmentation(
        data="synthetic:street",
        out=tmp_path / "run",
        preset="vit_linear",
        backbone="test_vit",
        settings={"crop": "64x64", "class_weights": "median"},
        ema=0.9,
        steps=2,
        batch_size=2,
        labels=2,
        size="64x96",
        device="cpu",
        threads=1,
        progress=False,
    )
    task = run.lineage["task"]
    assert (task["head"], task["crop"], task["zoom"]) == ("linear", [64, 64], [0.5, 2])
    assert run.config["optimizer"] == "adamw"
    assert run.config["settings"]["jitter"] == 0.5
    assert gp.load(run.path).task.config.zoom == (0.5, 2.0)
    with pytest.raises(RunFolderError, match="cannot be resumed: it has crop"):
        gp.finetune_segmentation(resume=run.path, settings={"crop": "32x32"}, steps=2, progress=False)


def test_the_rate_of_the_backbone_is_read_where_it_was_a_setting_of_the_task(tmp_path):
    task = make(flip=0.25)
    save_weights(task, tmp_path)
    lineage = {"method": "segmentation", "command": "finetune segmentation", "backbone": SMALL}
    lineage["task"] = plain({**asdict(task.config), "backbone_lr": 0.1})
    lineage["normalisation"] = task.backbone.normalisation
    (tmp_path / "lineage.json").write_text(json.dumps(lineage))
    assert load_task(RunFolder(tmp_path)).config == task.config
    saved = {"command": "finetune segmentation", "settings": {"backbone_lr": 0.1, "jitter": 0.2}}
    expected = {"command": "finetune segmentation", "settings": {"jitter": 0.2}, "backbone_lr": 0.1}
    assert migrated(saved) == expected
