"""Supervised segmentation of another set as pre-training, and what it hands on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import geopretrain as gp
from geopretrain.data.augment.views import labelled_views
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.labelled.detect import open_labelled_source
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError
from geopretrain.losses.segmentation import segmentation_loss
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.tasks.pretext.segmentation import SupervisedSegmentation, SupervisedSegmentationConfig
from geopretrain.training.schedules import learning_rate_factor
from geopretrain.weights import parse_init, read_tensors

REAL = os.environ.get("GEOPRETRAIN_TEST_DATA")
OPTIONS = {"backbone": "test_resnet", "preset": "tiny", "device": "cpu", "progress": False, "size": (64, 64)}


def write_set(root, names=("left", "right"), count=8):
    """Write images whose halves are classes, told by the colour."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for i in range(count):
        border = 16 + 4 * i
        image = np.random.default_rng(i).integers(0, 60, (64, 64, 3), dtype=np.uint8)
        image[:, :border, 0] += 150
        labels = np.ones((64, 64), np.uint8)
        labels[:, :border] = 0
        Image.fromarray(image).save(root / "images" / f"{i}.png")
        Image.fromarray(labels).save(root / "labels" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(names))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("supervised")
    write_set(root / "other")
    gp.pretrain("segmentation", data=root / "other", out=root / "run", steps=25, lr=3e-3, **OPTIONS)
    return RunFolder.open(str(root / "run"))


def test_it_learns_and_says_how_well(run):
    validation = json.loads((run.path / "results.json").read_text())["validation"]
    assert validation["miou"] > 0.5
    assert set(validation) >= {"loss", "rank_me", "pixel_accuracy", "iou", "protocol", "samples"}
    assert run.lineage["task"]["class_names"] == ["left", "right"]
    task = load_task(run)
    assert isinstance(task, SupervisedSegmentation)
    assert task.predict(torch.rand(1, 3, 64, 64)).classes.shape == (1, 64, 64)


@pytest.mark.parametrize(("names", "keeps_head"), [(("left", "right"), True), (("cat", "dog"), False)])
def test_encoder_and_decoder_are_handed_on_and_the_last_layer_where_it_means_the_same(
    run, tmp_path, names, keeps_head
):
    write_set(tmp_path / "few", names=names)
    gp.finetune_segmentation(
        data=tmp_path / "few", init=run.path, out=tmp_path / "run", labels=2, steps=1, lr=1e-12, **OPTIONS
    )
    before, after = (
        read_tensors(path / "model.safetensors", strip=False) for path in (run.path, tmp_path / "run")
    )
    same = {name for name in before if torch.allclose(before[name], after[name], atol=1e-6)}
    assert any(name.startswith("backbone.") for name in same)
    assert any(name.startswith("decoder.stages.") for name in same)
    assert ("decoder.heads.0.weight" in same) == keeps_head


def test_windows_cut_images_and_labels_alike():
    torch.manual_seed(0)
    columns = torch.arange(64).expand(8, 64, 64)
    images = (columns * 4).to(torch.uint8)[:, None].repeat(1, 3, 1, 1)
    batch = LabelledBatch(images, columns.clone(), torch.arange(8))
    views = labelled_views(batch, scale=(0.25, 1.0))
    shown = views.images[:, 0] * 255 / 4
    assert (shown - views.labels).abs().amax() <= 1.01
    assert (views.labels[:, 0, 0] > views.labels[:, 0, -1]).any()  # some are mirrored
    assert (views.labels.amax((1, 2)) < 63).any()  # and some are parts


def test_the_loss_is_that_of_the_transfer():
    config = SupervisedSegmentationConfig(backbone="test_resnet", num_classes=3)
    task = SupervisedSegmentation.create(config, parse_init("random"))[0].eval()
    batch = LabelledBatch(
        torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        torch.randint(0, 3, (2, 64, 64)),
        torch.arange(2),
    )
    transformed = task.eval_transform(batch)
    with torch.no_grad():
        loss, _ = task.loss(transformed, None)
        expected = segmentation_loss(task.network(transformed.images), batch.labels)
    assert loss == expected


def test_labels_that_cannot_be_meant_are_refused(tmp_path):
    write_set(tmp_path / "other")
    for path in (tmp_path / "other" / "labels").iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    with pytest.raises(DataError, match="nothing else"):
        gp.pretrain("segmentation", data=tmp_path / "other", out=tmp_path / "run", **OPTIONS)


def test_a_damaged_image_is_left_out(tmp_path, caplog):
    write_set(tmp_path / "other", count=12)
    names = sorted((tmp_path / "other" / "images").iterdir())
    source = open_labelled_source(str(tmp_path / "other"))
    train = tmp_path / "other" / source.name("train", 0)
    assert train in names
    labels = tmp_path / "other" / "labels" / train.name
    labels.write_bytes(labels.read_bytes()[:60])
    gp.pretrain("segmentation", data=tmp_path / "other", out=tmp_path / "run", steps=1, **OPTIONS)
    assert any("left out" in record.message and train.name in record.message for record in caplog.records)


@pytest.mark.parametrize(("value", "expected"), [(0, "nothing but left"), (255, "ignored")])
def test_one_class_in_what_is_left_after_damage_is_refused(tmp_path, value, expected):
    write_set(tmp_path / "other", count=12)
    data = LabelledSet.open(tmp_path / "other", size=(64, 64))
    train = [tmp_path / "other" / "labels" / Path(name).name for name in data.names(data.splits()["train"])]
    for number, path in enumerate(train):
        Image.fromarray(np.full((64, 64), value, np.uint8)).save(path)
        if number < 2:  # nobody knows what is in these
            path.write_bytes(b"no image")
    with pytest.raises(DataError, match=expected):
        gp.pretrain("segmentation", data=tmp_path / "other", out=tmp_path / "run", **OPTIONS)


def test_a_damaged_image_does_not_hide_that_there_is_one_class(tmp_path):
    write_set(tmp_path / "other", count=12)
    labels = sorted((tmp_path / "other" / "labels").iterdir())
    for path in labels:
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    labels[3].write_bytes(b"no image")
    with pytest.raises(DataError, match="nothing else"):
        gp.pretrain("segmentation", data=tmp_path / "other", out=tmp_path / "run", **OPTIONS)


def test_ade20k_is_read_with_its_own_list_of_classes(tmp_path):
    write_set(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotations")
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tName\n1\t0.5\twall\n2\t0.4\tbuilding, edifice\n")
    source = open_labelled_source(str(tmp_path))
    assert source.class_names == ("wall", "building, edifice")
    assert set(np.unique(source.read("train", 0, (64, 64)).labels)) == {0, 255}
    (tmp_path / "objectInfo150.txt").write_text("Idx\tRatio\tName\nwall\n")
    with pytest.raises(DataError, match="line 2: 'wall' is no id"):
        open_labelled_source(str(tmp_path))


@pytest.mark.skipif(not REAL, reason="needs GEOPRETRAIN_TEST_DATA")
@pytest.mark.parametrize(("name", "classes"), [("coco_semantic", 129), ("ade20k", 150)])
def test_real_sets_are_read(name, classes):
    source = open_labelled_source(str(Path(str(REAL)) / name))
    assert len(source.class_names) == classes
    assert source.read("train", 0, (64, 64)).labels is not None


def test_the_rate_falls_as_deeplabs():
    assert learning_rate_factor(0, 100, "poly") == 1.0
    assert learning_rate_factor(50, 100, "poly") == pytest.approx(0.5**0.9)
