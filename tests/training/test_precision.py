"""fp16: the loss is scaled, steps whose gradients overflow are skipped, and that is no divergence."""

from __future__ import annotations

import json

import pytest
import torch
from fake_tasks import Crash, FakeTask, crash_at, read_batch, samples

from geopretrain.compute import resolve_precision
from geopretrain.errors import ConfigError, OptionError
from geopretrain.networks import Backbone
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.transfer.released import ReleasedSegmentation
from geopretrain.training.computing import precision_of
from geopretrain.training.diagnostics import TrainingDiverged
from geopretrain.training.fit import fit
from geopretrain.training.precision import precision_options
from geopretrain.training.settings import LoopSettings


class Overflowing(FakeTask):
    """Its gradient, and with ``loss_too`` its loss, is infinite at some calls of ``loss``."""

    def __init__(self, *calls, loss_too=False):
        super().__init__()
        self.calls, self.loss_too, self.weights = calls, loss_too, []

    def loss(self, batch, step):
        loss, logs = super().loss(batch, step)
        self.weights.append(self.net[0].weight.detach().clone())
        if len(self.trained_on) in self.calls:
            overflow = _Overflow.apply(self.net[0].weight).sum()
            loss = loss * float("inf") if self.loss_too else loss + overflow
        return loss, logs


class _Overflow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx, grad):
        return torch.full_like(grad, float("inf"))


def train(path, task, *, resume=False, read=read_batch, **changes):
    usual = {"steps": 8, "batch_size": 4, "lr": 1e-2, "checkpoint_every": 3, "log_every": 2, "device": "cpu"}
    run = RunFolder.create(path, config={"command": "pretrain"}, resume=resume)
    settings = LoopSettings(**{**usual, "precision": "fp16", **changes})
    fit(task, samples(read), settings, run, resume=resume)
    return task, run


def test_a_training_in_fp16_computes_in_it_and_resumes_bit_for_bit(tmp_path):
    class Watched(FakeTask):
        def loss(self, batch, step):
            self.seen = self.net[0](batch.images).dtype
            return super().loss(batch, step)

    whole, run = train(tmp_path / "whole", Watched(), clip_norm=1.0)
    assert whole.seen == torch.float16
    assert run.metrics("train")[0]["loss_scale"] == 65536.0
    with pytest.raises(Crash):
        train(tmp_path / "part", FakeTask(), clip_norm=1.0, read=crash_at(6))
    resumed, _ = train(tmp_path / "part", FakeTask(seed=9), clip_norm=1.0, resume=True)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("loss_too", [False, True], ids=["gradient", "loss"])
def test_a_skipped_step_changes_no_weights_and_is_no_divergence(tmp_path, loss_too):
    task, run = train(tmp_path / "run", Overflowing(3, loss_too=loss_too), steps=6)
    assert torch.equal(task.weights[2], task.weights[3]), "the third step was skipped"
    assert not torch.equal(task.weights[3], task.weights[4])
    assert run.metrics("stopped") == []
    assert [r["loss_scale"] for r in run.metrics("train")] == [65536.0, 32768.0, 32768.0]
    assert all(torch.isfinite(torch.tensor(r["loss"])) for r in run.metrics("train"))


def test_an_interval_in_which_all_was_skipped_leaves_valid_records(tmp_path):
    _, run = train(tmp_path / "run", Overflowing(3, 4, loss_too=True), steps=6)
    assert [r["step"] for r in run.metrics("train")] == [2, 6]
    assert "NaN" not in json.dumps(run.metrics())


def test_gradients_that_overflow_at_every_scale_are_one(tmp_path):
    with pytest.raises(TrainingDiverged, match="In fp16 the gradient is not a number any more"):
        train(tmp_path / "run", Overflowing(*range(1, 99)), steps=60)


def test_what_is_fastest_on_a_processor_is_chosen_by_the_kind_of_network(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    plain, depthwise = Backbone("test_resnet"), Backbone("test_efficientnet")
    assert precision_of("auto", "cpu", plain) == "bf16"
    assert precision_of("auto", "cpu", depthwise) == "fp32"
    assert precision_of("bf16", "cpu", depthwise) == "bf16", "what is asked for stays"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert precision_of("auto", "cpu", plain) == "fp32"


def test_where_fp16_is_not_possible():
    with pytest.raises(ConfigError, match="not possible on mps"):
        resolve_precision("fp16", "mps")
    task = ReleasedSegmentation.__new__(ReleasedSegmentation)
    settings = LoopSettings(steps=1, batch_size=1, lr=0.1, precision="fp16")
    with pytest.raises(OptionError, match="keeps those of the steps before"):
        precision_options(task, settings, "cpu")
