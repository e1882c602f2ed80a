"""Runs the calls of a plan one after the other; what is finished is kept, what fails is named."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.errors import UserError
from geopretrain.files import writing
from geopretrain.recipes.commands import REDONE, function, options_class
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.plan import Measured, Plan, Step
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import given


def run_stages(plan: Plan, journal: Journal, *, overwrite: bool) -> list[str]:
    """Run what all rows share; return the names of the stages that were not finished before.

    Raises:
        UserError: a stage failed; the message says which, and how to go on.
    """
    ran = []
    for number, step in enumerate(plan.stages, 1):
        console.say(f"\n{number} of {len(plan.stages)}: {step.words} ({step.name})")
        try:
            if _run(step, journal, overwrite=overwrite):
                ran.append(step.name)
        except UserError as error:
            raise UserError(
                f"The stage {step.name} ({number} of {len(plan.stages)}, `geopretrain {step.command}`) "
                f"failed: {error} What is finished is kept in '{plan.out}': repeat the command to go on."
            ) from error
    return ran


def run_rows(plan: Plan, journal: Journal, *, overwrite: bool) -> list[dict[str, Any]]:
    """Train and score every row with every seed; return those that failed, with their errors.

    Raises:
        UserError: none succeeded.
    """
    failures: list[dict[str, Any]] = []
    for number, one in enumerate(plan.measured, 1):
        console.say(f"\nRow {number} of {len(plan.measured)}: {one.name} ({one.row.words})")
        try:
            for step in one.steps:
                _run(step, journal, overwrite=overwrite)
        except UserError as error:
            console.warn_left_out(f"FAILED {one.name}: {error}")
            failures.append({"row": one.row.name, "seed": one.seed, "error": str(error)})
    if failures and len(failures) == len(plan.measured):
        raise UserError(
            f"No row could be measured. The first error, of {plan.measured[0].name}: {failures[0]['error']} "
            f"What is finished is kept in '{plan.out}': repeat the command to go on."
        )
    return failures


def finished(measured: Sequence[Measured], journal: Journal) -> list[Measured]:
    """Return the rows and seeds whose steps are all finished."""
    return [one for one in measured if all(journal.has(step) for step in one.steps)]


def _run(step: Step, journal: Journal, *, overwrite: bool) -> bool:
    """Run a call unless it is finished; one that was interrupted goes on. Return whether it was run."""
    if journal.has(step):
        console.say(f"Done before: {step.folder}")
        return False
    console.say(step.line)
    known = [one.name for one in fields(options_class(step.command))]
    more = {"resume": not overwrite, "overwrite": overwrite or step.command in REDONE}
    begin = time.perf_counter()
    function(step.command)(**{**given(step.options), **{n: v for n, v in more.items() if n in known}})
    gc.collect()  # trainers and networks refer to each other: they would stay until some later collection
    _check_fields(step)
    _free_disk(step)
    journal.add(step, time.perf_counter() - begin)
    return True


def _free_disk(step: Step) -> None:
    """Remove the checkpoint of a finished run: thrice its weights, and of no use to later stages."""
    run = RunFolder(step.folder)
    if run.is_ours() and run.finished:
        with writing(run.path):
            run.checkpoint.unlink(missing_ok=True)


def _check_fields(step: Step) -> None:
    """Make sure that prepared data have what the recipe needs of them, before time is spent on training.

    Raises:
        DataError: no sample has it.
    """
    names = tuple(dict.fromkeys(name for data in step.data.values() for name in data.fields))
    if step.command != "data prepare" or not names:
        return
    from geopretrain.data.store.frame_store import FrameStore

    FrameStore.open(step.folder).splits(Fields(names=names))
