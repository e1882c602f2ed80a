"""Which weights a run hands on: the last ones, their moving average, or those of the best validation."""

from __future__ import annotations

import pytest
import torch
from fake_tasks import Crash, FakeTask, crash_at, read_batch, samples

from geopretrain.errors import OptionError
from geopretrain.ranks import Ranks
from geopretrain.runs.folder import RunFolder
from geopretrain.training.fit import fit
from geopretrain.training.monitoring import Monitor, is_lowest, kept_in_words
from geopretrain.training.recorder import Recorder
from geopretrain.training.settings import LoopSettings
from geopretrain.training.validate import validate


def settings(**changes):
    usual = {"steps": 12, "batch_size": 4, "lr": 1e-2, "checkpoint_every": 5, "log_every": 3}
    return LoopSettings(**{**usual, "precision": "fp32", "device": "cpu", **changes})


def train(path, task, read=read_batch, *, resume=False, **changes):
    run = RunFolder.create(path, config={"command": "pretrain"}, resume=resume)
    held_out = samples(positions=[3, 7])
    fit(task, samples(read), settings(**changes), run, validation=held_out, resume=resume)
    return task, run


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


# ---- the average
class Watched(FakeTask):
    def __init__(self):
        super().__init__()
        self.seen = []

    def after_step(self, step):
        self.seen.append({name: value.clone() for name, value in self.state_dict().items()})


def test_the_average_is_that_of_its_definition(tmp_path):
    task, run = train(tmp_path / "run", Watched(), ema=0.75)
    expected = task.seen[0]
    for weights in task.seen[1:]:
        for name, value in weights.items():
            floats = value.is_floating_point()
            expected[name] = 0.75 * expected[name] + 0.25 * value if floats else value
    for name, value in task.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    last = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert_same({f"task.{name}": value for name, value in task.seen[-1].items()}, last)


def test_averaging_does_not_change_the_training(tmp_path):
    with_it, alone = (train(tmp_path / str(ema), Watched(), ema=ema)[0] for ema in (0.9, None))
    for one, other in zip(with_it.seen, alone.seen, strict=True):
        assert_same(one, other)


def test_the_average_is_what_is_validated(tmp_path):
    task, run = train(tmp_path / "run", FakeTask(), ema=0.9, validate_every=4)
    assert run.metrics("validation")[-1]["error"] == validate(task, samples(positions=[3, 7]), 4, 0)["error"]


@pytest.mark.parametrize("crash", [4, 8, 12])
def test_a_resumed_average_is_the_same_bit_for_bit(tmp_path, crash):
    whole, _ = train(tmp_path / "whole", FakeTask(), ema=0.9)
    with pytest.raises(Crash):
        train(tmp_path / "broken", FakeTask(), crash_at(crash), ema=0.9)
    resumed, _ = train(tmp_path / "broken", FakeTask(), resume=True, ema=0.9)
    assert_same(whole.state_dict(), resumed.state_dict())
    again, _ = train(tmp_path / "broken", FakeTask(seed=8), resume=True, ema=0.9)
    assert_same(whole.state_dict(), again.state_dict())


# ---- the best
class Judged(FakeTask):
    """Its validations give one number after the other."""

    def __init__(self, *values, seed=0):
        super().__init__(seed)
        self.values, self.judged = values, []

    def validation(self, seed):
        task = self

        class Next:
            def update(self, batch):
                self.few = len(batch) == 2

            def compute(self):
                if not task.steps or task.steps[-1].index in [index for index, _ in task.judged]:
                    return {"score_loss": 0.0, "none": None, "samples": 2, "listed": [1]}
                weights = {name: value.clone() for name, value in task.state_dict().items()}
                task.judged.append((task.steps[-1].index, weights))
                return {"score_loss": task.values[task.steps[-1].index], "none": None}

        return Next()


def test_the_best_weights_are_handed_on(tmp_path):
    task = Judged(5.0, 3.0, 4.0, 3.0, 6.0)
    options = {"monitor": "validation/score_loss", "keep": "best", "validate_every": 1, "steps": 5}
    _, run = train(tmp_path / "run", task, **options)
    assert_same(task.state_dict(), task.judged[1][1])
    assert run.metrics("kept") == [{"kind": "kept", "step": 2}]
    assert run.kept_validation()["score_loss"] == 3.0
    again = Judged(seed=3)
    train(tmp_path / "run", again, resume=True, **options)
    assert_same(again.state_dict(), task.judged[1][1])


def test_patience_ends_a_training_and_is_kept_over_a_resume(tmp_path):
    options = {"monitor": "score_loss", "patience": 3, "validate_every": 1, "checkpoint_every": 1}
    values = (5.0, 3.0, 4.0, 3.5, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    task, run = train(tmp_path / "run", Judged(*values), **options)
    assert [r["step"] for r in run.metrics("validation")] == [1, 2, 3, 4, 5]
    assert torch.load(run.checkpoint, weights_only=True)["global_step"] == 5
    train(tmp_path / "run", other := Judged(*values, seed=2), resume=True, **options)
    assert other.trained_on == [], "it had ended"
    assert_same(task.state_dict(), other.state_dict())
    with pytest.raises(Crash):
        train(tmp_path / "broken", Judged(*values), crash_at(6), **options)
    resumed, run = train(tmp_path / "broken", Judged(*values, seed=4), resume=True, **options)
    assert [r["step"] for r in run.metrics("validation")] == [1, 2, 3, 4, 5]
    assert_same(task.state_dict(), resumed.state_dict())


def test_a_number_that_no_validation_gives_is_refused_before_the_first_step(tmp_path):
    task = FakeTask()
    with pytest.raises(OptionError, match=r"\(validation/twice, validation/error\).*Did you mean") as error:
        train(tmp_path / "run", task, monitor="validation/eror")
    assert error.value.name == "monitor"
    assert task.trained_on == []


def test_what_is_best_is_known_by_the_name_or_said():
    lower = ["loss", "abs_rel", "error", "depth/rmse", "score_loss", "epe"]
    assert all(is_lowest(name, "auto") for name in lower)
    assert not any(
        is_lowest(name, "auto") for name in ["miou", "pixel_accuracy", "rank_me", "d1", "lossless"]
    )
    assert is_lowest("miou", "lowest")
    assert not is_lowest("loss", "highest")


def test_what_is_no_number_is_never_best():
    monitor = Monitor(settings(monitor="miou", patience=2))
    assert [monitor.judge({"miou": v}, i) for i, v in enumerate((None, 0.2, float("nan"), 0.2))] == [
        *(False, True, False, False)
    ]
    assert monitor.exhausted
    assert (monitor.best, monitor.best_step) == (0.2, 1)


def test_patience_may_run_out_without_a_number():
    monitor = Monitor(settings(monitor="miou", patience=1))
    monitor.judge({"miou": None}, 1)
    assert monitor.exhausted
    assert monitor.in_words() == "none, for no validation gave validation/miou"


@pytest.mark.parametrize("rank", [0, 1])
def test_the_validations_of_the_first_process_decide(rank):
    ranks = Ranks()
    ranks.rank = rank
    recorder = Recorder(None, settings(monitor="miou", patience=1), None, None, None, ranks=ranks)
    recorder.monitor.judge({}, 1)
    assert recorder._ends_early() is (rank == 0)


def test_options_that_need_each_other():
    for wrong in ({"patience": 3}, {"keep": "best"}):
        with pytest.raises(OptionError, match="needs the number that decides: --monitor"):
            settings(**wrong)
    with pytest.raises(OptionError, match="whole network"):
        settings(ema=0.9, strategy="fsdp")
    assert kept_in_words(settings()) is None
    words = kept_in_words(settings(ema=0.999, keep="best", monitor="loss"))
    assert words == "moving average of the weights (decay 0.999), those of the best loss"
