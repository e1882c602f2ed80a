"""A backbone that becomes a detector: targets, modes, what starts from where, and that objects are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from object_sets import listed, rectangles

from geopretrain.data.dataset import Fields
from geopretrain.networks.batch_norm import recalibrate_batch_norm
from geopretrain.schema import plain
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.registry import TRANSFERS, task_class
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.detection import Detection, DetectionConfig, fitted_to, targets
from geopretrain.weights import export_state, parse_init, save_weights

STEP, SIZE = Step(0, 1), (64, 96)
BOTH = Fields(names=("boxes", "masks"))
SMALL = {"num_classes": 2, "anchor": 8, "channels": 16, "regions": 16}


def make_task(seed=0, init="random", **options):
    torch.manual_seed(seed)
    return Detection.create(DetectionConfig(**{**SMALL, **options}), parse_init(init))[0]


def world(count=8, seed=0):
    """Return images with one to three rectangles in them, red or blue."""
    random, images = np.random.default_rng(seed), []
    for number in range(count):
        corners = [
            (8 + 30 * k + random.integers(0, 6), random.integers(4, 30)) for k in range(1 + number % 3)
        ]
        boxes = [(x, y, x + random.integers(12, 22), y + random.integers(12, 30)) for x, y in corners]
        labels = random.integers(0, 2, len(boxes)).tolist()
        images.append(rectangles(boxes, SIZE, labels, seed=100 * seed + number))
    return images


def batch_of(images, masks=True):
    data = listed({"train": images, "val": [], "test": []}, size=SIZE, masks=masks)
    return data.read(range(len(images)), BOTH if masks else Fields(names=("boxes",)))


def steps(task, batch, count, lr=1e-3):
    optimiser = torch.optim.AdamW(task.parameter_groups(lr))
    history = []
    task.train()
    for number in range(count):
        torch.manual_seed(number)
        task.clear_gradients()
        loss, _ = task.loss(task.train_transform(batch), STEP)
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    return history


def test_targets_leave_out_crowds_slivers_and_masks_of_which_nothing_is_left():
    image = rectangles(
        [(4, 8, 20, 30), (30, 10, 60, 40), (70, 5, 70.4, 20), (80, 40, 90, 60)], SIZE, [1, 0, 0, 0]
    )
    image.masks[3] = False
    image.masks[3, 0, 0] = True
    batch = batch_of([replace(image, box_crowd=np.array([False, True, False, False])), rectangles([], SIZE)])
    batch.masks[0][-1] = False  # as after resizing
    first, empty = targets(batch, masks=True)
    assert first["boxes"].tolist() == [[4, 8, 20, 30]]
    assert first["labels"].tolist() == [1]
    assert first["masks"].shape == (1, *SIZE)
    assert empty["boxes"].shape == (0, 4)
    assert empty["masks"].shape == (0, *SIZE)
    assert len(targets(batch, masks=False)[0]["boxes"]) == 2


def test_sizes_of_anchors_and_heads_follow_the_images_and_what_is_given_stays():
    config = DetectionConfig(num_classes=3)
    small, large = fitted_to(config, (96, 320)), fitted_to(config, (800, 1333))
    assert (small.anchor, small.channels, small.regions) == (4, 64, 64)
    assert (large.anchor, large.channels, large.regions) == (32, 256, 512)
    assert fitted_to(config, (384, 640)).anchor == 16
    assert fitted_to(replace(config, anchor=5, channels=8, regions=9), (96, 320)) == replace(
        config, anchor=5, channels=8, regions=9
    )


def test_the_loss_falls_and_its_parts_are_told():
    task = make_task()
    task.prepare_training([batch_of(world(4))])
    history = steps(task, batch_of(world(4)), 12)
    assert np.mean(history[-3:]) < 0.6 * np.mean(history[:2])
    _, logs = task.loss(task.train_transform(batch_of(world(2))), STEP)
    assert set(logs) == {"objectness", "rpn_box_reg", "classifier", "box_reg", "mask"}


def test_a_flip_takes_the_boxes_and_masks_along():
    task = make_task(flip=1.0)
    batch = batch_of([rectangles([(4, 8, 20, 30)], SIZE)])
    flipped = task.train_transform(batch)
    assert flipped.boxes[0].tolist() == [[76, 8, 92, 30]]
    assert flipped.masks[0][0, 8:30, 76:92].all()
    assert (flipped.images[0, 0][flipped.masks[0][0]] > 0.8).all()


def encoder(task):
    return {name: tensor.clone() for name, tensor in task.network.backbone.state_dict().items()}


def test_frozen_changes_nothing_of_the_encoder_and_full_does():
    batch = batch_of(world(2))
    for mode in ("frozen", "full"):
        task = make_task(mode=mode)
        before = encoder(task)
        head = task.network.rpn.head.cls_logits.weight.clone()
        steps(task, batch, 2)
        same = all(torch.equal(tensor, before[name]) for name, tensor in encoder(task).items())
        assert same == (mode == "frozen")
        assert not torch.equal(task.network.rpn.head.cls_logits.weight, head)


def test_statistics_of_batch_norm_stand_still_unless_they_are_to_follow():
    batch = batch_of(world(2))
    for batch_norm in ("frozen", "trained"):
        task = make_task(batch_norm=batch_norm)
        before = task.backbone.model.bn1.running_mean.clone()
        steps(task, batch, 1)
        assert torch.equal(task.backbone.model.bn1.running_mean, before) == (batch_norm == "frozen")


def test_a_frozen_random_encoder_has_the_statistics_of_the_training_images():
    task, other = make_task(mode="frozen"), make_task(mode="full")
    batch = batch_of(world(3))
    task.prepare_training([batch])
    recalibrate_batch_norm(other.network.backbone, [batch.images.float() / 255])
    expected = encoder(other)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder(task).items())
    assert not task.network.backbone.training


def saved_run(path, task, classes=None):
    """Keep weights as a run does."""
    from dataclasses import asdict

    from geopretrain.files import write_json

    path.mkdir(parents=True)
    save_weights(task, path)
    told = None if classes is None else {"names": list(classes), "colours": [[0, 0, 0]] * len(classes)}
    write_json(
        path / "lineage.json",
        {
            "method": task.name,
            "task": plain(asdict(task.config)),
            "backbone": task.backbone.name,
            "normalisation": task.backbone.normalisation,
            "init": "random",
            "chain": [],
            "classes": told,
        },
    )
    return path


def test_a_depth_run_gives_its_encoder(tmp_path):
    torch.manual_seed(7)
    depth = Monodepth.create(MonodepthConfig(backbone="resnet18"), parse_init("random"))[0]
    run = saved_run(tmp_path / "depth", depth)
    task, report = Detection.create(DetectionConfig(**SMALL), parse_init(run))
    assert torch.equal(task.backbone.model.conv1.weight, depth.backbone.model.conv1.weight)
    assert any(name.startswith("pyramid.") for name in report.reinitialised)


def test_a_detector_of_the_same_classes_gives_everything_and_one_of_others_all_but_the_last_layers(tmp_path):
    before = make_task(seed=3, class_names=("a", "b"))
    run = saved_run(tmp_path / "objects", before, classes=("a", "b"))
    same = make_task(init=run, class_names=("a", "b"))
    state, expected = export_state(same), export_state(before)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    other = make_task(init=run, class_names=("a", "c"))
    assert torch.equal(other.network.heads.box_head.fc6.weight, before.network.heads.box_head.fc6.weight)
    last = "box_predictor.cls_score.weight"
    assert not torch.equal(other.network.heads.get_parameter(last), before.network.heads.get_parameter(last))
    fresh = make_task(init=run, class_names=("a", "b"), mode="encoder")
    assert torch.equal(fresh.backbone.model.conv1.weight, before.backbone.model.conv1.weight)
    name = "fpn.inner_blocks.0.0.weight"
    assert not torch.equal(
        fresh.network.pyramid.get_parameter(name), before.network.pyramid.get_parameter(name)
    )


def test_pictures_show_truth_and_findings():
    rows = make_task().eval().pictures(batch_of(world(3)))
    assert set(rows) == {"sample_00", "sample_01", "sample_02"}
    assert all(row.dtype == np.uint8 and row.shape[1] > 3 * SIZE[1] for row in rows.values())
    assert task_class("detection", TRANSFERS) is Detection


def test_boxes_alone_need_no_masks():
    task = make_task(masks=False)
    batch = batch_of(world(2), masks=False)
    assert task.required.names == ("boxes",)
    assert "mask" not in task.loss(task.train_transform(batch), STEP)[1]
    scores = task.eval().validation(0)
    with torch.no_grad():
        scores.update(batch)
    assert set(scores.compute()) == {"box_map", "box_map_50", "box_map_75", "box_ap"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_rectangles_are_found_on_images_that_were_not_learned_from(name):
    task = make_task(backbone=name, channels=32, regions=32)
    task.prepare_training([batch_of(world(12))])
    steps(task, batch_of(world(12)), 150)
    scores = task.eval().validation(0)
    with torch.no_grad():
        scores.update(batch_of(world(8, seed=1)))
    found = scores.compute()
    assert found["box_map_50"] > 0.6
    assert found["mask_map_50"] > 0.6
    assert set(found["box_ap"]) == {"0", "1"}
