"""What the next methods need of the contract of a task, each proven by a tiny one."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fake_tasks import Crash, FakeConfig, FakeTask, crash_at, samples
from torch import nn
from torch.nn import functional as F

from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import IMAGES, Fields
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.base import DetectionTask, Task
from geopretrain.tasks.predictions import DetectionPrediction
from geopretrain.training.fit import fit
from geopretrain.training.optimisers import make_optimiser
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples


def train(path, task, data=None, *, resume=False, **changes):
    usual = {"steps": 8, "batch_size": 4, "lr": 1e-2, "checkpoint_every": 3, "log_every": 2}
    run = RunFolder.create(path, config={"command": "pretrain"}, resume=resume)
    settings = LoopSettings(**{**usual, "precision": "fp32", "device": "cpu", **changes})
    fit(task, data or samples(), settings, run, resume=resume)
    return task


def assert_same_state(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


class Plain(FakeTask):
    """Nothing random and no batch statistics: a function of the samples alone."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1))
        torch.manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    train_transform = FakeTask.eval_transform

    def loss(self, batch, step):
        return (self.net(batch.images) - batch.targets).square().mean(), {}


# ---- optimisers
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_each_optimiser_trains_and_resumes_bit_for_bit(tmp_path, name):
    changes = {"optimizer": name, "weight_decay": 0.01, "momentum": 0.8}
    whole = train(tmp_path / "whole", FakeTask(), **changes)
    with pytest.raises(Crash):
        train(tmp_path / "broken", FakeTask(), samples(crash_at(6)), **changes)
    assert_same_state(whole, train(tmp_path / "broken", FakeTask(seed=5), resume=True, **changes))


def test_optimisers_make_the_steps_of_their_definitions():
    start, gradient = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 1.0]])

    def after(name, steps=1, **group):
        parameter = nn.Parameter(start.clone())
        optimiser = make_optimiser(
            name, [{"params": [parameter], "lr": 0.1, **group}], torch.device("cpu"), 0.9
        )
        for _ in range(steps):
            parameter.grad = gradient.clone()
            optimiser.step()
        return parameter.detach()

    torch.testing.assert_close(after("sgd"), start - 0.1 * gradient)
    torch.testing.assert_close(after("sgd", 2), start - 0.1 * gradient - 0.1 * 1.9 * gradient)
    torch.testing.assert_close(after("adam"), start - 0.1 * gradient.sign(), atol=1e-6, rtol=1e-6)
    decayed = start * (1 - 0.1 * 0.2) - 0.1 * gradient.sign()
    torch.testing.assert_close(after("adamw", weight_decay=0.2), decayed, atol=1e-6, rtol=1e-6)


class WithBackbone(FakeTask):
    """A backbone with a head on it."""

    def __init__(self, name="test_vit"):
        super().__init__()
        self.encoder, self.head = Backbone(name), nn.Linear(3, 2)

    @property
    def weight_parts(self):
        return {"backbone.": "encoder.model.", "head.": "head."}


def test_weight_decay_spares_norms_biases_and_what_timm_names():
    task = WithBackbone()
    groups = task.parameter_groups(0.1, weight_decay=0.05)
    names = {id(p): name for name, p in task.named_parameters()}
    decays = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert set(decays) == set(dict(task.named_parameters()))
    for name, parameter in task.named_parameters():
        spared = parameter.ndim == 1 or name.endswith(("pos_embed", "cls_token"))
        assert decays[name] == (0.0 if spared else 0.05), name


def test_layer_decay_makes_lower_layers_slower():
    task = WithBackbone()
    groups = task.parameter_groups(0.1, layer_decay=0.5)
    names = {id(p): name for name, p in task.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    blocks = len(task.encoder.model.blocks)
    assert rates["head.weight"] == 0.1
    assert rates["encoder.model.patch_embed.proj.weight"] == pytest.approx(0.1 * 0.5 ** (blocks + 1))
    of_blocks = [rates[f"encoder.model.blocks.{i}.attn.qkv.weight"] for i in range(blocks)]
    assert of_blocks == pytest.approx([0.1 * 0.5 ** (blocks - i) for i in range(blocks)])


def test_without_decay_there_is_one_group_in_the_order_of_the_parameters():
    task = FakeTask()
    (group,) = task.parameter_groups(0.1)
    assert [id(p) for p in group["params"]] == [id(p) for p in task.parameters()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_clipped_to_their_common_norm(tmp_path, precision):
    norms = []

    class Watched(Plain):
        def after_step(self, step):
            norms.append(torch.cat([p.grad.flatten() for p in self.parameters()]).norm().item())

    train(tmp_path / "free", Watched(), precision=precision)
    free, norms[:] = list(norms), []
    train(tmp_path / "clipped", Watched(), clip_norm=0.05, precision=precision)
    assert max(free) > 0.06
    assert max(norms) <= 0.0501
    assert norms[0] == pytest.approx(0.05, rel=1e-3)


def test_accumulation_makes_the_same_steps_in_less_memory(tmp_path):
    whole = train(tmp_path / "whole", Plain(), optimizer="sgd", lr=0.1)
    parts = train(tmp_path / "parts", Plain(), optimizer="sgd", lr=0.1, accumulate=4)
    assert not torch.equal(whole.net[0].weight, Plain().net[0].weight)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, parts.state_dict()[name], atol=1e-6, rtol=1e-5)
    logged = [RunFolder.open(tmp_path / n).metrics("train")[-1]["loss"] for n in ("whole", "parts")]
    assert logged[0] == pytest.approx(logged[1], rel=1e-5)


def test_accumulation_resumes_bit_for_bit(tmp_path):
    whole = train(tmp_path / "whole", FakeTask(), accumulate=2)
    with pytest.raises(Crash):  # in the middle of a step
        train(tmp_path / "broken", FakeTask(), samples(crash_at(10)), accumulate=2)
    assert_same_state(whole, train(tmp_path / "broken", FakeTask(seed=5), resume=True, accumulate=2))


def test_parts_must_be_equal():
    with pytest.raises(ConfigError, match=r"accumulate must divide batch_size \(4\)"):
        LoopSettings(steps=1, batch_size=4, lr=0.1, accumulate=3)


# ---- state beside the weights
class MomentumContrast(Task):
    """Momentum encoder, queue and a counter of its own; the momentum rises with the step."""

    name, Config = "momentum", FakeConfig
    QUEUE = 6

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.config = FakeConfig()
        self.query = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(self.QUEUE, 4), dim=1))
        self.filled, self._keys = 0, None

    def train_transform(self, batch):
        images = batch.images.float() / 255
        return [images + 0.1 * torch.rand_like(images) for _ in range(2)]  # two views of each sample

    def eval_transform(self, batch):
        return [batch.images.float() / 255] * 2

    def loss(self, batch, step):
        first, second = batch
        queries = F.normalize(self.query(first), dim=1)
        with torch.no_grad():
            self._keys = F.normalize(self.key(second), dim=1)
        logits = torch.cat([(queries * self._keys).sum(1, keepdim=True), queries @ self.queue.T], 1)
        return F.cross_entropy(logits / 0.2, torch.zeros(len(queries), dtype=torch.long)), {}

    def after_step(self, step):
        momentum = 0.9 + 0.1 * step.progress
        for own, other in zip(self.key.parameters(), self.query.parameters(), strict=True):
            own.mul_(momentum).add_(other, alpha=1 - momentum)
        self.queue.copy_(torch.cat([self._keys, self.queue])[: self.QUEUE])
        self.filled += len(self._keys)

    def training_state(self):
        return {"filled": self.filled}

    def load_training_state(self, state):
        self.filled = state["filled"]


@pytest.mark.parametrize("crash", [2, 5, 8])
def test_a_momentum_encoder_and_a_queue_survive_an_interruption_bit_for_bit(tmp_path, crash):
    whole = train(tmp_path / "whole", MomentumContrast())
    with pytest.raises(Crash):
        train(tmp_path / "broken", MomentumContrast(), samples(crash_at(crash)))
    resumed = train(tmp_path / "broken", MomentumContrast(seed=crash < 5), resume=True)
    if crash < 5:  # nothing had been written yet: another start, another end
        assert not torch.equal(whole.queue, resumed.queue)
    else:
        assert_same_state(whole, resumed)
        assert whole.filled == resumed.filled == 32
    start = MomentumContrast()
    assert not torch.equal(whole.queue, start.queue)
    assert not torch.equal(whole.key[0].weight, start.key[0].weight)
    assert not torch.equal(whole.key[0].weight, whole.query[0].weight)


# ---- what a sample may have
class LabelledData:
    """Images with a class, boxes and masks."""

    def __len__(self):
        return 6

    def splits(self, fields=IMAGES):
        return {"train": np.arange(6)}

    def read(self, indices, fields):
        assert fields.names == ("image_labels", "boxes", "masks")
        count = len(indices)
        boxes = [torch.tensor([[0.0, 0.0, 4.0 + i, 4.0]]) for i in indices]
        masks = [torch.zeros(1, 8, 8, dtype=torch.bool) for _ in indices]
        return LabelledBatch(
            torch.full((count, 3, 8, 8), 100, dtype=torch.uint8),
            None,
            torch.as_tensor(np.asarray(indices)),
            image_labels=torch.as_tensor(np.asarray(indices)) % 2,
            boxes=tuple(boxes),
            box_labels=tuple(torch.ones(1, dtype=torch.long) for _ in indices),
            masks=tuple(masks),
        )


class Detector(DetectionTask):
    """Classifies the image and finds the width of its box."""

    name, Config = "detector", FakeConfig
    class_names = ("object",)
    class_colours = np.zeros((1, 3), np.uint8)
    required = Fields(names=("image_labels", "boxes", "masks"))

    def __init__(self):
        super().__init__()
        self.config = FakeConfig()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))

    def train_transform(self, batch):
        return batch

    eval_transform = train_transform

    def loss(self, batch, step):
        out = self.net(batch.images.float() / 255)
        widths = torch.stack([boxes[0, 2] for boxes in batch.required("boxes")])
        assert all(mask.dtype == torch.bool for mask in batch.required("masks"))
        classes = F.cross_entropy(out[:, :2], batch.required("image_labels"))
        return classes + (out[:, 2] - widths).abs().mean(), {"classes": classes.detach()}

    def predict(self, images):
        out = self.net(images)
        boxes = [torch.stack([w * 0, w * 0, w, w * 0 + 4])[None] for w in out[:, 2]]
        return DetectionPrediction(boxes, [o[:2].argmax()[None] for o in out], [torch.ones(1) for _ in out])


def test_image_level_labels_boxes_and_masks_reach_the_loss(tmp_path):
    data = Samples(LabelledData(), np.arange(6), Detector.required)
    task = train(tmp_path / "run", Detector(), data, steps=20)
    losses = [row["loss"] for row in RunFolder.open(tmp_path / "run").metrics("train")]
    assert losses[-1] < losses[0]
    assert task.predict(torch.zeros(2, 3, 8, 8)).boxes[0].shape == (1, 4)
