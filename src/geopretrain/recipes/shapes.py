"""What a recipe is: one YAML file that holds a table or figure of a paper, its settings and printed numbers.

It ends with tables, each row and seed of which is trained and scored, or with comparisons (a study). Several
tables and figures of one study, which share its trainings, are ``items`` of one recipe, each with a name.

A value in a recipe is plain, or a mapping with one name that stands for something else:

* ``{setting: NAME}``: a setting, whose value depends on the scale;
* ``{data: NAME}``: where a data set is;
* ``{stage: NAME}``: the folder that an earlier stage writes;
* ``{row: NAME}``: of the row that is measured: its ``start``, its ``seed``, one of its ``values``, or the
  folder of an earlier step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from math import prod
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from geopretrain.config.analysis_options import ANALYSES, CKA
from geopretrain.errors import ConfigError
from geopretrain.schema import Count, Natural, checked

Scale = Literal["paper", "small", "tiny"]
"""How much is done: as the paper, in an hour or so of a processor, in a minute or two on synthetic worlds."""
SCALES: tuple[Scale, ...] = get_args(Scale)
Kind = Literal["setting", "data", "stage", "row"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STAGES, RESULTS, PAGE, ROWS = "stages.json", "results.json", "report.html", "rows"
"""What a recipe has in its folder beside its stages: what is finished, what came out, and rows with seeds."""
COMPARE = "compare"
MOST_COMBINATIONS = 1000
"""Of what a stage varies."""
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
    small: list[str] = field(default_factory=list)
    """The same at the scale ``small``, where another order suits it; none: as ``folders``."""
    tiny: str = ""
    """What is taken at the scale ``tiny``: a synthetic world."""

    def folders_at(self, scale: Scale) -> list[str]:
        """Return what is looked for, the first that is there to be taken."""
        return self.small if scale == "small" and self.small else self.folders


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
    over: Mapping[Name, Annotated[Mapping[Name, Mapping[str, Any]], Field(min_length=1)]] = field(
        default_factory=dict
    )
    """What it varies, by axes and points, and the options that each point changes: it stands for a stage of
    each combination, see `geopretrain.recipes.grid`."""

    def __post_init__(self) -> None:
        """Refuse grids that nobody can mean."""
        if (found := prod(map(len, self.over.values()))) > MOST_COMBINATIONS:
            raise ConfigError(
                f"The stage {self.name} varies so much that it stands for {found} stages; "
                f"{MOST_COMBINATIONS} are the most."
            )


@checked
class Column:
    """A number of the paper's table."""

    name: str
    """As our results have it."""
    title: str
    """As the paper has it."""
    better: Literal["lower", "higher", "neither"]
    """Which direction is good."""
    decimals: Natural = 3
    """Digits behind the point."""


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
    values: Mapping[str, Any] = field(default_factory=dict)
    """What else ``{row: NAME}`` stands for."""
    against: str | None = None
    """Row that it is held against; left away: the first one."""


@checked
class Measure:
    """What is done for each row and seed; the last step scores."""

    steps: Annotated[list[Stage], Field(min_length=1)]
    """Commands, one after the other."""
    seeds: Setting
    """Of each row, a list."""
    columns: Annotated[list[Column], Field(min_length=1)]
    """Numbers of the table; the first one decides."""


START = "start"
"""In place of a step that scores: numbers of the very trainings that rows start from."""


@checked
class Item:
    """A table or figure of the paper that is a part of a study; ``reproduce`` runs what it needs and no more.

    What it shows is a table (``scored``), maps of layers (``maps``) or pictures (``pictures``).
    """

    item: str
    """Table or figure of the paper."""
    words: str
    """What it shows."""
    rows: list[str] = field(default_factory=list)
    """Rows that it has; none: all."""
    scored: str | None = None
    """Measured step whose numbers are its table; ``start``: ``samples`` and ``loss`` of the trainings that
    rows start from."""
    columns: list[Column] = field(default_factory=list)
    """Numbers of the table; none: those of the recipe."""
    printed: Mapping[str, Mapping[str, float]] | Literal["rows"] = field(default_factory=dict)
    """The paper's numbers by rows and columns; ``rows``: those that stand with the rows."""
    others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Rows that only the paper has, and its numbers."""
    lines: list[str] = field(default_factory=list)
    """Of a table that is also drawn: the values of rows that its horizontal axis and its lines are."""
    maps: list[str] = field(default_factory=list)
    """Measured steps whose maps of layers (CKA) it shows."""
    pictures: str | None = None
    """Measured step of ``evaluate`` of whose frames it shows the depth of each row, and the errors."""
    frames: Count = 3
    """How many of these frames."""

    @property
    def numbers(self) -> Mapping[str, Mapping[str, float]]:
        """The paper's numbers that stand with the item."""
        return {} if self.printed == "rows" else self.printed

    @property
    def steps(self) -> list[str]:
        """Measured steps that it needs."""
        return [one for one in (self.scored, *self.maps, self.pictures) if one is not None and one != START]


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
class Other:
    """Numbers of the paper that no row of a comparison is held beside: what is not trained or scored here."""

    numbers: Annotated[Mapping[str, float], Field(min_length=1)]
    """As those of `Printed`."""
    words: str
    """What the paper calls it."""
    stage: str | None = None
    """Of several comparisons, which has them on its page; left away: the last."""


@checked
class Recipe:
    """A table or figure of a paper as a fixed sequence of commands."""

    title: str
    """What it is, in a line."""
    paper: str
    """Authors, title, year; ``none: WHERE FROM`` of a question of one's own."""
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
    """Lines of the table; the first is what the others are held against. None: it ends with comparisons."""
    measure: Measure | None = None
    """How a row becomes numbers."""
    printed: list[Printed] = field(default_factory=list)
    """Of a study: the paper's numbers."""
    others: list[Other] = field(default_factory=list)
    """Of a study: the paper's numbers that no row of ours has."""
    items: Mapping[Name, Item] = field(default_factory=dict)
    """Tables and figures by name, where it is of several."""
    differs: list[str] = field(default_factory=list)
    """Sentences: what is not as in the paper, at every scale."""

    @property
    def has_paper(self) -> bool:
        """Whether it is a paper's table or figure, and no question of one's own."""
        return re.match(r"none\b", self.paper, re.IGNORECASE) is None

    @property
    def origin(self) -> str:
        """What it is of: the paper and its table or figure, or where a question of one's own is from."""
        if self.has_paper:
            return f"{self.paper}, {self.item}"
        said = self.paper[len("none") :].lstrip(" :").rstrip(". ") or "a question of one's own"
        return f"{said[0].upper()}{said[1:]}"

    @property
    def is_study(self) -> bool:
        """Whether it ends with a comparison, or with analyses beside comparisons, and has no table."""
        compares = any(stage.command == COMPARE for stage in self.stages)
        return compares and not self.rows and self.stages[-1].command in (COMPARE, *ANALYSES)

    def shown(self) -> dict[str, Item]:
        """Return the tables and figures by name, with what they leave away; of a recipe of one, it alone.

        Nothing of one that ends with a comparison.
        """
        if self.measure is None:
            return {}
        return {name: self._whole(one, self.measure) for name, one in self.items.items()} or {
            "": self._only(self.measure)
        }

    def _only(self, measure: Measure) -> Item:
        """Return the table of a recipe without items, with all maps and pictures that there are."""
        maps = [step.name for step in measure.steps if step.command == CKA]
        scored = measure.steps[-1].name
        one = Item(
            item=self.item, words=self.title, scored=scored, printed="rows", maps=maps, pictures=scored
        )
        return self._whole(one, measure)

    def _whole(self, item: Item, measure: Measure) -> Item:
        rows = item.rows or [row.name for row in self.rows]
        printed = item.printed
        if printed == "rows":
            printed = {row.name: row.printed for row in self.rows if row.printed and row.name in rows}
        return replace(item, rows=rows, columns=item.columns or measure.columns, printed=printed)

    @property
    def comparisons(self) -> list[Stage]:
        """Of a study: its comparisons."""
        return [stage for stage in self.stages if stage.command == COMPARE] if self.is_study else []

    @property
    def analyses(self) -> list[Stage]:
        """Of a study: what it looks at beside its comparisons."""
        return [stage for stage in self.stages if stage.command in ANALYSES] if self.is_study else []

    @property
    def ends(self) -> list[Stage]:
        """What everything else is there for: comparisons and analyses, or the steps of each row."""
        return [*self.comparisons, *self.analyses] if self.measure is None else self.measure.steps


def reference(value: Any) -> tuple[Kind, str] | None:
    """Return kind and name of a reference, None where a value is none."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    kind, name = next(iter(value.items()))
    return (kind, name) if kind in KINDS and isinstance(name, str) else None


def referred(value: Any) -> str | None:
    """Return what a value refers to as people read it, None where it is no reference."""
    found = reference(value)
    return None if found is None else f"the {found[0]} {found[1]}"


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
