from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from fake_tasks import Crash, FakeTask, crash_at, read_batch, samples

from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.runs.folder import RunFolder
from geopretrain.training.diagnostics import TrainingDiverged
from geopretrain.training.fit import fit
from geopretrain.training.settings import LoopSettings

CONFIG = {"command": "pretrain", "data": "fake"}


def settings(**changes):
    usual = {"steps": 12, "batch_size": 4, "lr": 1e-2, "schedule": "cosine", "warmup_steps": 2}
    usual |= {"checkpoint_every": 5, "log_every": 3, "precision": "fp32", "device": "cpu"}
    return LoopSettings(**(usual | changes))


def train(
    path, task=None, *, read=read_batch, resume=False, shown=None, validation=True, probe=None, **changes
):
    task = task or FakeTask()
    run = RunFolder.create(path, config=CONFIG, resume=resume)
    held_out = samples(positions=[3, 7]) if validation else None
    given = {"validation": held_out, "shown": shown, "probe": probe, "resume": resume}
    fit(task, samples(read), settings(**changes), run, **given)
    return task, run


def without_timing(run):
    return [{k: v for k, v in record.items() if k != "timing"} for record in run.metrics()]


def assert_same(first, second):
    (task, run), (other, other_run) = first, second
    for name, value in task.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert without_timing(run) == without_timing(other_run)


@pytest.mark.parametrize("crash", [1, 4, 8, 12])
@pytest.mark.parametrize(
    "changes", [{}, {"precision": "bf16"}, {"channels_last": False}], ids=["fp32", "bf16", "nchw"]
)
def test_resume_ends_as_if_nothing_had_happened(tmp_path, crash, changes):
    whole = train(tmp_path / "whole", **changes)
    with pytest.raises(Crash):
        train(tmp_path / "broken", read=crash_at(crash), **changes)
    assert_same(whole, train(tmp_path / "broken", resume=True, **changes))


def test_validating_changes_nothing_of_the_training(tmp_path):
    judged, _ = train(tmp_path / "judged", validate_every=1)
    alone, _ = train(tmp_path / "alone", validation=False)
    assert all(torch.equal(v, alone.state_dict()[n]) for n, v in judged.state_dict().items())


def test_the_loss_knows_the_step(tmp_path):
    task, _ = train(tmp_path / "run")
    assert [(step.index, step.total) for step in task.steps] == [(i, 12) for i in range(12)]
    assert task.steps[6].progress == 0.5


def test_resume_of_a_finished_training_gives_the_same_weights(tmp_path):
    first = train(tmp_path / "run")
    second = train(tmp_path / "run", FakeTask(seed=9), resume=True)
    assert_same(first, second)
    assert second[0].trained_on == []


def test_what_is_recorded(tmp_path):
    task, run = train(tmp_path / "run", shown=read_batch(np.arange(2)), validate_every=6)
    assert [r["step"] for r in run.metrics("train")] == [3, 6, 9, 12]
    assert [(r["step"], r["twice"]) for r in run.metrics("validation")] == [(6, 4.0), (12, 4.0)]
    assert [r["step"] for r in run.metrics("diagnostics")] == [6]  # said once although it stays true
    assert sorted(p.name for p in run.figures.iterdir()) == ["output_000006.png", "output_000012.png"]
    assert list((run.path / "tensorboard").glob("events.out.tfevents.*"))
    timing = run.metrics("train")[-1]["timing"]
    assert 0 <= timing["data_fraction"] <= 1
    assert timing["memory_gb"] > 0
    assert not task.training


def test_the_recorded_loss_is_the_mean_of_the_interval_and_the_rate_that_of_its_last_step(tmp_path):
    _, by_one = train(tmp_path / "one", log_every=1)
    _, by_three = train(tmp_path / "three", log_every=3)
    losses = [r["loss"] for r in by_one.metrics("train")]
    means = [r["loss"] for r in by_three.metrics("train")]
    assert means == pytest.approx([np.mean(losses[i : i + 3]) for i in (0, 3, 6, 9)], rel=1e-5)
    rates = [r["learning_rate"] for r in by_one.metrics("train")]
    assert rates[0] == pytest.approx(0.5e-2)  # first of two warm-up steps
    assert rates[6] == pytest.approx(0.5e-2)  # middle of the cosine


def test_a_task_may_read_the_schedule_at_another_step(tmp_path):
    class PerPass(FakeTask):
        def schedule_step(self, step, pace):
            return 0 if step * pace.batch_size < pace.samples else step

    _, run = train(tmp_path / "run", PerPass(), log_every=1, warmup_steps=0)  # 10 samples in 2.5 steps
    rates = [round(r["learning_rate"], 9) for r in run.metrics("train")]
    assert rates[0] == rates[1] == rates[2] == 1e-2
    assert rates[3] < 1e-2


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"step 8.*step 5") as error:
        train(tmp_path / "run", FakeTask(nan_at=8))
    run = RunFolder.open(tmp_path / "run")
    kept = torch.load(run.checkpoint, weights_only=True)
    assert kept["global_step"] == 5
    assert all(torch.isfinite(v).all() for v in kept["state_dict"].values())
    assert run.metrics("stopped")[0]["sentence"] == str(error.value)


def test_weights_that_are_no_numbers_never_reach_the_checkpoint(tmp_path):
    with pytest.raises(TrainingDiverged):  # the loss of step 10 is finite, its gradient is not
        train(tmp_path / "run", FakeTask(break_weights_at=10))
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 5


def test_a_damaged_checkpoint_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(Crash):
        train(tmp_path / "run", read=crash_at(8))
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(RunFolderError, match="damaged"):
        train(tmp_path / "run", resume=True)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "proof"), "w"))

    run = RunFolder.create(tmp_path / "run", config=CONFIG)
    torch.save({"global_step": 3, "evil": Evil()}, run.checkpoint)
    with pytest.raises(RunFolderError, match="damaged or not a checkpoint of ours"):
        train(tmp_path / "run", resume=True)
    assert not (tmp_path / "proof").exists()


def test_ctrl_c_finishes_the_step_and_can_be_resumed(tmp_path):
    import os
    import signal

    whole = train(tmp_path / "whole")
    count = 0

    def read(indices):
        nonlocal count
        count += 1
        if count == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return read_batch(indices)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", read=read)
    stopped_at = torch.load(tmp_path / "stopped/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert stopped_at in (6, 7)  # Lightning reads one batch ahead
    assert_same(whole, train(tmp_path / "stopped", resume=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"lr": -1.0}, "positive"),
        ({"schedule": "cosin"}, "'cosine'"),
        ({"precision": "fp8"}, "one of auto, fp32, bf16, fp16"),
        ({"warmup_steps": -1}, "at least 0"),
    ],
)
def test_impossible_options_are_named(changes, words):
    with pytest.raises(ConfigError, match=words):
        settings(**changes)


def test_metrics_are_plain_json(tmp_path):
    _, run = train(tmp_path / "run")
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert all(
        json.loads(line)["kind"] in ("train", "validation", "diagnostics", "warning") for line in lines
    )


def test_a_probe_is_fitted_before_the_first_step_too_and_changes_nothing(tmp_path):
    class Probe:
        def score(self, backbone):
            return {"probe_miou": float(torch.rand(()))}

    class WithBackbone(FakeTask):
        backbone = torch.nn.Identity()

    alone, _ = train(tmp_path / "alone")
    probed, run = train(tmp_path / "probed", WithBackbone(), probe=Probe(), validate_every=6)
    assert [(r["step"], "probe_miou" in r) for r in run.metrics("validation")] == [
        (0, True),
        (6, True),
        (12, True),
    ]
    assert all(torch.equal(v, alone.state_dict()[n]) for n, v in probed.state_dict().items())
