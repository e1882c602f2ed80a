"""Which runs, comparisons, recipes and maps of layers lie in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geopretrain.config.analysis_options import CKA, FEATURES
from geopretrain.config.saved import MARKER, migrated
from geopretrain.errors import RunFolderError, UserError
from geopretrain.folders import MARKER_FILE
from geopretrain.locks import holder
from geopretrain.manifest import BOOKS
from geopretrain.records import mapping, read_yaml
from geopretrain.runs.folder import RunFolder

State = Literal["finished", "training", "stopped", "failed", "damaged"]
DEEPEST = 6
"""Folders inside each other that are looked into."""
COMPARE, REPRODUCE = "compare", "reproduce"
TRAINS = ("pretrain", "finetune segmentation", "finetune depth", "finetune detection")
KNOWN = (COMPARE, REPRODUCE, CKA, FEATURES, *TRAINS)
_TRIALS = ("trials", "cells", "search", "slurm")
"""Folders in a comparison that belong to it."""
ODD = (
    UserError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What reading files ends in that others have damaged, or cut short."""
_ADVICE = "What is beside it is shown."


@dataclass(frozen=True)
class Found:
    """A folder that a command wrote.

    Attributes:
        path: of it.
        place: the same, as seen from the folder that was looked through; ``.`` is that folder itself.
        command: that wrote it; empty where its settings cannot be read.
        problem: why they cannot be, a sentence.
    """

    path: Path
    place: str
    command: str
    problem: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is a pre-training or a fine-tuning."""
        return self.command in TRAINS


@dataclass(frozen=True)
class Standing:
    """How far something is.

    Attributes:
        state: of it.
        words: what there is to say beside that; may be empty.
    """

    state: State
    words: str


def find(folder: Path, deep: int = DEEPEST) -> list[Found]:
    """Return what commands wrote in a folder and so ``deep`` below, by name; links are not followed."""
    return list(_inside(folder, folder, deep))


def _inside(folder: Path, top: Path, deep: int) -> Iterator[Found]:
    try:
        found = _look(folder, top)
    except OSError:  # a folder that others may not look into
        return
    if found is not None:
        yield found
    if deep == 0 or (found is not None and found.is_run):
        return
    left_out = _TRIALS if found is not None and found.command == COMPARE else ()
    try:
        inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:  # a folder that others may not read
        return
    for name in inside:
        if not name.startswith(".") and name not in left_out:
            yield from _inside(folder / name, top, deep - 1)


def _look(folder: Path, top: Path) -> Found | None:
    """Return what a command wrote into this very folder, None where it is none of ours."""
    file, place = folder / MARKER_FILE, folder.relative_to(top).as_posix()
    if not file.is_file():
        alone = (
            folder / "comparison.json"
        ).is_file()  # the numbers of a comparison, kept without its trainings
        return Found(folder, place, COMPARE) if alone else None
    try:
        content = mapping(read_yaml(file, error=RunFolderError, advice=_ADVICE))
    except RunFolderError as error:
        ours = (folder / BOOKS).is_dir() or (folder / "metrics.jsonl").is_file()
        return Found(folder, place, "", str(error)) if ours else None
    command = migrated(content).get("command") if MARKER in content else None
    return Found(folder, place, command) if command in KNOWN else None


def standing_of_run(run: RunFolder) -> Standing:
    """Return how far a pre-training or fine-tuning is (UserError where its files are damaged)."""
    step, total = _steps(run)
    if run.finished:
        return Standing("finished", f"after {run.trained_steps} steps")
    at = f"step {step} of {total}" if total else f"step {step}"
    if holder(run.path) is not None:
        return Standing("training", at)
    stopped = run.metrics("stopped")
    if stopped and stopped[-1]["step"] >= step:
        return Standing("failed", str(stopped[-1].get("sentence", "it diverged")))
    if not run.can_continue:
        return Standing("stopped", f"{at}, without a checkpoint; nothing trains it")
    return Standing("stopped", f"{at}; nothing trains it, --resume goes on")


def _steps(run: RunFolder) -> tuple[int, int]:
    total = run.config.get("steps")
    last = max((int(record["step"]) for record in run.metrics()), default=0)
    return last, total if isinstance(total, int) else 0


def damaged(error: BaseException) -> Standing:
    """Return the standing of what cannot be read, because of one of `ODD`."""
    if isinstance(error, UserError):
        return Standing("damaged", str(error))
    return Standing("damaged", f"Its files hold what they should not ({error!r}).")
