"""From depth to semantics: what starts from where, what frozen means, what the released script does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import ConfigError, WeightsError
from geopretrain.losses.segmentation import segmentation_loss
from geopretrain.metrics.segmentation import as_released_kitti_labels
from geopretrain.networks import Backbone
from geopretrain.tasks.pretext.monodepth import Monodepth, MonodepthConfig
from geopretrain.tasks.registry import segmentation_class
from geopretrain.tasks.step import Pace, Step
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.weights import export_state, parse_init, save_weights

STEP = Step(0, 1)

SMALL = "mobilenetv3_small_050"
CLASSES = 4


def config(**options):
    return SegmentationConfig(**{"num_classes": CLASSES, "backbone": SMALL, **options})


def make_task(seed=0, **options) -> Segmentation:
    torch.manual_seed(seed)
    chosen = config(**options)
    return segmentation_class(chosen.as_released).create(chosen, parse_init("random"))[0]


def stripes(batch=2, height=64, width=96) -> LabelledBatch:
    labels = (torch.arange(width) * CLASSES // width).expand(batch, height, width).clone()
    images = torch.stack([labels / CLASSES, 1 - labels / CLASSES, torch.rand(batch, height, width)], 1)
    labels[:, :4] = 255
    return LabelledBatch(images, labels, torch.arange(batch))


def train(task: Segmentation, batch: LabelledBatch, steps: int, lr=1e-3) -> list[float]:
    """The loop as the engine runs it: gradients are cleared unless the task says otherwise."""
    optimiser = torch.optim.Adam(task.parameter_groups(lr))
    history = []
    task.train()
    for _ in range(steps):
        task.clear_gradients()
        loss, _ = task.loss(batch, STEP)
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    return history


def encoder_bytes(task: Segmentation) -> dict[str, bytes]:
    return {n: t.numpy().tobytes() for n, t in task.network.backbone.state_dict().items()}


@pytest.fixture(scope="module")
def depth_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    torch.manual_seed(7)
    task, _ = Monodepth.create(MonodepthConfig(backbone=SMALL), parse_init("random"))
    save_weights(task, folder)
    lineage = {
        "backbone": SMALL,
        "method": "monodepth",
        "normalisation": task.depth_net.backbone.normalisation,
    }
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return folder, export_state(task)


def test_training_learns_the_classes():
    task, batch = make_task(), stripes()
    history = train(task, batch, 30, lr=3e-3)
    assert history[-1] < 0.5 * history[0]
    with torch.no_grad():
        predicted = task.eval().predict(batch.images).classes
    assert predicted.dtype == torch.uint8
    assert predicted.shape == batch.labels.shape


def test_full_starts_encoder_and_decoder_from_depth_but_not_the_last_layer(depth_run):
    folder, donor = depth_run
    task, report = Segmentation.create(config(), parse_init(folder))
    state = export_state(task)
    for name in state:
        same = name in donor and donor[name].shape == state[name].shape
        assert same == (not name.startswith("decoder.heads."))
        assert not same or torch.equal(state[name], donor[name])
    assert report.reinitialised == ["decoder.heads.0.weight", "decoder.heads.0.bias"]
    reasons = dict(report.skipped)
    assert "shape" in reasons["decoder.heads.0.weight"]
    assert reasons["pose.decoder.out.weight"] == "no part of this task"


@pytest.mark.parametrize("mode", ["encoder", "frozen"])
def test_encoder_and_frozen_start_with_a_fresh_decoder(depth_run, mode):
    folder, donor = depth_run
    task, report = Segmentation.create(config(mode=mode), parse_init(folder))
    state = export_state(task)
    assert all(torch.equal(state[n], donor[n]) for n in state if n.startswith("backbone."))
    weights = [n for n in state if n.startswith("decoder.stages.") and n.endswith("weight")]
    assert not any(torch.equal(state[n], donor[n]) for n in weights)
    assert set(weights) <= set(report.reinitialised)
    assert f"mode '{mode}' starts with a fresh decoder" in report.summary()


def test_another_backbone_is_refused(depth_run):
    with pytest.raises(WeightsError, match="has the backbone"):
        Segmentation.create(config(backbone="resnet18"), parse_init(depth_run[0]))


def test_frozen_changes_no_byte_of_the_encoder():
    task, batch = make_task(mode="frozen"), stripes()
    before = encoder_bytes(task)
    decoder = task.network.decoder.stages[0].after.weight.clone()
    train(task, batch, 3, lr=0.1)
    task.eval()
    train(task, batch, 1, lr=0.1)
    assert encoder_bytes(task) == before
    assert not torch.equal(task.network.decoder.stages[0].after.weight, decoder)
    assert not any(p.requires_grad for p in task.network.backbone.parameters())
    trained = {id(p) for group in task.parameter_groups(0.1) for p in group["params"]}
    assert trained == {id(p) for p in task.network.decoder.parameters()}


@pytest.mark.parametrize("mode", ["full", "encoder"])
def test_the_other_modes_train_the_encoder_and_its_statistics(mode):
    task = make_task(mode=mode)
    before = encoder_bytes(task)
    train(task, stripes(), 1)
    after = encoder_bytes(task)
    assert after["model.conv_stem.weight"] != before["model.conv_stem.weight"]
    assert after["model.bn1.running_mean"] != before["model.bn1.running_mean"]


def test_d2_the_released_freeze_trains_weights_but_no_statistics():
    task = make_task(mode="frozen", as_released=True)
    before = encoder_bytes(task)
    train(task, stripes(), 1)
    after = encoder_bytes(task)
    assert after["model.conv_stem.weight"] != before["model.conv_stem.weight"]
    assert after["model.bn1.running_mean"] == before["model.bn1.running_mean"]


def test_d1_the_released_script_sums_gradients_over_all_steps():
    batch = stripes()
    batch = LabelledBatch(
        batch.images, batch.labels.clamp(min=1), batch.index
    )  # no class 0: same loss in both
    gradients = {}
    for released in (False, True):
        task = make_task(mode="full", as_released=released).eval()
        optimiser = torch.optim.SGD(task.parameter_groups(0.0))
        for _ in range(3):
            task.clear_gradients()
            task.loss(batch, STEP)[0].backward()
            optimiser.step()
        gradients[released] = task.network.decoder.heads["0"].weight.grad
    torch.testing.assert_close(gradients[True], 3 * gradients[False])


def test_as_released_the_rate_changes_once_per_pass_over_the_images():
    pace = Pace(samples=10, batch_size=4)  # 2.5 steps a pass
    assert [make_task().schedule_step(step, pace) for step in range(6)] == [0, 1, 2, 3, 4, 5]
    released = make_task(as_released=True)
    assert [released.schedule_step(step, pace) for step in range(6)] == [0, 0, 0, 3, 3, 5]


def test_as_released_gradients_outlive_an_interruption():
    task, again = make_task(as_released=True), make_task(as_released=True)
    train(task, stripes(), 2)
    again.load_training_state(task.training_state())
    kept = {name: p.grad for name, p in again.named_parameters()}
    assert all(torch.equal(kept[name], p.grad) for name, p in task.named_parameters() if p.grad is not None)
    assert make_task().training_state() == {}


def test_d5_the_released_script_does_not_flip():
    batch = stripes()
    as_read = LabelledBatch((batch.images * 255).to(torch.uint8), batch.labels, batch.index)
    flipped = make_task(flip=1.0).train_transform(as_read)
    kept = make_task(flip=1.0, as_released=True).train_transform(as_read)
    assert torch.equal(flipped.labels, batch.labels.flip(-1))
    assert torch.equal(kept.labels, batch.labels)
    assert kept.images.is_floating_point()


def test_the_released_script_never_learns_class_0():
    task, batch = make_task(as_released=True).eval(), stripes()
    only_zero = LabelledBatch(batch.images, torch.zeros_like(batch.labels), batch.index)
    assert task.loss(only_zero, STEP)[0].item() == 0
    assert make_task().eval().loss(only_zero, STEP)[0].item() > 0


def test_raw_ids_are_mapped_as_released(golden):
    arrays = golden("depth_to_semantic_kitti.npz")
    assert (as_released_kitti_labels(arrays["in_raw_label"]) == arrays["out_loaded_label"]).all()
    raw = torch.from_numpy(arrays["in_raw_label"]).long()
    learned = make_task(as_released=True, num_classes=34).learned_labels(raw)
    expected = torch.from_numpy(arrays["out_loaded_label"]).long()
    assert torch.equal(learned, expected.masked_fill(expected == 0, 255))


def test_loss_equals_the_released_one(golden):
    arrays = golden("depth_to_semantic_kitti.npz")
    logits = torch.from_numpy(arrays["in_scores"])
    labels = torch.from_numpy(arrays["in_scores_label"]).long()
    assert segmentation_loss(logits, labels, ignore=0).item() == pytest.approx(
        arrays["out_loss"].item(), rel=1e-5
    )


def test_loss_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.9], [0.25, 0.05], [0.25, 0.05]])).view(1, 3, 1, 2)
    loss = segmentation_loss(logits, torch.tensor([[[1, 255]]]))
    assert loss.item() == pytest.approx(-np.log(0.25))


def test_a_batch_without_labels_gives_zero_and_finite_gradients():
    task, batch = make_task(), stripes()
    loss, logs = task.loss(LabelledBatch(batch.images, torch.full_like(batch.labels, 255), batch.index), STEP)
    loss.backward()
    assert loss.item() == 0
    assert logs["pixel_accuracy"].item() == 0
    assert all(torch.isfinite(p.grad).all() for p in task.parameters() if p.grad is not None)


def test_accuracy_counts_labelled_pixels_only():
    task, batch = make_task().eval(), stripes()
    with torch.no_grad():
        labels = task.predict(batch.images).classes.long()
    labels[:, ::2] = 255
    _, logs = task.loss(LabelledBatch(batch.images, labels, batch.index), STEP)
    assert logs["pixel_accuracy"].item() == 1


def test_pictures_show_image_truth_and_prediction():
    task = make_task(class_colours=((9, 0, 0), (0, 9, 0), (0, 0, 9), (9, 9, 9))).eval()
    rows = task.pictures(stripes())
    assert list(rows) == ["sample_00", "sample_01"]
    truth = rows["sample_00"][-64:, 100:196]
    assert truth[0, 0].tolist() == [0, 0, 0]
    assert truth[10, 0].tolist() == [9, 0, 0]
    assert truth[10, -1].tolist() == [9, 9, 9]


def test_diagnostics_report_a_broken_loss():
    task = make_task()
    assert task.diagnostics({"cross_entropy": 0.5}, 10) == []
    assert (
        "Not a number in cross_entropy at step 10" in task.diagnostics({"cross_entropy": float("nan")}, 10)[0]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "frosen"}, "Did you mean 'frozen'"),
        ({"num_classes": 1}, "num_classes must be"),
        ({"num_classes": 300}, "num_classes must be"),
        ({"flip": 2}, "flip must be"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        config(**options)


def test_a_frozen_network_needs_no_gradient_in_the_encoder():
    task = Segmentation(config(mode="frozen"), Backbone(SMALL))
    task.loss(stripes(), STEP)[0].backward()
    assert all(p.grad is None for p in task.network.backbone.parameters())


def test_a_frozen_random_encoder_measures_its_statistics_once_and_then_stands_still():
    task = make_task(mode="frozen")
    untrained = encoder_bytes(task)
    batch = stripes(batch=12)
    parts = [LabelledBatch(images, None, torch.arange(len(images))) for images in batch.images.split(8)]
    task.prepare_training(parts)
    settled = encoder_bytes(task)
    assert settled != untrained
    learned = [n for n, _ in task.network.backbone.named_parameters()]
    assert all(settled[n] == untrained[n] for n in learned)
    first_norm = task.network.backbone.model.bn1
    first_map = task.network.backbone.model.conv_stem((batch.images - 0.45) / 0.225)
    parts = [first_map[:8], first_map[8:]]  # a plain average over batches of 8 and 4
    torch.testing.assert_close(first_norm.running_mean, sum(p.mean((0, 2, 3)) for p in parts) / 2)
    train(task, batch, steps=2)
    assert encoder_bytes(task) == settled
