"""The same training in two modes: it is made once, and its numbers stand in both."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from geopretrain.config.several import Mode
from geopretrain.files import atomic_path, write_json
from geopretrain.study.inits import NamedInit
from geopretrain.study.trials import Trial

WITHOUT_DECODER = ("random", "imagenet")
"""Kinds of initialisations that hand over an encoder and nothing else."""


def same_mode(init: NamedInit, mode: Mode, modes: Sequence[Mode]) -> Mode | None:
    """Return the mode before this one in which the very same network is trained; None: there is none.

    ``full`` hands over a decoder and ``encoder`` does not, which is the same where there is none.
    """
    alike = [one for one in modes if one in ("full", "encoder")]
    return alike[0] if init.kind in WITHOUT_DECODER and mode in alike[1:] else None


def twins_in(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose training is that of another one among them, with the same learning rate."""
    rates = {trial.folder: trial.lr for trial in trials}
    return [trial for trial in trials if trial.like and rates.get(trial.like) == trial.lr]


def adopt(trial: Trial) -> bool:
    """Take numbers and predictions of the trial that is the same training; return whether there are any."""
    found = replace(trial, folder=trial.like, like="").outcome()
    if found is None:
        return False
    predictions = Path(f"{trial.like}.npz")
    if trial.pictures and predictions.is_file():
        with atomic_path(trial.predictions) as temporary:
            shutil.copyfile(predictions, temporary)
    write_json(trial.record, {**found, "mode": trial.mode, "seconds": 0.0})
    return True
