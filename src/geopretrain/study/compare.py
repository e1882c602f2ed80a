"""``compare``: which initialisation serves a task with few labels best, and how sure is that?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from geopretrain import manifest
from geopretrain.config.options import CompareOptions
from geopretrain.console import console
from geopretrain.errors import ConfigError, UserError
from geopretrain.folders import owned, tidy_finished
from geopretrain.study.comparison import Comparison
from geopretrain.study.conclusion import Ended, Outcomes, conclude
from geopretrain.study.folder import LOG, check_folder, prepare_folder
from geopretrain.study.inits import same_content
from geopretrain.study.launchers import Launch, check_here, jobs_in_words, launch_of, reaching, run_jobs
from geopretrain.study.learning_rate import choose_rates, left_out, no_rate
from geopretrain.study.plan import Plan, make_plan
from geopretrain.study.progress import trial_progress
from geopretrain.study.trials import Trial
from geopretrain.study.twins import adopt, twins_in


def run_comparison(options: CompareOptions, finish: Callable[[Comparison], object]) -> Comparison:
    """Train what is missing in the folder of a comparison, and return what came out.

    Args:
        options: of ``compare``.
        finish: makes the page, while the folder is held.

    Raises:
        UserError: an option, the data or an initialisation cannot be used, or no training succeeded.
    """
    check_here(options)
    plan = make_plan(options)
    check_folder(plan.out, overwrite=options.overwrite)
    fingerprint = plan.check()
    with reaching(_launch(plan, options)), owned(plan.out):
        comparison = _run(plan, options, fingerprint)
        finish(comparison)
    return comparison


def _run(plan: Plan, options: CompareOptions, fingerprint: str) -> Comparison:
    start = time.perf_counter()
    prepare_folder(
        plan.out,
        plan.config,
        plan.weights(),
        fingerprint,
        overwrite=options.overwrite,
        chosen=plan.chosen(),
    )
    for sentence in same_content(plan.inits):
        console.warn(sentence)
    train = partial(_train, plan, options)
    searched, search_failures = _search(plan, train)
    trials = plan.trials(searched)
    outcomes, failures = train(trials, "Training")
    comparison = conclude(plan, Ended(trials, outcomes, searched, search_failures + failures))
    comparison.results["protocol"]["this_session_seconds"] = round(time.perf_counter() - start, 1)
    comparison.save()
    return comparison


Trained = tuple[Outcomes, Outcomes]
"""Numbers of trials, and errors."""


def _search(plan: Plan, train: Callable[..., Trained]) -> Trained:
    if not plan.searches:
        return [], []
    outcomes, failures = train(plan.search_trials(), "Choosing learning rates")
    found = choose_rates(outcomes, plan.contest.measure)
    _check_chosen(plan, found, outcomes, failures)
    tried = {trial.folder for trial in plan.search_trials()}
    for _ in range(plan.extensions):
        beyond = [trial for trial in plan.search_trials(found) if trial.folder not in tried]
        if not beyond:
            break
        tried |= {trial.folder for trial in beyond}
        more, failed = train(beyond, "Trying rates beyond", needed=False)
        outcomes, failures = outcomes + more, failures + failed
        found = choose_rates(outcomes, plan.contest.measure)
    if sentence := left_out(outcomes, plan.contest.measure):
        console.say(sentence)
    return found, failures


def _check_chosen(plan: Plan, found: Outcomes, outcomes: Outcomes, failures: Outcomes) -> None:
    """Refuse to go on without a rate for an initialisation."""
    chosen = {(row["mode"], row["init"], row["labels"]) for row in found}
    for draw in plan.first_draws:
        for mode in plan.modes:
            for one in plan.inits:
                if (what := (mode, one.name, draw.labels)) not in chosen:
                    raise ConfigError(no_rate(what, outcomes, failures))


def _train(
    plan: Plan, options: CompareOptions, trials: list[Trial], title: str, *, needed: bool = True
) -> Trained:
    """Train the trials that are not complete yet; return the numbers of all and the errors.

    Raises:
        UserError: none succeeded, and one is ``needed``.
    """
    from geopretrain.weights.runs import remove_networks

    finished = {trial.folder for trial in trials if trial.outcome() is not None}
    twins = {trial.like: trial for trial in twins_in(trials, finished)}
    settled = finished | {trial.folder for trial in twins.values()}
    missing = [trial for trial in trials if trial.folder not in settled]
    failures: list[dict[str, Any]] = []
    for trial in trials:
        manifest.note_folder(Path(trial.folder))
        tidy_finished(trial.folder)
        if trial.folder in finished and not trial.keeps:  # killed before, or kept until now
            remove_networks(Path(trial.folder))
    if missing:
        launch = _launch(plan, options)
        jobs = jobs_in_words(launch, len(missing))
        with trial_progress(title, len(missing), len(finished), jobs) as line:

            def done(trial: Trial, answer: dict[str, Any]) -> None:
                line.done(trial, answer)
                if "error" in answer:
                    failures.append(_failed(trial, answer, twins.get(trial.folder)))

            run_jobs(missing, launch, done)
    for trial in twins.values():
        adopt(trial)
    outcomes = [outcome for trial in trials if (outcome := trial.outcome()) is not None]
    if needed and not outcomes:
        raise UserError(
            f"No training succeeded. The first error, of {failures[0]['trial']}: {failures[0]['error']}"
        )
    return outcomes, failures


def _launch(plan: Plan, options: CompareOptions) -> Launch:
    return launch_of(options, plan.device, plan.out / LOG)


def _failed(trial: Trial, answer: Mapping[str, Any], twin: Trial | None) -> dict[str, Any]:
    """Return an error with what failed; a ``twin`` is without numbers as well."""
    of = {name: getattr(trial, name) for name in ("init", "mode", "seed")}
    also = f" The numbers of mode {twin.mode} would have been the same." if twin is not None else ""
    return {"trial": trial.name, **of, **trial.learned_from, **answer, "error": f"{answer['error']}{also}"}
