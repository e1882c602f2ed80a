"""``train``: one way from a task, its data and its settings to a finished run folder, whatever is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geopretrain.config.describe import dashed
from geopretrain.config.options import TrainCommandOptions
from geopretrain.console import console
from geopretrain.data.dataset import Dataset
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.evaluation.probe import LinearProbe
from geopretrain.files import write_json
from geopretrain.folders import owned, tidy_finished
from geopretrain.ranks import follows, meet
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.lineage import Lineage, trace
from geopretrain.tasks.base import Task
from geopretrain.training.callbacks import callbacks_of_program, name_of
from geopretrain.training.fit import fit
from geopretrain.training.monitoring import kept_in_words
from geopretrain.training.preserving import check_preserving
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples
from geopretrain.weights import Init, LoadReport, save_weights
from geopretrain.wording import in_px, sides


@dataclass(frozen=True)
class Training:
    """A training that is ready to start.

    Attributes:
        command: of the run, e.g. ``finetune segmentation``.
        config: every option of the command, resolved, as config.yaml keeps it.
        out: folder of the run.
        task: with its first weights.
        report: what they were loaded from.
        init: where they come from.
        data: what is learned from.
        samples: the samples of ``data`` that are learned from.
        validation: those the task is judged on while training.
        shown: those that pictures are made of.
        settings: of the loop.
        subset: kept in subset.json where only a part of the samples is learned from.
        probe: what the frozen features are judged on while training.
        beside: what else is learned from, for lineage.json: entries with ``data`` (where it is) and
            ``fingerprint`` (what it holds), by the name of their option.
        scored: samples that the weights handed on are scored on in the end; None: those of ``validation``.
        chosen_on: what weights are chosen on where these are others, for results.json.
    """

    command: str
    config: Mapping[str, Any]
    out: Path
    task: Task
    report: LoadReport
    init: Init
    data: Dataset[Any]
    samples: Samples
    validation: Samples
    shown: Samples
    settings: LoopSettings
    subset: Mapping[str, Any] = field(default_factory=dict)
    probe: LinearProbe | None = None
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scored: Samples | None = None
    chosen_on: Mapping[str, Any] = field(default_factory=dict)


def train(
    training: Training,
    finish: Callable[[RunFolder, Task], None],
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> RunFolder:
    """Train, save the weights, and let the command measure what came out.

    Args:
        training: what, on what, and how.
        finish: called with the run and the trained task; writes results.json and says what to do next.
        resume: continue the run in the folder.
        overwrite: remove an earlier run from the folder first.

    Raises:
        UserError: data, options, weights or folder cannot be used; the message says what to do.
        KeyboardInterrupt: after a checkpoint was written.
    """
    task, description = training.task, training.data.describe()
    task.check_data(description)
    check_preserving(task, training.settings, from_random=training.init.kind == "random")
    among = training.settings.devices, training.settings.num_nodes
    if follows(*among):
        _fit(training, RunFolder(training.out), resume=True)
        meet(*among)
        return RunFolder(training.out)
    fingerprint = training.data.fingerprint(training.samples.fields)
    lineage = trace(training.command, task, training.init, description, fingerprint, training.settings.seed)
    lineage = replace(
        lineage,
        kept=kept_in_words(training.settings),
        callbacks=[name_of(callback) for callback in callbacks_of_program(training.settings)],
        beside=training.beside,
    )
    _check_same_data(training, lineage, resume)
    lineage = _as_begun(lineage, RunFolder(training.out)) if resume else lineage
    for samples in (training.samples, training.validation, training.scored):
        if samples is not None:
            samples.check()  # unreadable files are named before anything is written
    if not (resume and RunFolder(training.out).checkpoint.is_file()):  # else its weights come from there
        console.say(training.report.summary())
        if training.report.incomplete:
            console.warn(f"WARNING: {training.report.incomplete}")
    _say_if_size_differs(training.init, description.size)
    with owned(training.out):
        run = RunFolder.create(training.out, config=training.config, overwrite=overwrite, resume=resume)
        try:
            _train(training, run, lineage, resume)
        except (KeyboardInterrupt, OptionError):  # an option that only the first validation can tell
            if not (resume or run.can_continue):  # then the very same command can be repeated
                run.remove_own()
            raise
        finish(run, task)
    meet(*among)
    return run


def _train(training: Training, run: RunFolder, lineage: Lineage, resume: bool) -> None:
    """Train in the folder of a run, and save the weights."""
    run.write_lineage(lineage.as_json())
    if not (resume and run.checkpoint.is_file()):
        write_json(run.path / "weights.json", training.report.as_json())
    console.say(lineage.sentence())
    if training.subset:
        write_json(run.path / "subset.json", dict(training.subset))
    _fit(training, run, resume)
    save_weights(training.task, run.path)


def _fit(training: Training, run: RunFolder, resume: bool) -> None:
    fit(
        training.task,
        training.samples,
        training.settings,
        run,
        validation=training.validation if len(training.validation) else None,
        shown=training.shown.read(range(len(training.shown))),
        probe=training.probe,
        callbacks=callbacks_of_program(training.settings),
        resume=resume,
    )


def finished_run(options: TrainCommandOptions) -> RunFolder | None:
    """Return the run that is to be resumed if it has come to its end already, and say so.

    One that is to have more steps is not finished.
    """
    if not options.resume or options.out is None:
        return None
    run = RunFolder(Path(options.out))
    if not (run.is_ours() and run.finished):
        return None
    if options.steps is None or run.trained_steps >= options.steps:
        tidy_finished(run.path)
        console.say(f"The run in {run.path} is finished; there is nothing to resume.")
        return run
    return None


def _check_same_data(training: Training, lineage: Lineage, resume: bool) -> None:
    """Refuse to continue a run on other data than it began with."""
    run = RunFolder(training.out)
    if not (resume and run.is_ours() and run.has_lineage):
        return
    before = run.lineage.get("data_fingerprint")
    if before is None and run.lineage.get("data") != lineage.data:
        console.warn(
            f"The run in '{run.path}' was begun by version 0.1, which did not keep what its data were: that "
            f"'{lineage.data}' holds the same as '{run.lineage.get('data')}' cannot be checked."
        )
    if before is not None and before != lineage.data_fingerprint:
        raise RunFolderError(
            f"The run in '{run.path}' was trained on other data than '{lineage.data}' holds now: the content "
            f"differs (they were at '{run.lineage['data']}'). Give the data of the run with --data, wherever "
            f"they are now, or start another run: --init {run.path} with another --out."
        )
    for name, begun in (run.lineage.get("beside") or {}).items():
        now = lineage.beside.get(name, {})
        if now and begun["fingerprint"] != now["fingerprint"]:
            raise RunFolderError(
                f"The run in '{run.path}' began with other content in --{dashed(name)} than '{now['data']}' "
                f"holds now (it was at '{begun['data']}'). Give what it began with, wherever that is now, or "
                f"start another run: --init {run.path} with another --out."
            )


def _as_begun(lineage: Lineage, run: RunFolder) -> Lineage:
    """Return the lineage with what the run began with, which may have changed or gone since."""
    if not (run.is_ours() and run.has_lineage):
        return lineage
    begun = {name: run.lineage[name] for name in ("init", "chain", "normalisation") if name in run.lineage}
    return replace(lineage, **begun)


def _say_if_size_differs(init: Init, size: tuple[int, int]) -> None:
    """Say when a network is trained at another size than its first weights were."""
    before = init.trained_size()
    if before is not None and before != size:
        console.say(
            f"These weights were trained at {in_px(before)}; here they see "
            f"{sides(size)}. Features depend on the size of things; --size {sides(before)} "
            "keeps it."
        )
