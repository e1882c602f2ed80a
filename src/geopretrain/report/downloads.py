"""What a page offers to keep: its table for LaTeX, and the numbers of every training for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from geopretrain.report.beside import beside_downloads
from geopretrain.report.texts import TEX, booktabs, kept_as, table_csv, tex_line, tex_title
from geopretrain.study.measures import Measure
from geopretrain.study.sentences import MODE_WORDS, ends_of, over_what, residual, spread
from geopretrain.study.summary import Row, headline_rows, residual_rows, step_of
from geopretrain.wording import counted, in_versions

if TYPE_CHECKING:
    from geopretrain.study.comparison import Comparison

PROTOCOL = (
    *(
        "scored_on",
        "score",
        "data",
        "size",
        "backbone",
        "preset",
        "steps",
        "batch_size",
        "optimizer",
        "schedule",
    ),
    *("precision", "hardware", "created", "command"),
)
"""Of the protocol, what stands in every line of the numbers."""


def downloads(comparison: Comparison, name: str = "comparison") -> list[dict[str, str]]:
    """Return what can be kept: ``name`` of the file, ``words`` of the link, all of it as its ``address``.

    Args:
        comparison: finished.
        name: that the files begin with.
    """
    numbers, table = trainings_csv(comparison), comparison.csv()
    return [
        kept_as(f"{name}-trainings.csv", "Numbers of every training (CSV)", numbers, "text/csv"),
        kept_as(f"{name}.csv", "Table with differences (CSV)", table, "text/csv"),
        kept_as(f"{name}.tex", "Table for LaTeX (booktabs)", latex(comparison), TEX),
        *beside_downloads(comparison, name),
    ]


def trainings_csv(comparison: Comparison) -> str:
    """Return a line for each training and point of its curve, with the protocol; fractions are in [0, 1]."""
    measure, lines = comparison.measure, []
    scores = [measure.key, measure.second, *([measure.residual] if measure.residual else [])]
    protocol = _protocol(comparison.results["protocol"])
    heads = ["init", "mode", "labels", "subset", "seed", "learning_rate", "step", *scores, "seconds"]
    for trial in comparison.results.get("trials", ()):
        own = [trial["init"], trial["mode"], *(trial.get(n) for n in ("labels", "subset", "seed", "lr"))]
        for point in trial["curve"]:
            numbers = [point.get(name) for name in scores]
            seconds = (
                None if trial.get("adopted") else trial.get("seconds")
            )  # its time is that of another line
            lines.append([*own, step_of(point), *numbers, seconds, *protocol.values()])
    return table_csv([*heads, *protocol], lines)


def _protocol(protocol: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: protocol.get(name) for name in PROTOCOL}
    return {**known, "versions": in_versions(protocol["versions"])}


def latex(comparison: Comparison) -> str:
    """Return the table of the page for LaTeX, with the package booktabs."""
    measure, protocol = comparison.measure, comparison.results["protocol"]
    heads = ["initialisation", measure.title, *(["bits/px"] if measure.residual else [])]
    heads += [measure.second_title, "difference", "95 % interval", "verdict"]
    scored = protocol.get("scored_on", "test")
    own = ", each with a set of its own" if protocol.get("seed_per_set") else ""
    over = f"{counted(len(protocol['seeds']), 'seed')}{own}"
    caption = (
        f"{measure.title}, mean and standard deviation over {over} on "
        f"{protocol['splits'][scored]} {scored} images; differences to {comparison.rows[0].init}, paired. "
        f"{protocol['score']}."
    )
    told = ("data_description", "backbone", "size", "preset", "steps", "batch_size", "command")
    return booktabs(
        caption,
        heads,
        f"l{'r' * (len(heads) - 3)}ll",
        _groups(comparison, len(heads)),
        told=[f"{name.replace('_', ' ')}: {protocol[name]}" for name in told],
    )


def _groups(comparison: Comparison, width: int) -> Iterator[str]:
    """Give the lines of the table, with a title for each mode, number of labels and point."""
    measure, rows = comparison.measure, comparison.rows
    several, before = len({row.labels for row in rows}) > 1, None
    for row, bits in zip(headline_rows(rows), headline_rows(residual_rows(rows)), strict=True):
        if (group := (row.mode, row.labels, row.step)) != before:
            labels = f", {measure.counted(row.labels)}" if several else ""
            title = f"{MODE_WORDS.get(row.mode, row.mode)}{labels}, after {counted(row.step, 'step')}"
            yield from tex_title(title, width)
            before = group
        yield tex_line(_cells(row, bits, measure))


def _cells(row: Row, bits: Row, measure: Measure) -> list[str]:
    d = row.difference
    score = f"{measure.show(row.mean)} {spread(row, measure)}" if row.values else spread(row, measure)
    second = measure.show(row.second) if row.second == row.second else "\N{EN DASH}"
    ends = f"{ends_of(d, measure)}{over_what(d)}" if d is not None and d.has_interval else "\N{EN DASH}"
    difference = ["", "", ""] if d is None else [measure.show(d.mean, sign=True), ends, d.verdict]
    return [row.init, score, *([residual(bits, row)] if measure.residual else []), second, *difference]
