"""Classes learned together with depth: one encoder, the sum of losses, the segmentation alone comes out."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from monodepth_worlds import clips

from geopretrain.data.batches import JointBatch, LabelledBatch
from geopretrain.tasks.pretext.depth_supervised import DepthSupervised, DepthSupervisedConfig
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.pretext.scdepth import SCDepth, SCDepthConfig
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.joint import JointSegmentation
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.weights import export_state, load_weights, parse_init, save_weights

SMALL, STEP = "test_resnet", Step(0, 1)
AUXILIARIES = {
    "monodepth": (Monodepth, MonodepthConfig(backbone=SMALL)),
    "shared": (Monodepth, MonodepthConfig(backbone=SMALL, shared_encoder_pose=True)),
    "scdepth": (SCDepth, SCDepthConfig(backbone=SMALL, pose_backbone=SMALL)),
    "depth_supervised": (DepthSupervised, DepthSupervisedConfig(backbone=SMALL)),
}


def segmentation(**options) -> Segmentation:
    torch.manual_seed(0)
    config = SegmentationConfig(num_classes=4, backbone=SMALL, **options)
    return Segmentation.create(config, parse_init("random"))[0]


def joint(name="monodepth", weight=0.5) -> JointSegmentation:
    main, (cls, config) = segmentation(), AUXILIARIES[name]
    return JointSegmentation(main, cls.create(config, parse_init("random"))[0], weight)


def batch() -> JointBatch:
    torch.manual_seed(1)
    images = torch.randint(0, 255, (2, 3, 64, 96), dtype=torch.uint8)
    labelled = LabelledBatch(images, torch.randint(0, 4, (2, 64, 96)), torch.arange(2))
    world = clips(count=2)
    return JointBatch(labelled, replace(world, stereo=None))


@pytest.mark.parametrize("name", AUXILIARIES)
def test_both_losses_reach_one_encoder(name):
    task, seen = joint(name).train(), batch()
    loss, logs = task.loss(task.eval_transform(seen), STEP)
    loss.backward()
    assert loss.item() == pytest.approx((logs["cross_entropy"] + 0.5 * logs["auxiliary_loss"]).item())
    assert not any(value.requires_grad for value in logs.values())
    gradient = task.main.encoder.model.conv1[0].weight.grad.clone()
    assert task.auxiliary.backbone is task.main.encoder is task.backbone

    task.clear_gradients()
    torch.manual_seed(0)
    alone = copy.deepcopy(task)
    (0.5 * alone.auxiliary.loss(alone.eval_transform(seen).frames, STEP)[0]).backward()
    of_depth = alone.main.encoder.model.conv1[0].weight.grad
    assert of_depth.abs().sum() > 0, "the auxiliary loss teaches the shared encoder"
    assert not torch.allclose(of_depth, gradient)


def test_every_parameter_is_trained_once():
    task = joint()
    (group,) = task.parameter_groups(0.1)
    assert len(group["params"]) == len({id(p) for p in group["params"]}) == len(list(task.parameters()))
    of_backbone = {id(p) for p in task.main.encoder.parameters()}
    rates = {id(p): one["lr"] for one in task.parameter_groups(0.1, layer_decay=0.5) for p in one["params"]}
    assert max(rates[at] for at in of_backbone) == pytest.approx(0.05), "the encoder is the one that decays"


def test_the_labelled_images_are_augmented_as_without_the_video():
    task, seen = joint(), batch()
    torch.manual_seed(5)
    together = task.train_transform(seen).labelled
    torch.manual_seed(5)
    alone = segmentation().train_transform(seen.labelled)
    assert torch.equal(together.images, alone.images)
    assert torch.equal(together.labels, alone.labels)


def test_to_others_it_is_the_segmentation(tmp_path):
    task, images = joint().eval(), torch.rand(2, 3, 64, 96)
    assert export_state(task).keys() == export_state(segmentation()).keys()
    save_weights(task, tmp_path)
    read = segmentation(mode="encoder").eval()
    load_weights(read, tmp_path)
    with torch.no_grad():
        assert torch.equal(read.predict(images).logits, task.predict(images).logits)
        assert task.predict_depth(images).disparity.shape == (2, 1, 64, 96)
    pictures = task.pictures(batch().labelled)
    alone = task.main.pictures(batch().labelled)
    assert pictures.keys() == alone.keys()
    assert pictures["sample_00"].shape[1] > alone["sample_00"].shape[1]


def test_what_either_finds_odd_is_said():
    task = joint()
    flat = {"cross_entropy": 1.0, "auxiliary_disparity_std": 0.0, "auxiliary_loss": 0.1}
    (said,) = task.diagnostics(flat, 500)
    assert said.startswith("monodepth: The depth map is flat")
    assert "cross_entropy" in task.diagnostics({"cross_entropy": float("nan")}, 500)[0]


def test_the_weight_is_that_of_the_loss_of_depth():
    losses = [joint(weight=w).eval() for w in (0.1, 1.0)]
    found = []
    for task in losses:
        torch.manual_seed(3)
        found.append(task.loss(task.eval_transform(batch()), STEP))
    (low, logs), (high, _) = found
    assert (high - low).item() == pytest.approx(0.9 * logs["auxiliary_loss"].item(), rel=1e-4)


class Counting(DepthSupervised):
    """Keeps a number of its own beside the weights."""

    seen = 0

    def after_step(self, step):
        self.seen += 1

    def training_state(self):
        return {"seen": self.seen}

    def load_training_state(self, state):
        self.seen = state["seen"]


def test_what_a_checkpoint_needs_is_that_of_both():
    assert joint().training_state() == {}

    def make():
        auxiliary = Counting.create(DepthSupervisedConfig(backbone=SMALL), parse_init("random"))[0]
        return JointSegmentation(segmentation(), auxiliary, 1.0)

    task, other = make(), make()
    task.after_step(STEP)
    other.load_training_state(task.training_state())
    assert other.auxiliary.seen == 1
