"""Draw the pictures of docs/results/evidence.md out of its numbers: ``python docs/draw_evidence.py``."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
RESULTS, OUT = HERE / "results", HERE / "images"
DARK, RED, GREY = "#222230", "#b1261d", "#5a6270"
NUMBER = r"[-+]?\d+\.\d+"


@dataclass(frozen=True)
class Panel:
    """Every training of one file: a point each, by the number of samples and what the encoder began with.

    Args:
        title: above it.
        name: of the file.
        counts: words for each number of samples.
        guess: the error of a guess that has not seen the picture; None: not drawn.
        top: the largest error that is drawn in place; larger ones lie at the edge with their number.
    """

    title: str
    name: str
    counts: Mapping[str, str]
    guess: float | None = None
    top: float | None = None
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def read(self, key: str) -> Panel:
        """Return the panel with the scores of its file."""
        with (RESULTS / "trainings" / f"{self.name}.csv").open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                self.scores.setdefault((line["labels"], line["row"]), []).append(float(line[key]))
        return self


def draw_trainings(
    path: Path, panels: Sequence[Panel], rows: Mapping[str, tuple[str, str]], key: str, words: str
) -> None:
    """Draw panels side by side; rows are names in the files with what they are called and their colours."""
    figure, axes = plt.subplots(1, len(panels), figsize=(5.3 * len(panels), 3.6), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        _one_panel(axis, panel.read(key), rows)
        axis.set_title(panel.title, fontsize=10)
    axes[0][0].set_ylabel(words)
    marks = [mpl.lines.Line2D([], [], marker="o", linestyle="", color=colour) for _, colour in rows.values()]
    named = [title for title, _ in rows.values()]
    figure.legend(marks, named, loc="lower center", ncol=len(rows), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=100)


def _one_panel(axis: Any, panel: Panel, rows: Mapping[str, tuple[str, str]]) -> None:
    step = 0.8 / len(rows)
    for place, count in enumerate(panel.counts):
        for k, (row, (_, colour)) in enumerate(rows.items()):
            x, values = place - 0.4 + (k + 0.5) * step, panel.scores[count, row]
            axis.hlines(mean(values), x - 0.4 * step, x + 0.4 * step, color=colour, linewidth=2)
            _points(axis, x, values, colour, panel.top)
    axis.set_xticks(range(len(panel.counts)), list(panel.counts.values()))
    axis.set_xlim(-0.6, len(panel.counts) - 0.4)
    if panel.guess is not None:
        axis.axhline(panel.guess, color=GREY, linestyle="--", linewidth=1)
        axis.annotate(
            "a ramp that has not\nseen the picture",
            (0, panel.guess),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
            color=GREY,
        )
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def _points(axis: Any, x: float, values: Sequence[float], colour: str, top: float | None) -> None:
    inside = [one for one in values if top is None or one <= top]
    axis.plot([x] * len(inside), inside, "o", color=colour, markersize=5.5, alpha=0.85)
    for one in values:
        if top is not None and one > top:
            axis.plot([x], [top], "^", color=colour, markersize=7)
            axis.annotate(f"{one:.2f}", (x, top), xytext=(6, -3), textcoords="offset points", fontsize=9)


@dataclass(frozen=True)
class Differences:
    """A table of the page: columns of differences to what nothing was trained for.

    Args:
        section: its heading.
        header: the first cell of its head.
        zero: the first cell of the row that differences are to.
        columns: how many of them are drawn.
        rows: how many of them are drawn.
        limits: of the axis, points.
        words: below the axis.
    """

    section: str
    header: str
    zero: str
    columns: int
    rows: int
    limits: tuple[float, float]
    words: str


def draw_equal_time(path: Path, table: Differences) -> None:
    """Draw a table of equal time: differences with intervals; red is told after correction."""
    page = (RESULTS / "evidence.md").read_text(encoding="utf-8")
    page = page[page.index(table.section) :].partition("\n## ")[0]
    (header,) = re.findall(rf"^\| {table.header} \|(.*)\|$", page, re.MULTILINE)
    (zero,) = re.findall(rf"^\| {re.escape(table.zero)} \|(.*)\|$", page, re.MULTILINE)
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)[: table.rows]
    starts = [_level(cell) for cell in zero.split("|")[: table.columns]]
    size = 2.6 * len(starts), 0.99 + 0.33 * len(lines)
    figure, axes = plt.subplots(1, len(starts), figsize=size, sharey=True)
    for column, (axis, title) in enumerate(zip(axes, header.split("|"), strict=False)):
        for place, (_, line) in enumerate(lines):
            cell = line.split("|")[column]
            first, again, apart, low, high = map(float, re.findall(NUMBER, cell))
            colour = RED if "**" in cell else GREY
            axis.hlines(place, low, high, color=colour, linewidth=2.5)
            axis.plot([apart], [place], "o", color=colour)
            axis.plot([one - starts[column] for one in (first, again)], [place] * 2, "|", color=colour, ms=12)
        axis.axvline(0, color=DARK, linewidth=1.2)
        axis.set(title=title.strip().replace(", ", ",\n"), xlim=table.limits)
        axis.title.set_fontsize(10)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(lines)), [name for name, _ in lines])
    axes[0].set_ylim(len(lines) - 0.5, -0.5)
    figure.supxlabel(table.words, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def _level(cell: str) -> float:
    """Return the mean of the scores in a cell, or the one that stands with its spread."""
    found = [float(one) for one in re.findall(NUMBER, cell)]
    return found[0] if "±" in cell else mean(found)


def main(out: Path) -> None:
    """Draw all of them into a folder."""
    draw_equal_time(
        out / "evidence-equal-time.png",
        Differences(
            "## Equal time",
            "on top of ImageNet",
            "nothing (`imagenet`), both sets",
            6,
            7,
            (-21.5, 6),
            "mIoU, points above ImageNet's weights",
        ),
    )
    draw_equal_time(
        out / "evidence-equal-time-resnet18.png",
        Differences(
            "## Without ImageNet",
            "pre-training from random numbers",
            "nothing (`random`)",
            5,
            7,
            (-4, 6.5),
            "mIoU, points above random numbers",
        ),
    )
    draw_equal_time(
        out / "evidence-depth-resnet18.png",
        Differences(
            "## Depth that lives",
            "pre-training from random numbers",
            "nothing (`random`)",
            5,
            4,
            (-3, 9),
            "mIoU, points above random numbers",
        ),
    )
    draw_trainings(
        out / "evidence-flow-to-depth.png",
        [
            Panel(
                "drives (KITTI)",
                "evidence-flow-to-depth",
                {"10": "10 samples", "20": "20 samples", "170": "all 170 samples"},
                guess=0.333,
                top=0.5,
            ),
            Panel(
                "a kitchen (7-Scenes)",
                "evidence-flow-to-depth-indoors",
                {"10": "10 samples", "206": "all 206 samples"},
                guess=0.191,
            ),
        ],
        {
            "imagenet": ("ImageNet", DARK),
            "flow": ("flow", "#0b5ea8"),
            "flow_again": ("flow, another seed", "#5aa5e0"),
            "random": ("random numbers", RED),
        },
        "abs_rel",
        "AbsRel (lower is better)",
    )
    draw_trainings(
        out / "evidence-mesa.png",
        [
            Panel(
                "other rooms (synthetic)",
                "evidence-mesa-rooms",
                {"16": "16 depth maps", "2239": "all 2239"},
            ),
            Panel(
                "a kitchen (7-Scenes)",
                "evidence-mesa-kitchen",
                {"16": "16 depth maps", "206": "all 206"},
            ),
        ],
        {
            "random": ("random numbers", RED),
            "imagenet": ("ImageNet", DARK),
            "masked": ("MP", "#8a5a00"),
            "masked_again": ("MP, again", "#d9a441"),
            "geometric": ("+ GP", "#0b5ea8"),
            "geometric_again": ("+ GP, again", "#5aa5e0"),
            "supervised": ("+ SP", "#1d7a3e"),
            "supervised_again": ("+ SP, again", "#66bb84"),
        },
        "rmse",
        "RMSE, m (lower is better)",
    )


if __name__ == "__main__":
    main(OUT)
