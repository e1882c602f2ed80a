"""A step in which loss or gradients stop being numbers is kept as it was before its update, and replayed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_tasks import FakeBatch, FakeTask
from torch import nn

import geopretrain
from geopretrain import cli
from geopretrain.data.batches import LabelledBatch
from geopretrain.errors import RunFolderError
from geopretrain.runs.folder import CAPTURED, RunFolder
from geopretrain.training.capture import Captured, Guard, captured_step
from geopretrain.training.diagnostics import TrainingDiverged
from geopretrain.training.optimisers import make_optimiser
from geopretrain.training.replay import ModuleRow, Replay, watched_step

NAN = float("nan")


# ---- before the update
def updates(guard, gradients, name="adam"):
    """Return the weight after each of the updates."""
    weight, seen = nn.Parameter(torch.ones(2)), []
    optimizer = make_optimiser(name, [{"params": [weight], "lr": 0.1}], torch.device("cpu"))
    for step, gradient in enumerate(gradients):
        weight.grad = torch.tensor([1.0, gradient])
        guard.before_update(optimizer, step)
        optimizer.step()
        seen.append(weight.detach().clone())
    return seen


class Stopped(Exception):
    pass


def stop(step):
    raise Stopped(step)


@pytest.mark.parametrize("bad", [NAN, float("inf"), -float("inf")])
def test_nothing_is_moved_by_what_is_no_number(bad):
    with pytest.raises(Stopped) as error:
        updates(Guard(stop, waits=True), [1.0, bad])
    assert error.value.args == (1,)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_where_nobody_waits_the_weights_stand_still_from_the_bad_step_on(name):
    guard = Guard(stop, waits=False)
    assert guard.bad_step() is None
    seen = updates(guard, [1.0, 2.0, NAN, 1.0, 1.0], name)
    assert guard.bad_step() == 2
    assert not torch.equal(seen[0], seen[1])
    assert all(torch.equal(later, seen[1]) for later in seen[2:])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("waits", [True, False])
def test_good_steps_are_bit_for_bit_those_without(name, waits):
    class Nobody:
        def before_update(self, optimizer, step):
            pass

    gradients = [0.3, -2.0, 1e20, 1e-20, 5.0]
    with_guard = updates(Guard(stop, waits=waits), gradients, name)
    assert all(map(torch.equal, with_guard, updates(Nobody(), gradients, name)))


# ---- looking into a step
class Net(FakeTask):
    def __init__(self, middle):
        super().__init__()
        self.net = nn.ModuleDict({"first": nn.Linear(3, 4), "middle": middle, "last": nn.Linear(4, 1)})

    train_transform = staticmethod(lambda batch: batch)

    def loss(self, batch, step):
        torch.rand(1)
        return self.net["last"](self.net["middle"](self.net["first"](batch.images))).mean(), {}


class Does(nn.Module):
    def __init__(self, work):
        super().__init__()
        self.work = work

    def forward(self, x):
        return self.work(x)


def watched(work, change=lambda task: None, parts=1):
    task = Net(Does(work)).train()
    change(task)
    batch = FakeBatch(torch.rand(2, 3), torch.zeros(2))
    return watched_step(task, Captured(4, 9, 0, "fp32", {}, [batch] * parts, {}, {}))


def test_the_module_whose_output_is_no_number_first_is_named():
    found = watched(lambda x: x / (x - x))
    assert (found.step, found.first_forward) == (5, "net.middle")
    assert "net.middle (Does): its input is fine, its weights are numbers" in found.text()
    assert [row.name for row in found.rows.values()] == ["net.first", "net.middle", "net.last"]
    assert not found.rows["net.middle"].bad_input
    assert found.bad_gradients


def test_the_table_shows_the_modules_around_the_first_bad_number_or_the_largest():
    found = Replay(1, rows={f"m{i}": ModuleRow(f"m{i}", "Linear", output=float(i)) for i in range(40)})
    assert [row.name for row in found.shown()] == [f"m{i}" for i in range(28, 40)]
    assert "... and 28 modules more; these are the ones with the largest outputs." in found.table()
    found.first_forward = "m20"
    assert [row.name for row in found.shown()] == [f"m{i}" for i in range(16, 25)]
    assert "... and 31 modules more; these are the ones around the first bad number." in found.table()
    few = Replay(1, rows={"m": ModuleRow("m", "Linear")})
    assert "more" not in few.table()


def test_weights_that_were_none_before_are_told():
    def break_weight(task):
        with torch.no_grad():
            task.net["first"].weight[0, 0] = NAN

    found = watched(lambda x: x, break_weight)
    assert found.first_forward == "net.first"
    assert found.bad_weights == ["net.first.weight"]
    assert "Before it no number were: net.first.weight." in found.text()


def test_gradients_that_are_none_are_traced_to_where_they_begin():
    found = watched(lambda x: (x - x.detach()).sqrt(), parts=2)
    assert found.first_forward == ""
    assert found.losses == [found.losses[0]] * 2
    assert found.first_backward == "net.first"
    assert found.bad_gradients == ["net.first.weight", "net.first.bias"]
    assert "the first gradient that is no number appears at the output of net.first" in found.text()


def test_a_step_in_which_all_is_fine_says_so():
    found = watched(lambda x: x)
    assert "Every number is one here" in found.text()
    assert found.rows["net.middle"].gradient > 0


# ---- a run
@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """Return the run of a training whose second step overflows."""
    folder = tmp_path_factory.mktemp("diverged")
    with pytest.raises(TrainingDiverged) as error:
        geopretrain.pretrain(
            "depth_supervised", data="synthetic:street?frames=8&seed=1", size="64x96", out=folder / "run",
            backbone="test_resnet", steps=8, batch_size=2, lr=1e9, warmup_steps=0, precision="fp32",
            device="cpu", threads=1, progress=False, seed=3, accumulate=2, preset="tiny", validate_every=8,
        )  # fmt: skip
    return folder / "run", str(error.value)


def test_a_run_keeps_the_step_before_its_update(diverged):
    run, sentence = diverged
    kept = captured_step(RunFolder.open(run))
    assert f"at step {kept.step + 1};" in sentence
    assert f"geopretrain replay {run}" in sentence
    assert (kept.seed, kept.steps, len(kept.parts), len(kept.parts[0])) == (3, 8, 2, 1)
    assert all(torch.isfinite(v).all() for n, v in kept.state.items() if "running" not in n)
    assert RunFolder.open(run).metrics("stopped")[0]["sentence"] == sentence


def test_replay_finds_the_place(diverged, capsys):
    run, _ = diverged
    found = geopretrain.replay(run, device="cpu")
    assert found.step == captured_step(RunFolder.open(run)).step + 1
    assert found.first_forward or found.bad_gradients
    assert cli.main(["replay", str(run), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "largest output" in out
    assert f"Step {found.step} computed again" in out


def test_a_kept_step_that_cannot_be_read_is_refused(diverged, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "proof"), "w"))

    run = RunFolder.create(tmp_path / "run", config={"command": "pretrain"})
    with pytest.raises(RunFolderError, match="holds no step to replay"):
        captured_step(run)
    (run.path / CAPTURED).parent.mkdir()
    for content in (Evil(), {"step": 3}, [1]):
        torch.save(content, run.path / CAPTURED)
        with pytest.raises(RunFolderError, match="is damaged") as refused:
            captured_step(run)
        assert "weights_only" not in str(refused.value)  # no advice to read it unsafely
    assert not (tmp_path / "proof").exists()


def test_what_was_kept_goes_with_the_run(diverged):
    run, _ = diverged
    (run / "mine.txt").write_text("mine")
    RunFolder.create(run, config={"command": "pretrain"}, overwrite=True)
    assert not (run / "diverged").exists()
    assert (run / "mine.txt").exists()


def test_batches_of_any_known_kind_are_kept(tmp_path):
    from geopretrain.training.capture import _as_batch, _as_plain

    batch = LabelledBatch(torch.zeros(1, 3, 4, 4), None, torch.arange(1), boxes=(torch.zeros(2, 4),))
    torch.save(_as_plain(batch), tmp_path / "batch.pt")
    again = _as_batch(torch.load(tmp_path / "batch.pt", weights_only=True))
    assert np.array_equal(again.boxes[0], batch.boxes[0])
    assert again.labels is None
