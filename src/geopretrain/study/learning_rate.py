"""Choosing the learning rate of each initialisation on validation images, with seeds of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopretrain.study.measures import MIOU, Measure
from geopretrain.study.statistics import mean, paired_difference, standard_deviation

FIRST_SEED = 1000
HALVES = range(-2, 3)
"""Of a factor of ten, from the rate of the preset on: what ``auto`` tries first."""
NAMED = 3
"""Initialisations that a caution shows the search of."""
DIVERGED = "diverged"
"""Key of the sentence in the numbers of a trial without scores because its rate is too high."""
EXTENSIONS = 2
"""How often ``auto`` tries a rate beyond the end of what it has tried, where the best one is there."""


def rates_of(asked: Sequence[float] | str | None, standard: float) -> list[float]:
    """Return the rates of an initialisation: those asked for, a log-spaced grid (auto) or the standard."""
    if asked is None:
        return [standard]
    return [_round(standard * 10 ** (k / 2)) for k in HALVES] if isinstance(asked, str) else list(asked)


def rates_beyond(found: Mapping[str, Any]) -> list[float]:
    """Return the next rate beyond the end at which the best one of a row of `choose_rates` is, if it is."""
    step = {"lowest": 10**-0.5, "highest": 10**0.5}.get(found["at_end"])
    return [] if step is None else [_round(found["chosen"] * step)]


def _round(rate: float) -> float:
    return float(f"{rate:.2g}")


def seeds_for_search(reported: Sequence[int], count: int) -> list[int]:
    """Return ``count`` seeds that are not among the reported ones."""
    first = max(FIRST_SEED, max(reported) + 1)
    return list(range(first, first + count))


def rate_cautions(searched: Sequence[Mapping[str, Any]], measure: Measure = MIOU) -> list[str]:
    """Return what a reader must know of chosen rates that differ and might have been chosen otherwise.

    Args:
        searched: rows of `choose_rates`.
        measure: the score.
    """
    said = []
    for mode, labels in dict.fromkeys((row["mode"], row.get("labels")) for row in searched):
        rows = [row for row in searched if (row["mode"], row.get("labels")) == (mode, labels)]
        chosen: dict[float, list[str]] = {}
        for row in rows:
            chosen.setdefault(row["chosen"], []).append(row["init"])
        unsure = [text for row in rows if (text := _unsure(row, set(chosen), measure))]
        if unsure:
            which = "; ".join(f"{rate:g}: {', '.join(names)}" for rate, names in sorted(chosen.items()))
            named = ", ".join(unsure[:NAMED])
            more = f" and {len(unsure) - NAMED} more" if len(unsure) > NAMED else ""
            said.append(
                f"Learning rates of mode {mode}{_with_labels(searched, labels, measure)} differ ({which}), "
                "and the search cannot tell them apart for "
                f"{named}{more}: part of a difference may be the rate's. More --search-seeds make the "
                "choice surer; the same --lr for all shows how much it is."
            )
    return said


def _with_labels(rows: Sequence[Mapping[str, Any]], labels: int | None, measure: Measure) -> str:
    """Return how many labels a row is of, where rows have several numbers of them."""
    return f" with {measure.counted(labels)}" if len({row.get("labels") for row in rows}) > 1 else ""


def _unsure(row: Mapping[str, Any], rates: set[float], measure: Measure) -> str:
    """Say for which of the rates that others have the search cannot tell whether the chosen one is better."""
    found = {rate["lr"]: rate for rate in row["rates"]}
    best = found[row["chosen"]]
    like = [found[lr] for lr in sorted(rates - {row["chosen"]}) if lr in found and _alike(best, found[lr])]
    scores = [f"{measure.show(one['mean'])} at {one['lr']:g}" for one in (best, *like)]
    return f"{row['init']} ({', '.join(scores)})" if like else ""


def _alike(best: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether chance may have put one rate before another: 95 %, paired by seed, or one training."""
    if len(best["values"]) != len(other["values"]):
        return False  # trainings fail there
    if len(best["values"]) < 2:
        return True
    difference = paired_difference(best["values"], other["values"])
    return difference.has_interval and difference.verdict == "unclear"


def choose_rates(outcomes: Sequence[Mapping[str, Any]], measure: Measure = MIOU) -> list[dict[str, Any]]:
    """Return, for each mode and initialisation, every rate with its validation scores, and the chosen one.

    Args:
        outcomes: trials scored on ``val``: ``init, mode, labels, lr, seed`` and the score, or ``diverged``;
            those that failed are absent.
        measure: the score.

    Returns:
        ``{'mode', 'init', 'labels', 'chosen', 'at_end', 'rates': [...]}`` of those for which a rate can be
        chosen, and of each rate ``{'lr', 'values', 'mean', 'sd', 'diverged'}``; diverged counts trainings,
        and such a rate is never chosen; ``at_end`` is ``'highest'`` or ``'lowest'`` where the chosen rate is
        an end of the grid, so that a better one may lie beyond it.
    """
    result: list[dict[str, Any]] = []
    for (mode, init, labels), trials in _grouped(outcomes).items():
        rows = _rows(trials, measure)
        even = [row for row in rows if not row[DIVERGED]]
        whole = max((len(row["values"]) for row in even), default=0)
        if not whole:
            continue
        usable = [row for row in even if len(row["values"]) == whole]  # where trainings fail is no good rate
        chosen = (min if measure.lower else max)(usable, key=lambda row: row["mean"])["lr"]
        ends = {rows[0]["lr"]: "lowest", rows[-1]["lr"]: "highest"} if len(rows) > 1 else {}
        what = {"mode": mode, "init": init, "labels": labels}
        result.append({**what, "chosen": chosen, "at_end": ends.get(chosen), "rates": rows})
    return result


Searched = tuple[str, str, int | None]
"""Mode, initialisation and number of labels."""


def _grouped(outcomes: Sequence[Mapping[str, Any]]) -> dict[Searched, list[Mapping[str, Any]]]:
    groups: dict[Searched, list[Mapping[str, Any]]] = {}
    for trial in outcomes:
        groups.setdefault((trial["mode"], trial["init"], trial.get("labels")), []).append(trial)
    return groups


def _rows(trials: Sequence[Mapping[str, Any]], measure: Measure) -> list[dict[str, Any]]:
    """Return a row for each rate, with the scores of the trainings that have one."""
    rates: dict[float, list[Mapping[str, Any]]] = {}
    for trial in trials:
        rates.setdefault(float(trial["lr"]), []).append(trial)
    rows = []
    for lr, of_rate in sorted(rates.items()):
        scored = [trial[measure.key] for trial in of_rate if DIVERGED not in trial]
        # what is undefined is the worst that can be
        values = [float(score or 0.0) for score in scored if score is not None or not measure.lower]
        spread = {"mean": mean(values), "sd": standard_deviation(values)}
        rows.append({"lr": lr, "values": values, **spread, DIVERGED: sum(DIVERGED in one for one in of_rate)})
    return rows


def diverged_rates(outcomes: Sequence[Mapping[str, Any]]) -> dict[Searched, list[float]]:
    """Return the rates at which a training diverged, of those where there are any."""
    found = {
        what: sorted({float(trial["lr"]) for trial in trials if DIVERGED in trial})
        for what, trials in _grouped(outcomes).items()
    }
    return {what: rates for what, rates in found.items() if rates}


def left_out(outcomes: Sequence[Mapping[str, Any]], measure: Measure = MIOU) -> str:
    """Say at which rates trainings diverged; empty where none did."""
    said = [
        f"{init} ({mode}{_with_labels(outcomes, labels, measure)}) at {_listed(rates)}"
        for (mode, init, labels), rates in diverged_rates(outcomes).items()
    ]
    return f"Trainings diverged, so these rates are not chosen: {'; '.join(said)}." if said else ""


def no_rate(
    what: Searched, outcomes: Sequence[Mapping[str, Any]], failures: Sequence[Mapping[str, Any]]
) -> str:
    """Say why no learning rate can be chosen for an initialisation, and what to do."""
    mode, init, _ = what
    begin = f"No learning rate worked for {init} ({mode}): "
    if rates := diverged_rates(outcomes).get(what):
        return (
            f"{begin}trainings diverged at {_listed(rates)}. Compare in another --out with smaller rates, "
            f"--lr {_round(rates[0] / 100):g},{_round(rates[0] / 10):g} say. If these diverge, too, look at "
            "the data with `geopretrain data inspect` and, where it was another, take --precision fp32."
        )
    errors = [one["error"] for one in failures if (one["mode"], one["init"]) == (mode, init)]
    return begin + (errors[0] if errors else "its trainings have no score on the validation images.")


def _listed(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
