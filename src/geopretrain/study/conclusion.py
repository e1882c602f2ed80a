"""What a comparison comes to when its trainings have ended: numbers, sentences, cautions, pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from geopretrain.study.choice import CAUTION as CHOICE_CAUTION
from geopretrain.study.choice import compare_choice, without_chosen
from geopretrain.study.comparison import Comparison
from geopretrain.study.efficiency import efficiency
from geopretrain.study.inits import same_content
from geopretrain.study.instrument import (
    budget_cautions,
    class_cautions,
    collapse_cautions,
    label_cautions,
    limit_cautions,
    subset_cautions,
)
from geopretrain.study.learning_rate import rate_cautions
from geopretrain.study.losses import KEY as LOSSES
from geopretrain.study.losses import mean_losses
from geopretrain.study.plan import Plan
from geopretrain.study.power import power_cautions
from geopretrain.study.pretrainings import compare_pretrainings, families
from geopretrain.study.sentences import cautions, headline, sentences
from geopretrain.study.summary import Row, per_class, row_as_dict, summarise, with_most_labels
from geopretrain.study.trials import Trial
from geopretrain.study.twins import sentences_of

DEVELOPMENT = (
    "These are scores on validation images, to choose settings by. What was chosen by them looks better here "
    "than it is: compare it once more on the test images, with other seeds and sets of labelled images."
)
Outcomes = list[dict[str, Any]]
"""Numbers of trials, or errors."""
Classes = dict[str, dict[str, list[float | None]]]
"""Scores by mode, initialisation and class."""


@dataclass(frozen=True)
class Ended:
    """What is there when the last training has ended.

    Attributes:
        trials: all.
        outcomes: numbers of those that came to some.
        searched: learning rates that were chosen.
        failures: errors.
    """

    trials: list[Trial]
    outcomes: Outcomes
    searched: Outcomes
    failures: Outcomes


def conclude(plan: Plan, ended: Ended) -> Comparison:
    """Return the comparison, whose pictures are drawn."""
    from geopretrain.study.pictures import draw_confusions, draw_pictures
    from geopretrain.study.protocol import describe_inits, describe_protocol

    drawn, measure = without_chosen(ended.outcomes), plan.contest.measure
    rows = summarise(drawn, [one.name for one in plan.inits], plan.modes, measure)
    of_most = [one for one in drawn if one["labels"] == plan.counts[-1]]
    described = plan.data.describe()
    results = {
        "format": 1,
        "task": plan.contest.task,
        "measure": asdict(measure),
        "inits": describe_inits(plan.inits),
        "modes": plan.modes,
        "classes": {
            "names": list(described.class_names),
            "colours": [list(colour) for colour in described.class_colours],
        },
        **_found(plan, ended, rows, per_class(of_most, measure)),
        **_trainings(ended, drawn),
        "pictures": draw_pictures(plan, ended.trials),
        "confusions": draw_confusions(plan, of_most, with_most_labels(rows)),
        "protocol": describe_protocol(plan, ended.outcomes),
    }
    return Comparison(plan.out, results)


def _found(plan: Plan, ended: Ended, rows: list[Row], classes: Classes) -> dict[str, Any]:
    """Return what came out, and what speaks against trusting it."""
    measure = plan.contest.measure
    choice = compare_choice(ended.outcomes, [one.name for one in plan.inits], plan.modes, measure)
    return {
        "headline": headline(rows, plan.counts[-1], measure),
        "sentences": sentences(rows, measure),
        "cautions": [
            *_cautions(plan, rows, classes),
            *collapse_cautions(ended.outcomes, measure),
            *sentences_of(ended.trials),
            *([CHOICE_CAUTION] if choice else []),
            *rate_cautions(ended.searched, measure),
        ],
        "summary": [row_as_dict(row) for row in rows],
        "choice": choice,
        "pretrainings": compare_pretrainings(rows, families(plan.inits), measure),
        "efficiency": efficiency(rows, measure),
        "per_class": classes,
    }


def _trainings(ended: Ended, drawn: Outcomes) -> dict[str, Any]:
    """Return the numbers of single trainings, and the curves that are of them."""
    kept = ("init", "mode", "labels", "validation", "kept_step")
    return {
        "learning_rates": ended.searched,
        LOSSES: mean_losses(drawn),
        "trials": [
            {name: value for name, value in one.items() if name not in ("confusion", LOSSES)}
            for one in ended.outcomes
        ],
        "failures": ended.failures,
        "courses": [{name: one[name] for name in kept} for one in drawn if "validation" in one],
    }


def _cautions(plan: Plan, rows: list[Row], classes: Classes) -> list[str]:
    """Return what speaks against trusting the numbers."""
    measure = plan.contest.measure
    return [
        *([DEVELOPMENT] if plan.evaluate_on == "val" else []),
        *same_content(plan.inits),
        *budget_cautions(rows, measure),
        *limit_cautions(rows, measure),
        *label_cautions(rows, measure),
        *subset_cautions(rows, measure),
        *class_cautions(classes, plan.data.describe().class_names, measure),
        *cautions(rows, measure),
        *power_cautions(rows, measure),
    ]
