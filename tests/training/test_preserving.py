"""What the first weights of a backbone know is kept while it learns something else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_tasks import Crash, FakeBatch, FakeTask, crash_at, read_batch, samples
from torch import nn

import geopretrain
from geopretrain.errors import OptionError
from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.presets import NOTHING_KEPT, Preset
from geopretrain.training.fit import fit
from geopretrain.training.preserving import Anchor, check_preserving, rated
from geopretrain.training.settings import LoopSettings

SIDE = 32
PIXELS = np.random.default_rng(5).integers(0, 255, (10, 3, SIDE, SIDE), dtype=np.uint8)


def read(indices):
    return FakeBatch(torch.from_numpy(PIXELS[indices]), read_batch(indices).targets)


class Seeing(FakeTask):
    """Says a number for each image: a backbone and one layer."""

    def __init__(self):
        super().__init__()
        backbone = Backbone("test_resnet")
        self.net = nn.ModuleDict({"backbone": backbone, "head": nn.Conv2d(backbone.channels[-1], 1, 1)})
        self.losses = []

    @property
    def weight_parts(self):
        return {"backbone.": "net.backbone.model.", "head.": "net.head."}

    def loss(self, batch, step):
        told = self.net["head"](self.net["backbone"](batch.images)[-1])
        loss = (told - batch.targets[:, :, :1, :1]).square().mean()
        self.losses.append(loss.item())
        return loss, {}


def settings(**changes):
    usual = {"steps": 4, "batch_size": 4, "lr": 1e-2, "checkpoint_every": 2, "log_every": 1}
    usual |= {"optimizer": "sgd", "momentum": 0.0, "precision": "fp32", "device": "cpu"}
    return LoopSettings(**{**usual, **changes})


def trained(folder, *, read=read, resume=False, **changes):
    """Return the task before and after training, and its run."""
    before, task = Seeing(), Seeing()
    run = RunFolder.create(folder, config={"command": "pretrain"}, resume=resume)
    fit(task, samples(read), settings(**changes), run, resume=resume)
    return before, task, run


def parts(task):
    """Return weights and statistics of the backbone, and the weights of the head."""
    backbone, head = task.net["backbone"], task.net["head"]
    weights = torch.cat([p.detach().flatten() for p in backbone.parameters()])
    statistics = torch.cat([b.flatten() for name, b in backbone.named_buffers() if "running" in name])
    return weights, statistics, torch.cat([p.detach().flatten() for p in head.parameters()])


def moved(before, after):
    """Return which of these three have changed."""
    return [not torch.equal(a, b) for a, b in zip(parts(before), parts(after), strict=True)]


def test_the_backbone_learns_at_its_own_rate(tmp_path):
    before, usual, _ = trained(tmp_path / "usual", steps=1)
    _, slower, _ = trained(tmp_path / "slower", steps=1, backbone_lr=0.1)
    first, whole, tenth = (parts(one) for one in (before, usual, slower))
    torch.testing.assert_close(tenth[0] - first[0], 0.1 * (whole[0] - first[0]), rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(tenth[2], whole[2])
    groups = rated(usual.parameter_groups(1.0, 0.05), usual.backbone, 0.5)
    rates = {(group["of_backbone"], group["lr"]) for group in groups}
    assert rates == {(True, 0.5), (False, 1.0)}
    assert sum(len(group["params"]) for group in groups) == len(list(usual.parameters()))


def test_a_backbone_without_rate_stands_still_with_its_statistics(tmp_path):
    before, after, _ = trained(tmp_path / "run", backbone_lr=0, optimizer="adamw", weight_decay=0.1)
    assert moved(before, after) == [False, False, True]
    assert all(p.requires_grad for p in after.parameters()), "nothing holds it afterwards"


def test_it_may_stand_still_at_first(tmp_path):
    adam = {"optimizer": "adamw", "weight_decay": 0.1}
    before, waits, _ = trained(tmp_path / "waits", steps=3, backbone_from=2, **adam)
    assert moved(before, waits) == [True, True, True]
    with pytest.raises(Crash):
        trained(tmp_path / "run", read=lambda_read(crash_at(4)), backbone_from=2, **adam)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    half = Seeing()
    half.load_state_dict({n.removeprefix("task."): v for n, v in checkpoint["state_dict"].items()})
    assert moved(before, half) == [False, False, True]
    _, resumed, _ = trained(tmp_path / "run", resume=True, backbone_from=2, **adam)
    _, whole, _ = trained(tmp_path / "whole", backbone_from=2, **adam)
    assert moved(resumed, whole) == [False, False, False]


def lambda_read(failing):
    """Return a way of reading our images that fails where ``failing`` does."""

    def both(indices):
        failing(indices)
        return read(indices)

    return both


def test_statistics_may_stay_alone(tmp_path):
    before, after, _ = trained(tmp_path / "run", freeze_norms=True)
    assert moved(before, after) == [True, False, True]


def test_the_distance_of_features_is_that_of_its_definition(tmp_path):
    """While statistics stay the first distance is 0; that of other weights is computed by hand."""
    _, after, run = trained(tmp_path / "run", steps=2, freeze_norms=True, feature_distance=3.0)
    logged = [row["feature_distance"] for row in run.metrics("train")]
    assert logged[0] == 0
    losses = [row["loss"] for row in run.metrics("train")]
    assert losses == pytest.approx([own + 3 * far for own, far in zip(after.losses, logged, strict=True)])

    task = Seeing().train()
    anchor = Anchor(task, settings(feature_distance=3.0))
    images = torch.rand(2, 3, SIDE, SIDE)
    with anchor.holding(task.backbone):
        with torch.no_grad():
            for parameter in task.net["backbone"].parameters():
                parameter.mul_(1.1)
        anchor.before_forward(0)
        now = task.net["backbone"](images)[-1]
        loss, logs = anchor.loss()
        first = Seeing().eval().net["backbone"](images)[-1]
    assert logs["feature_distance"].item() == pytest.approx(((now - first).norm() / first.norm()).item())
    assert loss.item() == pytest.approx(3 * logs["feature_distance"].item())
    loss.backward()
    assert all(p.grad is not None for p in task.net["backbone"].model.conv1.parameters())
    anchor.before_forward(1)
    task.net["backbone"](images)
    assert anchor._seen == [], "nothing looks any more"


def test_a_heavier_distance_keeps_features_nearer(tmp_path):
    images = torch.from_numpy(PIXELS).float() / 255

    def far(weight):
        before, after, _ = trained(tmp_path / f"w{weight}", steps=12, lr=0.1, feature_distance=weight)
        with torch.no_grad():
            one, other = (task.eval().net["backbone"](images)[-1] for task in (before, after))
        return ((one - other).norm() / one.norm()).item()

    assert far(10.0) < 0.8 * far(0.0)


def test_the_pull_of_the_weights_is_that_of_its_definition():
    task = Seeing()
    anchor = Anchor(task, settings(l2_sp=0.5))
    with anchor.holding(task.backbone):
        with torch.no_grad():
            task.net["backbone"].model.conv1[0].weight[0, 0, 0, 0] += 2.0
        loss, logs = anchor.loss()
        loss.backward()
    assert loss.item() == pytest.approx(0.5 / 2 * 4.0) == logs["l2_sp"].item()
    gradient = task.net["backbone"].model.conv1[0].weight.grad
    assert gradient[0, 0, 0, 0].item() == pytest.approx(0.5 * 2.0)
    assert gradient.abs().sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("held", [{"feature_distance": 1.0}, {"l2_sp": 0.1}], ids=["features", "weights"])
def test_an_interrupted_run_goes_on_with_the_first_weights(tmp_path, held):
    with pytest.raises(Crash):
        trained(tmp_path / "run", read=lambda_read(crash_at(4)), **held)
    run = RunFolder.create(tmp_path / "run", config={"command": "pretrain"}, resume=True)
    other = Seeing()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)  # what the run began with is gone
    fit(other, samples(read), settings(**held), run, resume=True)
    _, whole, _ = trained(tmp_path / "whole", **held)
    assert moved(other, whole) == [False, False, False]


def test_where_there_is_nothing_to_keep_it_is_refused():
    task = Seeing()
    for name, value in (
        ("freeze_norms", True),
        ("feature_distance", 1.0),
        ("l2_sp", 1.0),
        ("backbone_from", 1),
    ):
        with pytest.raises(OptionError, match=f"{name} keeps what the first weights"):
            check_preserving(task, settings(**{name: value}), from_random=True)
        check_preserving(task, settings(**{name: value}), from_random=False)
    check_preserving(task, settings(backbone_lr=0.1), from_random=True)
    with pytest.raises(OptionError, match="backbone_lr keeps what the first weights"):
        check_preserving(task, settings(backbone_lr=0), from_random=True)
    for name in ("feature_distance", "l2_sp", "backbone_from"):
        with pytest.raises(OptionError, match=f"{name} is of a backbone that learns"):
            check_preserving(task, settings(backbone_lr=0, **{name: 1}), from_random=False)
    check_preserving(task, settings(backbone_lr=0, freeze_norms=True), from_random=False)
    task.net["backbone"].requires_grad_(False)
    with pytest.raises(OptionError, match="it stands still already"):
        check_preserving(task, settings(l2_sp=1.0), from_random=False)
    with pytest.raises(OptionError, match="backbone_from must be below the steps of the run"):
        settings(backbone_from=4)


def test_presets_keep_nothing_of_random_numbers():
    preset = Preset(feature_distance=1.0, backbone_lr=0.1, backbone_from=5, freeze_norms=True, l2_sp=0.1)
    assert preset.of_init("imagenet") == preset
    assert {name: getattr(preset.of_init("random"), name) for name in NOTHING_KEPT} == dict(NOTHING_KEPT)


def test_by_commands(tmp_path):
    """A method that shows no images to its backbone says so and leaves nothing; others keep it."""
    small = {"backbone": "test_vit", "batch_size": 2, "threads": 1, "precision": "fp32", "progress": False}
    small |= {"data": "synthetic:street?frames=10", "size": (64, 64), "steps": 2}
    first = geopretrain.pretrain("simmim", out=tmp_path / "first", **small)
    with pytest.raises(OptionError, match="feature_distance compares features of whole images"):
        geopretrain.pretrain("mae", out=tmp_path / "mae", init=first.path, feature_distance=1, **small)
    assert not (tmp_path / "mae").exists()
    run = geopretrain.pretrain(
        "monodepth", out=tmp_path / "depth", init=first.path, feature_distance=1, backbone_lr=0.5, **small
    )
    assert run.config["feature_distance"] == 1
    assert run.metrics("train")[-1]["feature_distance"] > 0
