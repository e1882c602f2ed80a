"""What a recipe is: one YAML file that holds a table or figure of a paper, its settings and printed numbers.

It ends with a table, each row and seed of which is trained and scored, or with comparisons (a study).

A value in a recipe is plain, or a mapping with one name that stands for something else:

* ``{setting: NAME}``: a setting, whose value depends on the scale;
* ``{data: NAME}``: where a data set is;
* ``{stage: NAME}``: the folder that an earlier stage writes;
* ``{row: NAME}``: of the row that is measured: its ``start``, its ``seed``, or the folder of an earlier step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from geopretrain.schema import checked

Scale = Literal["paper", "small", "tiny"]
"""How much is done: as the paper, in an hour or so of a processor, in a minute or two on synthetic worlds."""
SCALES: tuple[Scale, ...] = get_args(Scale)
Kind = Literal["setting", "data", "stage", "row"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SAME = "same"
"""Of a setting: as at the next larger scale."""
Name = Annotated[str, Field(pattern=r"^\w[\w.+-]*$")]
"""Of a stage or a row, and of the folder it writes."""


@checked
class DataSet:
    """A data set of a recipe: what the paper took, and what is taken here."""

    paper: str
    """What the paper took."""
    source: str
    """Section of the paper that says so."""
    folders: list[str]
    """Data sets as `geopretrain data list` calls them, also with their options (``?split=train``), or folders
    and files below --data-root; the first that is there is taken, ``.`` is the root itself."""
    get: str
    """Where a user gets it."""
    fields: list[str] = field(default_factory=list)
    """What samples must have beside images, e.g. ``depth``."""
    tiny: str = ""
    """What is taken at the scale ``tiny``: a synthetic world."""


@checked
class Setting:
    """A number or word of a recipe, with where it comes from."""

    paper: Any
    """At the scale of the paper."""
    source: str
    """Section of the paper, or whose choice it is."""
    small: Any = SAME
    """At the scale ``small``."""
    tiny: Any = SAME
    """At the scale ``tiny``."""


@checked
class Stage:
    """One command of ours, with its options."""

    name: Name
    """Also that of its folder."""
    words: str
    """What it does."""
    command: str
    """As it is typed."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """By their names in Python; values may be references."""
    source: str = ""
    """Section of the paper."""


@checked
class Column:
    """A number of the paper's table."""

    name: str
    """As our results have it."""
    title: str
    """As the paper has it."""
    better: Literal["lower", "higher"]
    """Which direction is good."""


@checked
class Row:
    """A line of the paper's table: what the measured steps start from, and what the paper printed."""

    name: Name
    """Short; also that of its folder."""
    words: str
    """What it is."""
    start: Any
    """What ``{row: start}`` stands for."""
    printed: Mapping[str, float] = field(default_factory=dict)
    """The paper's numbers, by the names of columns; nothing for rows that the paper does not have."""


@checked
class Measure:
    """What is done for each row and seed; the last step scores."""

    steps: Annotated[list[Stage], Field(min_length=1)]
    """Commands, one after the other."""
    seeds: Setting
    """Of each row, a list."""
    columns: Annotated[list[Column], Field(min_length=1)]
    """Numbers of the table; the first one decides."""


@checked
class Printed:
    """Numbers of the paper that a row of a comparison is held beside, where the recipe is a study."""

    init: str
    """Row of the comparison: an initialisation by its word, or by the name of the stage, setting or data set
    that it is from; or a variant."""
    mode: str
    """Of the comparison."""
    numbers: Annotated[Mapping[str, float], Field(min_length=1)]
    """As the paper has them, those that are fractions in percent, by their names in our records, e.g.
    ``miou``, ``pixel_accuracy``."""
    words: str
    """What the paper calls it."""
    labels: int | None = None
    """Of several numbers of labels, which."""
    stage: str | None = None
    """Of several comparisons, which; left away: the last."""


@checked
class Recipe:
    """A table or figure of a paper as a fixed sequence of commands."""

    title: str
    """What it is, in a line."""
    paper: str
    """Authors, title, year."""
    item: str
    """Table or figure of the paper."""
    question: str
    """What it asks."""
    claim: str | None = None
    """What the paper says came out, with the numbers that stand in its text."""
    like: str | None = None
    """Recipe that it is like but for what it says itself, see `geopretrain.recipes.likeness`."""
    data: Mapping[str, DataSet]
    """Data sets by name."""
    settings: Mapping[str, Setting]
    """Settings by name."""
    stages: list[Stage]
    """Commands that all rows share, each after those that it refers to."""
    rows: list[Row] = field(default_factory=list)
    """Lines of the table; the first is what the others are held against. None: the last stage compares."""
    measure: Measure | None = None
    """How a row becomes numbers."""
    printed: list[Printed] = field(default_factory=list)
    """Of a study: the paper's numbers."""
    differs: list[str] = field(default_factory=list)
    """Sentences: what is not as in the paper, at every scale."""

    @property
    def is_study(self) -> bool:
        """Whether its last stage is a comparison, and it has no table."""
        return bool(self.stages) and self.stages[-1].command == "compare" and not self.rows

    @property
    def comparisons(self) -> list[Stage]:
        """Of a study: its comparisons."""
        return [stage for stage in self.stages if stage.command == "compare"] if self.is_study else []

    @property
    def ends(self) -> list[Stage]:
        """What everything else is there for: the comparisons, or the steps of each row."""
        return self.comparisons if self.measure is None else self.measure.steps


def reference(value: Any) -> tuple[Kind, str] | None:
    """Return kind and name of a reference, None where a value is none."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    kind, name = next(iter(value.items()))
    return (kind, name) if kind in KINDS and isinstance(name, str) else None


def references(value: Any) -> list[tuple[Kind, str]]:
    """Return all references in a value, in order."""
    if (found := reference(value)) is not None:
        return [found]
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [one for part in inside for one in references(part)]


def inits_of(comparison: Stage) -> list[str]:
    """Return how a recipe calls the rows of a comparison: words, or what they refer to; then variants."""
    found = [(one, reference(one)) for one in comparison.options.get("inits", ())]
    named = [str(one) if leads is None else leads[1] for one, leads in found]
    return [*named, *comparison.options.get("variants", {})]


def at_scale(setting: Setting, scale: Scale) -> Any:
    """Return a setting's value; what it does not say is as at the next larger scale."""
    values = {"paper": setting.paper, "small": setting.small, "tiny": setting.tiny}
    found = setting.paper
    for name in SCALES[: SCALES.index(scale) + 1]:
        found = found if values[name] == SAME else values[name]
    return found
