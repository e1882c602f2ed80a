"""One trial of a comparison: one initialisation, mode and seed, trained and scored in a run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from geopretrain.compute import fewer_threads_where_shared
from geopretrain.config.options import TrainCommandOptions
from geopretrain.config.several import Mode
from geopretrain.console import console
from geopretrain.errors import Diverged, RunFolderError, WeightsError
from geopretrain.files import atomic_path, write_json
from geopretrain.folders import owned
from geopretrain.records import Index, Real, Text, as_type, read_json_text
from geopretrain.schema import Device
from geopretrain.study import worker
from geopretrain.study.contests import contest_of
from geopretrain.study.inits import VARIED, weights_digest
from geopretrain.study.learning_rate import DIVERGED
from geopretrain.study.losses import KEY as LOSSES
from geopretrain.study.losses import losses_of

PATIENCE = 30.0
"""Seconds to wait for another process that trains the same trial."""


@dataclass(frozen=True)
class Trial:
    """What is trained; everything a worker process needs, in plain values.

    Attributes:
        folder: run folder of the trial.
        init: name of the initialisation in the comparison.
        source: what the initialisation is read from.
        mode: ``full``, ``encoder`` or ``frozen``.
        seed: fixes new layers, order and flips.
        lr: highest learning rate.
        evaluate_on: split that is scored.
        curve: steps after which to score.
        pictures: positions in the split that is scored to keep the predictions of.
        settings: what all trials share (data, labels, steps, ...), as options of the fine-tuning.
        weights: what the initialisation is recognised by, see ``NamedInit.identity``.
        task: what is compared on, see `geopretrain.study.contests`.
        drawn: which labelled images are learned from, in words; empty where all trials have the same.
        searching: it only chooses the learning rate.
        like: run folder of the trial that is the very same training in another mode; empty: there is none.
        keeps: the trained network stays; else what it scored alone.
    """

    folder: str
    init: str
    source: str
    mode: Mode
    seed: int
    lr: float
    evaluate_on: Literal["test", "val"]
    curve: tuple[int, ...]
    pictures: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    task: str = "segmentation"
    drawn: str = ""
    searching: bool = False
    like: str = ""
    keeps: bool = True

    @property
    def name(self) -> str:
        """How the trial is called on the screen and in errors."""
        rate = f", lr {self.lr:g}" if self.searching else ""
        drawn = f", {self.drawn}" if self.drawn else ""
        return f"{self.init}, {self.mode}{drawn}, seed {self.seed}{rate}"

    @property
    def runner(self) -> str:
        """What trains it."""
        return worker.RUNNER

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Trial:
        """Return the trial that was sent as JSON."""
        return cls(**{**content, "curve": tuple(content["curve"]), "pictures": tuple(content["pictures"])})

    @property
    def learned_from(self) -> dict[str, Any]:
        """Number of labels, and the seed that they are drawn with, or ``chosen``."""
        chosen = self.settings.get("label_list") is not None
        subset = self.settings.get("subset_seed", 0)
        return {"labels": self.settings.get("labels"), "subset": "chosen" if chosen else subset}

    @property
    def record(self) -> Path:
        """File beside the run folder that marks the trial as complete and holds its numbers."""
        return Path(f"{self.folder}.json")

    @property
    def predictions(self) -> Path:
        """File with what was predicted of the pictured test images."""
        return Path(f"{self.folder}.npz")

    def outcome(self) -> dict[str, Any] | None:
        """Return the numbers of a completed trial, None while there are none of its rate and weights.

        A damaged record counts as none, and that is said: the numbers are taken from the run once more.
        """
        if not self.record.is_file():
            return None
        advice = "Its numbers are taken from its run again."
        try:
            numbers = read_json_text(self.record, error=RunFolderError, advice=advice)
            shape = Left if DIVERGED in numbers else Outcome
            found = as_type(shape, numbers, self.record, error=RunFolderError, advice=advice)
        except RunFolderError as error:
            console.warn(str(error))
            return None
        same = found.lr == self.lr and found.weights in (None, self.weights)
        return {**numbers, **self.learned_from} if same and self._is_told(numbers) else None

    def _is_told(self, numbers: Mapping[str, Any]) -> bool:
        """Return whether a record has the scores of the task, or says of a rate that it is too high."""
        if DIVERGED in numbers:
            return self.searching
        return all(contest_of(self.task).measure.key in point for point in (numbers, *numbers["curve"]))

    def options(self, **more: Any) -> TrainCommandOptions:
        """Return what is trained, as options of the command that trains it."""
        return contest_of(self.task).options(self, more)


@dataclass(frozen=True)
class Outcome:
    """What the record of a finished trial holds, beside the scores of its task."""

    init: Text
    mode: Text
    seed: Index
    lr: Real
    curve: list[dict[str, Real | None]]
    seconds: Real
    run: Text
    weights: Text | None = None


@dataclass(frozen=True)
class Left:
    """What the record of a trial holds whose learning rate is too high, and which has no scores."""

    init: Text
    mode: Text
    seed: Index
    lr: Real
    diverged: Text
    weights: Text | None = None


def run_trial(trial: Trial, threads: int | None = None, device: Device = "auto") -> dict[str, Any]:
    """Train and score one trial, write its record and return it.

    An interrupted trial is continued from its checkpoint. That a training diverges is an answer where rates
    are searched: the record says so, and has no scores. Raises what ``train_segmentation`` raises, and
    WeightsError where the weights have changed since the comparison was planned.
    """
    # a process whose comparison was killed may still be about to end
    with owned(trial.folder, patience=PATIENCE):
        return _run_owned(trial, threads, device)


def _run_owned(trial: Trial, threads: int | None, device: Device) -> dict[str, Any]:
    from geopretrain.runs.folder import RunFolder
    from geopretrain.weights.runs import is_without_network, remove_networks

    there = RunFolder(trial.folder)
    begun = there.is_ours() and not is_without_network(there.path) and there.config.get("lr") == trial.lr
    if trial.weights and weights_digest(trial.source) not in ("", trial.weights.partition(VARIED)[0]):
        raise WeightsError(f"The weights in {trial.source} have changed while the comparison was running.")
    start = time.perf_counter()
    options = trial.options(threads=threads, device=device, resume=begun, overwrite=not begun)
    with console.showing(False), fewer_threads_where_shared():  # many runs side by side stay quiet
        numbers = _numbers(trial, options)
    outcome = {
        "init": trial.init,
        "mode": trial.mode,
        "seed": trial.seed,
        **trial.learned_from,
        "lr": trial.lr,
        "evaluate_on": trial.evaluate_on,
        **numbers,
        "seconds": round(time.perf_counter() - start, 1),
        "run": trial.folder,
        "weights": trial.weights,
    }
    write_json(trial.record, outcome)
    there.checkpoint.unlink(missing_ok=True)  # half of the space of hundreds of trials, and never read again
    if not trial.keeps:
        remove_networks(there.path)
    return outcome


def _numbers(trial: Trial, options: TrainCommandOptions) -> dict[str, Any]:
    """Train and score."""
    from geopretrain.runs.folder import CAPTURED, RunFolder

    contest = contest_of(trial.task)
    try:
        run = contest.train(options)
        numbers = contest.numbers(run, trial)
    except Diverged as error:
        if not trial.searching:
            raise
        (RunFolder(trial.folder).path / CAPTURED).unlink(missing_ok=True)
        return {DIVERGED: f"{str(error).partition(';')[0]}."}
    if trial.pictures:
        _keep_predictions(trial, contest.predictions(run, trial))
    return {**numbers, LOSSES: losses_of(run)}


def _keep_predictions(trial: Trial, kept: Mapping[str, np.ndarray]) -> None:
    with atomic_path(trial.predictions) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]
