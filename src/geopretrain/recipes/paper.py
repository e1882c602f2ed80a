"""The paper's numbers beside those of the comparisons that a recipe ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from geopretrain.errors import RunFolderError
from geopretrain.folders import owned
from geopretrain.recipes.plan import Plan
from geopretrain.recipes.shapes import Other, Printed, Stage, inits_of
from geopretrain.study.comparison import Comparison
from geopretrain.study.measures import Measure
from geopretrain.study.statistics import mean, standard_deviation
from geopretrain.study.summary import last_rows
from geopretrain.wording import counted

KEY = "printed"
TITLES = {"per_image_miou": "mIoU of images", "box_map_75": "mAP75", "mask_map": "mAP of masks"}
"""Names of numbers that comparisons record and have no column of."""


def beside_paper(plan: Plan) -> list[Comparison]:
    """Return the comparisons of a study with what the paper says in them, and on their pages."""
    from geopretrain.report.build import build_report

    told = []
    for stage in plan.recipe.comparisons:
        comparison = Comparison.open(plan.out / stage.name)
        recipe = plan.recipe
        says = recipe.printed or recipe.others or recipe.claim
        found = _beside(plan, stage, comparison) if says else None
        if comparison.results.get(KEY) != found:
            comparison = Comparison(comparison.path, {**comparison.results, KEY: found})
            with owned(comparison.path):
                comparison.save()
                build_report(comparison, comparison.report)
        told.append(comparison)
    return told


def _beside(plan: Plan, stage: Stage, comparison: Comparison) -> dict[str, Any]:
    """Return what a comparison is to be read beside."""
    recipe = plan.recipe
    last = recipe.comparisons[-1].name
    own = [one for one in recipe.printed if (one.stage or last) == stage.name]
    others = [one for one in recipe.others if (one.stage or last) == stage.name]
    rows, there = inits_of(stage), [one["name"] for one in comparison.results["inits"]]
    if len(rows) != len(there):
        raise RunFolderError(
            f"The comparison in '{comparison.path}' has {counted(len(there), 'row')} and the recipe "
            f"{len(rows)}: it was continued by hand. Repeat its command as `reproduce --dry-run` prints it "
            f"to have these alone, or read {comparison.report}."
        )
    names = dict(zip(rows, there, strict=True))
    lines = [line for one in own for line in _lines(one, names[one.init], comparison)]
    return {
        "paper": recipe.paper,
        "item": recipe.item,
        "question": recipe.question,
        "claim": recipe.claim or "",
        "lines": [*lines, *(line for one in others for line in _of_paper(one, comparison.measure))],
        "differs": [*([plan.caution] if plan.caution else []), *recipe.differs],
    }


def _lines(printed: Printed, init: str, comparison: Comparison) -> list[dict[str, Any]]:
    """Return the paper's numbers of a row and ours, in the unit of the paper; none without such a row."""
    measure = comparison.measure
    for row in last_rows(comparison.rows):
        if (row.init, row.mode) == (init, printed.mode) and printed.labels in (None, row.labels):
            of = {"words": printed.words, "init": row.init, "mode": row.mode, "labels": row.labels}
            trials = [one for one in comparison.results["trials"] if _is_of(one, of)]
            return [
                {
                    **of,
                    "number": _title(number, measure),
                    "paper": paper,
                    **_ours([one.get(number) for one in trials], measure),
                }
                for number, paper in printed.numbers.items()
            ]
    return []


def _of_paper(other: Other, measure: Measure) -> list[dict[str, Any]]:
    """Return numbers that only the paper has: their lines have no row of ours."""
    of = {"words": other.words, "init": "", "mode": "", "labels": None}
    return [
        {**of, "number": _title(number, measure), "paper": paper, "ours": None, "sd": None}
        for number, paper in other.numbers.items()
    ]


def _is_of(trial: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Return whether a training is of a row of the table, which chosen images are not."""
    return trial.get("subset") != "chosen" and all(
        trial.get(name) == row[name] for name in ("init", "mode", "labels")
    )


def _ours(values: Sequence[Any], measure: Measure) -> dict[str, float | None]:
    """Return mean and standard deviation over the trainings; None where there are too few."""
    scores = [measure.scale * float(one) for one in values if one is not None and math.isfinite(one)]
    return {
        "ours": mean(scores) if scores else None,
        "sd": standard_deviation(scores) if len(scores) > 1 else None,
    }


def _title(number: str, measure: Measure) -> str:
    known = {measure.key: measure.title, measure.second: measure.second_title}
    unit = ", %" if measure.percent else ""
    return known.get(number, f"{TITLES.get(number, number)}{unit}")


def in_words(comparison: Comparison) -> str:
    """Return the paper's numbers beside ours as a table; empty where there are none."""
    lines = (comparison.results.get(KEY) or {}).get("lines", [])
    if not lines:
        return ""
    first, second = (max(len(line[name]) for line in lines) for name in ("words", "number"))
    head = f"{'':{first}}  {'':{second}}  {'paper':>8} {'ours':>14} {'difference':>11}"
    return "\n".join([head, *(_shown(line, first, second, comparison.measure.decimals) for line in lines)])


def _shown(line: dict[str, Any], first: int, second: int, decimals: int) -> str:
    ours = "no result" if line["init"] else "-"
    if line["ours"] is not None:
        spread = "" if line["sd"] is None else f" \N{PLUS-MINUS SIGN} {line['sd']:.{decimals}f}"
        ours = f"{line['ours']:.{decimals}f}{spread}"
    apart = "" if line["ours"] is None else f"{line['ours'] - line['paper']:+.{decimals}f}"
    head = f"{line['words']:{first}}  {line['number']:{second}}"
    return f"{head}  {line['paper']:>8g} {ours:>14} {apart:>11}".rstrip()
