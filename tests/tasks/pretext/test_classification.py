"""Classification as pre-training: on folders and lists of images, good ones and odd ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import geopretrain as gp
from geopretrain.cli import main
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import ConfigError, DataError
from geopretrain.tasks.pretext.classification import Classification, ClassificationConfig
from geopretrain.tasks.step import Step
from geopretrain.weights import parse_init

NAMES = ("cat", "dog", "owl")
CONFIG = ClassificationConfig(backbone="test_resnet", class_names=NAMES)


def write_folder(root, classes=("cat", "dog"), count=6, size=(64, 64)):
    """Write images of which the class is told by the colour."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image = np.random.default_rng([number, i]).integers(0, 60, (*size, 3), dtype=np.uint8)
            image[..., number % 3] += 150
            Image.fromarray(image).save(root / name / f"{i}.png")
    return root


def batch(count=4) -> LabelledBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)
    return LabelledBatch(images, None, torch.arange(count), image_labels=torch.arange(count) % 3)


def make_task(config=CONFIG) -> Classification:
    torch.manual_seed(0)
    return Classification.create(config, parse_init("random"))[0]


def pretrain(data, out, **options):
    return gp.pretrain(
        "classification",
        data=data,
        out=out,
        backbone="test_resnet",
        preset="tiny",
        size=(64, 64),
        device="cpu",
        progress=False,
        **options,
    )


def test_the_loss_is_the_cross_entropy_with_smoothed_labels():
    task, data = make_task().eval(), batch()
    transformed = task.eval_transform(data)
    with torch.no_grad():
        loss, logs = task.loss(transformed, Step(0, 1))
        logits = task.classifier(task.encoder.embed(transformed.images))
    target = 0.1 / 3 + 0.9 * functional.one_hot(data.image_labels, 3)
    expected = -(target * torch.log_softmax(logits, 1)).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    assert logs["accuracy"] == (logits.argmax(1) == data.image_labels).float().mean()


def test_views_are_random_windows_in_other_colours_and_keep_their_class():
    task, data = make_task(), batch()
    torch.manual_seed(3)
    first, again = task.train_transform(data), task.train_transform(data)
    assert first.images.shape == data.images.shape
    assert not torch.equal(first.images, again.images)
    assert torch.equal(first.image_labels, data.image_labels)
    plain = make_task(replace(CONFIG, min_scale=1.0, colours=0.0, flip=0.0)).train_transform(data)
    assert plain.images.amin() >= 0
    assert plain.images.amax() <= 1


def test_validation_counts_by_torchmetrics():
    task = make_task(replace(CONFIG, class_names=tuple("abcdefgh"))).eval()
    data = replace(batch(8), image_labels=torch.arange(8))
    validation = task.validation(0)
    with torch.no_grad():
        validation.update(data)
        scores = task.logits(task.eval_transform(data).images)
    found = validation.compute()
    assert found["top1"] == pytest.approx((scores.argmax(1) == data.image_labels).float().mean().item())
    top5 = (scores.topk(5, 1).indices == data.image_labels[:, None]).any(1).float().mean().item()
    assert found["top5"] == pytest.approx(top5)
    assert found["samples"] == 8
    assert found["rank_me"] > 1
    assert "top5" not in make_task().validation(0).compute()


@pytest.mark.parametrize("options", [{"smoothing": 1.0}, {"min_scale": 0.0}, {"colours": 2.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError):
        ClassificationConfig(**options)


def test_a_run_learns_the_classes_and_hands_on_its_backbone(tmp_path):
    run = pretrain(write_folder(tmp_path / "images", count=10), tmp_path / "run", steps=30, lr=3e-3)
    lineage = json.loads((run.path / "lineage.json").read_text())
    assert lineage["task"]["class_names"] == ["cat", "dog"]
    validation = json.loads((run.path / "results.json").read_text())["validation"]
    assert validation["top1"] == 1.0
    assert "top-1" in validation["protocol"]
    again = pretrain(tmp_path / "images", tmp_path / "again", init=run.path, steps=1)
    assert again.metrics("train")[0]["loss"] < run.metrics("train")[0]["loss"]
    assert (run.path / "backbone.safetensors").is_file()


def test_unreadable_images_are_named_left_out_and_counted(tmp_path, capsys):
    write_folder(tmp_path / "images")
    (tmp_path / "images" / "empty").mkdir()
    (tmp_path / "images" / "cat" / "broken.png").write_bytes(b"no image")
    (tmp_path / "images" / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    command = [
        "pretrain",
        "classification",
        "--data",
        f"{tmp_path / 'images'}",
        "--out",
        f"{tmp_path / 'run'}",
    ]
    options = ["--backbone", "test_resnet", "--preset", "tiny", "--steps", "1", "--size", "64x64"]
    assert main([*command, *options, "--device", "cpu"]) == 3
    said = capsys.readouterr().out
    assert "broken.png" in said
    assert "gone.png" in said
    assert "2 images cannot be used and are left out" in said
    assert "2 classes" in said
    assert "no image lies in empty" in said


def test_classes_are_counted_on_the_images_that_can_be_used(tmp_path, caplog):
    root = write_folder(tmp_path / "images", classes=("cat", "dog", "owl"))
    damage(root / "dog")
    pretrain(root, tmp_path / "run", steps=1)
    assert any("hold no image of dog" in record.message for record in caplog.records)
    damage(root / "owl")
    with pytest.raises(DataError, match=r"all of one class, 'cat'.* No image of dog or owl that can be used"):
        pretrain(root, tmp_path / "again", steps=1)
    assert not (tmp_path / "again").exists()


def damage(folder):
    for path in folder.iterdir():
        path.write_bytes(b"no image")


def test_a_subset_of_one_class_is_refused(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(DataError, match="two at least are needed"):
        pretrain(tmp_path, tmp_path / "run", steps=1, subset=0.01)


def test_classes_of_readers_that_do_not_know_them_beforehand_are_read(tmp_path, monkeypatch):
    data = LabelledSet.open(f"images:{write_folder(tmp_path)}", size=(64, 64))
    known = data.image_classes(range(len(data)))
    assert set(known) == {0, 1}
    monkeypatch.setattr(type(data.source), "image_classes", lambda self, split: None)
    np.testing.assert_array_equal(data.image_classes(range(len(data))), known)


def test_a_folder_of_nothing_but_damage_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"{i}.png").write_bytes(b"x")
    with pytest.raises(DataError, match="no readable image"):
        pretrain(tmp_path, tmp_path / "run")


def test_folders_that_tell_no_classes_apart_are_refused_with_the_reason(tmp_path):
    write_folder(tmp_path / "one", classes=("cat",))
    with pytest.raises(DataError, match=r"all images lie in one sub-folder, 'cat', and two classes"):
        pretrain(tmp_path / "one", tmp_path / "run")
    write_folder(tmp_path / "deep" / "images")
    with pytest.raises(DataError, match=r"if its 2 folders are the classes, give .*deep/images"):
        pretrain(tmp_path / "deep", tmp_path / "run")
    write_folder(tmp_path / "mixed")
    Image.new("RGB", (64, 64)).save(tmp_path / "mixed" / "loose.png")
    with pytest.raises(DataError, match=r"1 of the 13 images have no class \(loose.png"):
        pretrain(tmp_path / "mixed", tmp_path / "run")
    write_folder(tmp_path / "more" / "train")
    write_folder(tmp_path / "more" / "val", classes=("cat", "owl"))
    with pytest.raises(DataError, match="'owl' occurs in val, but has no image in train"):
        pretrain(tmp_path / "more", tmp_path / "run")


def test_class_maps_are_no_classes_of_images(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for i in range(5):
            Image.new("L", (64, 64)).save(tmp_path / folder / f"{i}.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="no class of each image, but class maps"):
        pretrain(tmp_path, tmp_path / "run")


def test_chance_is_told():
    task = make_task()
    assert "chance" in task.diagnostics({"accuracy": 0.3}, 500)[0]
    assert task.diagnostics({"accuracy": 0.3}, 5) == []
    assert task.diagnostics({"accuracy": 0.9}, 500) == []


def test_pictures_say_the_class():
    assert list(make_task().eval().pictures(batch(2))) == ["sample_00", "sample_01"]
