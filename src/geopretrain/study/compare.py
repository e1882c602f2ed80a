"""``compare``: which initialisation makes the better segmenter from few labels, and how sure is that?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geopretrain.console import console, say
from geopretrain.errors import ConfigError, UserError
from geopretrain.study.comparison import Comparison
from geopretrain.study.folder import prepare_folder
from geopretrain.study.learning_rate import choose_rates
from geopretrain.study.plan import Plan, make_plan
from geopretrain.study.progress import trial_progress
from geopretrain.study.sentences import cautions, headline, sentences
from geopretrain.study.summary import per_class, row_as_dict, summarise
from geopretrain.study.trials import Trial
from geopretrain.study.workers import choose_jobs, run_trials


def compare(
    inits: str | Sequence[str | Path] | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    labels: int | None = 16,
    seeds: int | str | Sequence[int] = 5,
    modes: str | Sequence[str] = "full,frozen",
    lr: float | str | Sequence[float] | None = None,
    search_seeds: int = 2,
    iterations: int | None = None,
    batch_size: int | None = None,
    size: str | Sequence[int] | None = None,
    backbone: str | None = None,
    preset: str = "auto",
    subset_seed: int = 0,
    curve_points: int = 6,
    pictures: int = 4,
    precision: str = "auto",
    device: str = "auto",
    jobs: int | str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Comparison:
    """Fine-tune from each initialisation with the same labels, seeds and budget; report paired differences.

    Each combination of initialisation, mode and seed is one run in ``OUT/trials``. Repeat the command to
    continue after an interruption, or with more seeds, modes or initialisations: completed runs are kept.

    Args:
        inits: initialisations with commas: random, imagenet, run folders, weights files; the first is the
            reference.
        data: labelled data: a folder with images/, labels/ and classes.txt, CamVid, or synthetic:street.
        out: folder to write the comparison into.
        labels: number of labelled images to learn from, the same ones for all.
        seeds: number of trainings for each initialisation and mode, at least 2; or the seeds with commas.
        modes: what is trained, with commas: full (all layers), encoder (fresh decoder), frozen (encoder
            unchanged).
        lr: learning rate; several with commas are tried on validation images for each initialisation and
            mode.
        search_seeds: trainings for each learning rate that is tried; their seeds are not the reported ones.
        iterations: optimisation steps of each training.
        batch_size: images per step.
        size: HEIGHTxWIDTH in px to work at, multiples of 32, e.g. 96x128 (height first).
        backbone: any timm model; left away: that of the runs, or resnet18.
        preset: short, paper, or auto: paper on a GPU, short elsewhere.
        subset_seed: fixes which images are the labelled ones.
        curve_points: number of evaluations while training, evenly spread.
        pictures: number of test images to show.
        precision: fp32, bf16, or auto: bf16 where the machine computes in it.
        device: cpu, cuda, mps or auto.
        jobs: trainings at the same time, or auto: one for each core, one on a GPU.
        overwrite: start again from nothing where out holds a comparison.
        progress: show progress.

    Returns:
        The comparison: ``sentence``, ``table()``, ``results``, and the files in ``out``.

    Raises:
        UserError: an option, the data or an initialisation cannot be used, or no training succeeded.
    """
    start = time.perf_counter()
    plan = make_plan(
        inits=inits,
        data=data,
        out=out,
        labels=labels,
        seeds=seeds,
        modes=modes,
        lr=lr,
        search_seeds=search_seeds,
        iterations=iterations,
        batch_size=batch_size,
        size=size,
        backbone=backbone,
        preset=preset,
        subset_seed=subset_seed,
        curve_points=curve_points,
        pictures=pictures,
        precision=precision,
        device=device,
        progress=progress,
    )
    choose_jobs(jobs, 1, plan.device)
    prepare_folder(plan.out, plan.config(), overwrite=overwrite)
    searched, search_failures = _search(plan, jobs, progress)
    trials = plan.trials(searched)
    outcomes, failures = _train(plan, trials, jobs, progress, "Training")
    comparison = _conclude(plan, trials, outcomes, searched, search_failures + failures)
    comparison.results["protocol"]["this_session_seconds"] = round(time.perf_counter() - start, 1)
    comparison.save()
    _write_report(comparison)
    _say_what_came_out(comparison, progress)
    return comparison


def _search(plan: Plan, jobs: int | str, progress: bool) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    if len(plan.rates) < 2:
        return [], []
    trials = plan.search_trials()
    outcomes, failures = _train(plan, trials, jobs, progress, "Choosing learning rates")
    found = choose_rates(outcomes)
    missing = [
        (m, i.name)
        for m in plan.modes
        for i in plan.inits
        if not any((r["mode"], r["init"]) == (m, i.name) for r in found)
    ]
    if missing:
        raise ConfigError(
            f"No learning rate worked for {missing[0][1]} ({missing[0][0]}): {failures[0]['error']}"
        )
    return found, failures


def _train(
    plan: Plan, trials: list[Trial], jobs: int | str, progress: bool, title: str
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Train the trials that are not complete yet; return the numbers of all and the errors."""
    missing = [trial for trial in trials if trial.outcome() is None]
    failures: list[dict[str, str]] = []
    if missing:
        number = choose_jobs(jobs, len(missing), plan.device)
        with (
            console.showing(progress),
            trial_progress(title, len(missing), len(trials) - len(missing), number) as line,
        ):

            def done(trial: Trial, answer: dict[str, Any]) -> None:
                line.done(trial, answer)
                if "error" in answer:
                    failures.append({"trial": trial.name, **answer})

            run_trials(missing, jobs=number, device=plan.device, log=plan.out / "workers.log", on_done=done)
    outcomes = [outcome for trial in trials if (outcome := trial.outcome()) is not None]
    if not outcomes:
        raise UserError(
            f"No training succeeded. The first error, of {failures[0]['trial']}: {failures[0]['error']}"
        )
    return outcomes, failures


def _conclude(
    plan: Plan,
    trials: list[Trial],
    outcomes: list[dict[str, Any]],
    searched: list[dict[str, Any]],
    failures: list[dict[str, str]],
) -> Comparison:
    from geopretrain.study.pictures import draw_pictures
    from geopretrain.study.protocol import describe_inits, describe_protocol

    rows = summarise(outcomes, [one.name for one in plan.inits], plan.modes)
    results: dict[str, Any] = {
        "format": 1,
        "headline": headline(rows, plan.settings["labels"]),
        "sentences": sentences(rows),
        "cautions": cautions(rows),
        "inits": describe_inits(plan.inits),
        "modes": plan.modes,
        "classes": {"names": list(plan.data.class_names), "colours": plan.data.class_colours.tolist()},
        "summary": [row_as_dict(row) for row in rows],
        "per_class": per_class(outcomes),
        "learning_rates": searched,
        "trials": outcomes,
        "failures": failures,
        "pictures": draw_pictures(plan, trials),
        "protocol": describe_protocol(plan, outcomes),
    }
    return Comparison(plan.out, results)


def _write_report(comparison: Comparison) -> None:
    from geopretrain.report import build_report

    build_report(comparison, comparison.report)


def _say_what_came_out(comparison: Comparison, progress: bool) -> None:
    say(f"\n{comparison.table()}\n", progress=progress)
    failures = comparison.results["failures"]
    for failure in failures:
        say(f"FAILED {failure['trial']}: {failure['error']}", progress=progress)
    if failures:
        say(f"{len(failures)} trainings failed; repeat the command to try them again.", progress=progress)
    say(comparison.sentence, progress=progress)
    say(f"Next: open {comparison.report} in a browser.", progress=progress)
