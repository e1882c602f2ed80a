"""Numbers are written elsewhere, too: CSV, TensorBoard, services; and callbacks of a program are called."""

from __future__ import annotations

import csv

import pytest
from fake_tasks import FakeTask, samples
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import CSVLogger

import geopretrain
from geopretrain.config.options import PretrainOptions
from geopretrain.errors import ConfigError, OptionError
from geopretrain.runs.folder import RunFolder
from geopretrain.training import callbacks as given
from geopretrain.training import loggers
from geopretrain.training.fit import fit
from geopretrain.training.settings import LoopSettings


def train(path, *, resume=False, callbacks=(), **changes):
    usual = {"steps": 6, "batch_size": 4, "lr": 1e-2, "checkpoint_every": 2, "log_every": 2}
    run = RunFolder.create(path, config={"command": "pretrain"}, resume=resume)
    settings = LoopSettings(**{**usual, "precision": "fp32", "device": "cpu", **changes})
    held_out = samples(positions=[3, 7])
    fit(FakeTask(), samples(), settings, run, validation=held_out, callbacks=callbacks, resume=resume)
    return run


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_as_a_table(tmp_path):
    run = train(tmp_path / "run", loggers=("csv", "tensorboard"), schedule="constant", steps=4)
    losses = {
        int(row["step"]): float(row["train/loss"])
        for row in rows(run.path / "csv/metrics.csv")
        if row["train/loss"]
    }
    assert losses == pytest.approx({r["step"]: r["loss"] for r in run.metrics("train")})
    assert list((run.path / "tensorboard").glob("events.out.tfevents.*"))
    train(run.path, loggers=("csv",), schedule="constant", steps=6, resume=True)
    assert {int(row["step"]) for row in rows(run.path / "csv/from_step_000004/metrics.csv")} == {6}
    assert len(rows(run.path / "csv/metrics.csv")) > 0, "what was written before stays"
    (run.path / "csv/mine.txt").write_text("mine")
    RunFolder.create(run.path, config={"command": "pretrain"}, overwrite=True)
    assert [path.name for path in (run.path / "csv").iterdir()] == ["mine.txt"]


def test_nowhere_stands_alone():
    with pytest.raises(OptionError, match="loggers must be none alone, or names without it"):
        PretrainOptions("simmim", data="x", out="y", loggers="tensorboard,none")
    assert PretrainOptions("simmim", data="x", out="y", loggers="none").loggers == ("none",)


def test_nowhere_else(tmp_path):
    run = train(tmp_path / "run", loggers=("none",))
    assert not (run.path / "tensorboard").exists()
    assert not (run.path / "csv").exists()
    assert run.metrics("train")


def test_a_service_is_given_options_and_numbers(tmp_path, monkeypatch):
    class Service(CSVLogger):
        def __init__(self, **options):
            super().__init__(tmp_path / "service", name="", version="")
            self.options, made = options, made_of
            made.append(self)

        def log_hyperparams(self, params):
            self.told = params

    made_of = []
    monkeypatch.setattr(loggers, "WandbLogger", Service)
    monkeypatch.setattr(loggers, "MLFlowLogger", Service)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    train(tmp_path / "run", loggers=("wandb", "mlflow"))
    wandb, mlflow = made_of
    assert wandb.options == {"name": "run", "project": "geopretrain", "offline": True}
    assert mlflow.options == {"experiment_name": "geopretrain", "run_name": "run"}
    assert wandb.told == {"command": "pretrain"}
    assert rows(tmp_path / "service/metrics.csv")


def test_a_service_that_is_not_there_is_said_in_a_sentence(tmp_path, monkeypatch):
    def unreachable(**options):
        class Gone(CSVLogger):
            def log_hyperparams(self, params):
                raise OSError("api.wandb.ai cannot be reached.")

        return Gone(tmp_path / "gone", name="", version="")

    monkeypatch.setattr(loggers, "WandbLogger", unreachable)
    with pytest.raises(
        ConfigError, match=r"cannot be reached\. Log in with `wandb login`, .* WANDB_MODE=offline"
    ):
        train(tmp_path / "run", loggers=("wandb",))


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"mlflow: pip install 'geopretrain\[loggers\]'"):
        loggers.check_loggers(("csv", "mlflow"))
    with pytest.raises(OptionError, match="tensorboard"):
        PretrainOptions(data="d", out="o", loggers="tensorbord")


# ---- callbacks
class Counting(Callback):
    def __init__(self):
        self.steps, self.began = [], 0

    def on_train_start(self, trainer, pl_module):
        self.began += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append((trainer.global_step, float(outputs["loss"])))

    def state_dict(self):
        return {"count": len(self.steps)}

    def load_state_dict(self, state_dict):
        self.restored = state_dict["count"]


def test_callbacks_are_called_and_keep_their_state(tmp_path):
    first, second = Counting(), Counting()
    train(tmp_path / "run", callbacks=[first], schedule="constant", steps=4)
    assert [step for step, _ in first.steps] == [1, 2, 3, 4]
    train(tmp_path / "run", callbacks=[second], schedule="constant", steps=6, resume=True)
    assert [step for step, _ in second.steps] == [5, 6]
    assert second.restored == 4


def test_a_run_knows_its_callbacks_in_the_lineage_only(tmp_path):
    counting = Counting()
    run = geopretrain.pretrain(
        "depth_supervised", data="synthetic:street?frames=8&seed=1", size="64x96", out=tmp_path / "run",
        backbone="test_resnet", steps=2, batch_size=2, device="cpu", threads=1, progress=False,
        callbacks=[counting], checkpoint_activations=True,
    )  # fmt: skip
    assert counting.began == 1
    assert run.lineage["callbacks"] == [f"{Counting.__module__}.Counting"]
    assert "callbacks" not in run.config


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["no"], "must be Lightning callbacks, not str"),
        ([EarlyStopping("loss")], "cannot hold a EarlyStopping"),
    ],
)
def test_what_is_no_callback_is_refused(wrong, words, monkeypatch):
    monkeypatch.setattr(given, "objects", lambda name: wrong)
    with pytest.raises(OptionError, match=words):
        given.callbacks_of_program(LoopSettings(steps=1, batch_size=1, lr=0.1))


def test_other_processes_cannot_have_callbacks(monkeypatch):
    monkeypatch.setattr(given, "objects", lambda name: Counting())
    assert len(given.callbacks_of_program(LoopSettings(steps=1, batch_size=2, lr=0.1))) == 1
    with pytest.raises(OptionError, match="torchrun"):
        given.callbacks_of_program(LoopSettings(steps=1, batch_size=2, lr=0.1, devices=2))
