"""The same training in two modes: it is made once, and its numbers stand in both."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from geopretrain.config.several import Mode
from geopretrain.files import atomic_path, write_json
from geopretrain.runs.folder import RunFolder
from geopretrain.study.inits import NamedInit
from geopretrain.study.trials import Trial

WITHOUT_DECODER = ("random", "imagenet")
"""Kinds of initialisations that hand over an encoder and nothing else."""
REASON = "an encoder is all that is handed over, so each was made once, and its numbers stand in both"


def other_mode(init: NamedInit, mode: Mode, modes: Sequence[Mode]) -> Mode | None:
    """Return the mode among those compared in which the very same network is trained; None: there is none.

    ``full`` hands over a decoder and ``encoder`` does not, which is the same where there is none.
    """
    alike: list[Mode] = [one for one in modes if one in ("full", "encoder")]
    if init.kind not in WITHOUT_DECODER or mode not in alike or len(alike) < 2:
        return None
    return alike[1 - alike.index(mode)]


def twins_in(trials: Sequence[Trial], finished: Collection[str]) -> list[Trial]:
    """Return the trials that take their numbers from another one, which has them or will be trained.

    Args:
        trials: all of them.
        finished: folders of those that have their numbers.
    """
    rates = {trial.folder: trial.lr for trial in trials}
    there, found = set(finished), list[Trial]()
    for trial in trials:
        if rates.get(trial.like) == trial.lr and trial.folder not in finished and trial.like in there:
            found.append(trial)
        there.add(trial.folder)
    return found


def adopt(trial: Trial) -> bool:
    """Take numbers and predictions of the trial that is the same training; return whether there are any."""
    found = replace(trial, folder=trial.like, like="").outcome()
    if found is None:
        return False
    predictions = Path(f"{trial.like}.npz")
    if trial.pictures and predictions.is_file():
        with atomic_path(trial.predictions) as temporary:
            shutil.copyfile(predictions, temporary)
    write_json(trial.record, {**found, "mode": trial.mode, "adopted": True})
    RunFolder(trial.folder).checkpoint.unlink(missing_ok=True)  # where an earlier version had begun it
    return True


def sentences_of(trials: Sequence[Trial]) -> list[str]:
    """Return a sentence about rows that are the same trainings; [] without such."""
    names = ", ".join(dict.fromkeys(trial.init for trial in trials if trial.like))
    return [f"Modes full and encoder are the same trainings for {names}: {REASON}."] if names else []
