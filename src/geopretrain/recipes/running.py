"""Runs the calls of a plan, several at a time where there is room; what is finished is kept."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any

from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.errors import UserError
from geopretrain.files import writing
from geopretrain.recipes.jobs import StepJob, call, job_of, watching
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.order import Needs, can_be_launched, in_turn, needs_of, width
from geopretrain.recipes.plan import Measured, Plan, Step
from geopretrain.recipes.shapes import COMPARE
from geopretrain.runs.folder import RunFolder
from geopretrain.study.comparison import Comparison
from geopretrain.study.launchers import Launch, jobs_in_words, run_jobs
from geopretrain.wording import as_sentence

MANY = 1000
"""Steps, more than any machine has room for."""
Failures = Sequence[tuple[Step, str]]
"""Steps that failed, at least one, each with its error."""


def run_stages(plan: Plan, journal: Journal, launch: Launch, *, overwrite: bool) -> list[str]:
    """Run what all rows share; return the names of the stages that were not finished before.

    Raises:
        UserError: a stage failed; the message says which, and how to go on.
    """
    many = len(plan.stages)
    number = {step.name: f"{at} of {many}" for at, step in enumerate(plan.stages, 1)}

    def failed(failures: Failures) -> None:
        (step, error), *others = failures
        more = "".join(f"{one.name} failed, too: {as_sentence(its)} " for one, its in others)
        raise UserError(
            f"The stage {step.name} ({number[step.name]}, `geopretrain {step.command}`) failed: "
            f"{as_sentence(error)} {more}"
            f"What is finished is kept in '{plan.out}': repeat the command to go on."
        )

    heads = {step.name: f"\n{number[step.name]}: {step.words} ({step.name})" for step in plan.stages}
    needs = needs_of(plan.stages)
    return Runner(plan.stages, needs, journal, launch, heads, failed, overwrite=overwrite).run()


def run_rows(plan: Plan, journal: Journal, launch: Launch, *, overwrite: bool) -> list[dict[str, Any]]:
    """Train and score every row with every seed; return those that failed, with their errors.

    Raises:
        UserError: none succeeded.
    """
    failures: list[dict[str, Any]] = []
    of = {step.name: one for one in plan.measured for step in one.steps}

    def failed(found: Failures) -> None:
        for step, error in found:
            one = of[step.name]
            console.warn_left_out(f"FAILED {one.name}: {error}")
            failures.append({"row": one.row.name, "seed": one.seed, "error": error})

    steps = [step for one in plan.measured for step in one.steps]
    needs = {name: own for one in plan.measured for name, own in in_turn(one.steps).items()}
    Runner(steps, needs, journal, launch, _heads(plan.measured), failed, overwrite=overwrite).run()
    if failures and len(failures) == len(plan.measured):
        first = "{row}, seed {seed}: {error}".format_map(failures[0])
        raise UserError(
            f"No row could be measured. The first error, of {as_sentence(first)} "
            f"What is finished is kept in '{plan.out}': repeat the command to go on."
        )
    return failures


def finished(measured: Sequence[Measured], journal: Journal) -> list[Measured]:
    """Return the rows and seeds whose steps are all finished."""
    return [one for one in measured if all(journal.has(step) for step in one.steps)]


def _heads(measured: Sequence[Measured]) -> dict[str, str]:
    """Return what is said before a step: the first one of a row has the row's name."""
    many = len(measured)
    return {
        step.name: f"\nRow {number} of {many}: {one.name} ({one.row.words})"
        for number, one in enumerate(measured, 1)
        for step in one.steps[:1]
    }


class Runner:
    """Runs steps, each after those that it needs.

    Args:
        steps: in the order in which they are run, as far as one is run at a time.
        needs: of them.
        journal: of what is finished.
        launch: where those run that several may run of at a time.
        heads: what is said before steps, by name.
        failed: is told of steps that failed; those that need them are left out. What it raises ends it all.
        overwrite: begin what is not finished from nothing.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        needs: Needs,
        journal: Journal,
        launch: Launch,
        heads: dict[str, str],
        failed: Callable[[Failures], None],
        *,
        overwrite: bool,
    ) -> None:
        self.needs, self.journal, self.launch, self.heads = needs, journal, launch, heads
        self.failed, self.overwrite = failed, overwrite
        self.left, self.ran = list(steps), list[str]()

    def run(self) -> list[str]:
        """Run all that is not finished; return the names of what was run."""
        one_by_one = self._here_at_a_time(MANY) == 1
        while self.left:
            batch = [] if one_by_one else self._batch()
            launched, left = {step.name for step in batch}, {step.name for step in self.left}
            here = [one for one in self.left if one.name not in launched and not self._waits(one, left)]
            data = (step for step in here if step.command.startswith("data "))
            first = next(data, None) if batch else here[0]  # more can be launched when data are there
            if first is None:
                self._together(batch)
            else:
                self._here(first)
        return self.ran

    def _waits(self, step: Step, left: Container[str]) -> bool:
        """Return whether a step needs one of those that are left."""
        return any(name in left for name in self.needs.get(step.name, ()))

    def _batch(self) -> list[Step]:
        """Return the steps that can be launched now, or after others of them."""
        found, others = [], {step.name for step in self.left}
        for step in self.left:
            if can_be_launched(step) and not self._waits(step, others):
                found.append(step)
                others.remove(step.name)
        return found

    def _here(self, step: Step) -> None:
        """Run a step in this process, unless it is finished."""
        if step.name in self.heads:
            console.say(self.heads[step.name])
        try:
            if not self._was_done(step):
                console.say(step.line)
                self._keep(step, call(job_of(step, overwrite=self.overwrite)))
        except UserError as error:
            self._without([(step, str(error))])
        else:
            self.left.remove(step)

    def _together(self, batch: Sequence[Step]) -> None:
        """Run steps as jobs; one after the other in this process, with all its cores, where only one of them
        can run at a time."""
        for step in batch:
            if step.name in self.journal.entries and step.folder.is_dir() and step in self.left:
                self._here(step)  # says that it is finished, or runs it where that is gone
        missing = [step for step in batch if step in self.left]
        at_a_time = self._here_at_a_time(width([step.name for step in missing], self.needs))
        if missing and at_a_time == 1:
            self._here(missing[0])
        elif missing:
            self._launch(missing, replace(self.launch, jobs=at_a_time or self.launch.jobs))

    def _here_at_a_time(self, count: int) -> int | None:
        """Return how many of ``count`` steps this machine runs at a time, None where others run them."""
        return jobs_in_words(self.launch, count) if self.launch.launcher == "local" else None

    def _launch(self, missing: Sequence[Step], launch: Launch) -> None:
        """Run steps as jobs, and wait for all of them, also where one fails."""
        told = "" if launch.jobs == "auto" else f", {launch.jobs} at a time"
        console.say(f"\nTogether: {len(missing)} steps{told}.")
        for step in missing:
            console.say(f"{step.name}: {step.line}")
        errors, steps = dict[str, str](), {step.name: step for step in missing}
        with watching(missing) as watch:

            def done(job: StepJob, answer: dict[str, Any]) -> None:
                watch.end(job.name, answer)
                if "error" in answer:
                    errors[job.name] = answer["error"]
                else:
                    self._keep(steps[job.name], answer["outcome"]["seconds"])

            run_jobs([job_of(step, overwrite=self.overwrite) for step in missing], launch, done, self.needs)
        self.left = [step for step in self.left if step.name not in steps or step.name in errors]
        if errors:
            own = [step for step in missing if step.name in errors and not self._waits(step, errors)]
            self._without([(step, errors[step.name]) for step in own])

    def _was_done(self, step: Step) -> bool:
        if not self.journal.has(step):
            return False
        console.say(f"Done before: {step.folder}")
        return True

    def _keep(self, step: Step, seconds: float) -> None:
        """Keep that a step was run."""
        _check_fields(step)
        _free_disk(step)
        if not _lacks_trainings(step):  # else a repeated command trains them
            self.journal.add(step, seconds)
        self.ran.append(step.name)

    def _without(self, failures: Failures) -> None:
        """Go on without steps that failed, and without those that need them."""
        lost = {step.name for step, _ in failures}
        for one in self.left:
            if self._waits(one, lost):
                lost.add(one.name)
        self.left = [one for one in self.left if one.name not in lost]
        self.failed(failures)


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


def _lacks_trainings(step: Step) -> bool:
    """Return whether a step is a comparison of which trainings failed."""
    if step.command != COMPARE:
        return False
    return bool(Comparison.open(step.folder).results["failures"])
