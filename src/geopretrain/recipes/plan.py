"""From a recipe to the calls that it stands for, at a scale, with the user's data: nothing is run here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from geopretrain.config.groups import ComputeOptions, DistributedOptions
from geopretrain.config.launching import LauncherOptions
from geopretrain.config.options import ReproduceOptions
from geopretrain.config.saved import as_saved, command_line
from geopretrain.data.catalogue.finding import VARIABLE, spec_of
from geopretrain.data.catalogue.finding import found as found_set
from geopretrain.data.catalogue.table import data_set, data_sets
from geopretrain.errors import ConfigError, nearest_name
from geopretrain.recipes.commands import INSIDE, options_class
from geopretrain.recipes.finding import problems_of_setting, read_recipe
from geopretrain.recipes.shapes import (
    Column,
    DataSet,
    Measure,
    Recipe,
    Row,
    Scale,
    Stage,
    at_scale,
    reference,
    references,
)
from geopretrain.schema import defaults, given

SAME_RESULT = ("device", "threads", "devices", "num_nodes", "strategy", "launcher", "address", "slurm")
"""Options that say where something is computed, and change no more than its last digits."""
ROOT = "DATA_ROOT"
"""Stands for the folder of the data where a plan is only shown."""


@dataclass(frozen=True)
class Step:
    """One call of a command.

    Attributes:
        name: of the stage; of a row's step ``ROW/seed-N/STEP``.
        words: what it does.
        command: as it is typed.
        options: of its class, checked.
        folder: that it writes.
        data: data sets that it reads, by name.
    """

    name: str
    words: str
    command: str
    options: Any
    folder: Path
    data: Mapping[str, DataSet] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """What is typed to do the same."""
        return command_line(options_class(self.command), as_saved(self.command, self.options))

    def recognised(self, out: Path) -> str:
        """Return what tells it from another call: ``line`` without what changes no result, and the place."""
        known = [one.name for one in fields(options_class(self.command))]
        usual = {**defaults(DistributedOptions), **defaults(LauncherOptions)}
        free = {name: value for name, value in usual.items() if name in SAME_RESULT}
        free |= {"device": "auto", "threads": None}
        saved = as_saved(self.command, self.options, **{n: v for n, v in free.items() if n in known})
        return command_line(options_class(self.command), saved).replace(str(out.absolute()), "OUT")


@dataclass(frozen=True)
class Measured:
    """A row of the table with one seed.

    Attributes:
        row: of the recipe.
        seed: of its trainings.
        steps: calls, the last of which scores.
    """

    row: Row
    seed: int
    steps: Sequence[Step]

    @property
    def name(self) -> str:
        """``ROW, seed N``."""
        return f"{self.row.name}, seed {self.seed}"


CAUTIONS = {
    "tiny": "This is the tiny form: it shows that every stage runs. With so few steps and images its numbers "
    "prove nothing about the rows, whatever the verdicts say.",
    "small": "This is the small form: trainings are a small part of the paper's, so which row is better here "
    "need not be so at full length.",
}
"""What stands beside the numbers of each scale."""


@dataclass(frozen=True)
class Plan:
    """What a recipe comes to.

    Attributes:
        name: of the recipe.
        recipe: as its file has it.
        scale: ``paper``, ``small`` or ``tiny``.
        out: folder of everything.
        settings: values of the recipe's settings; references stand for what they lead to.
        data: where the data sets are that are needed.
        stages: calls that all rows share.
        measured: rows and seeds.
    """

    name: str
    recipe: Recipe
    scale: Scale
    out: Path
    settings: Mapping[str, Any]
    data: Mapping[str, str]
    stages: Sequence[Step]
    measured: Sequence[Measured]

    @property
    def caution(self) -> str:
        """What a small scale cannot show, as a sentence; empty at that of the paper."""
        return CAUTIONS.get(self.scale, "")

    @property
    def columns(self) -> Sequence[Column]:
        """Of the table; none where the last stage compares."""
        return () if self.recipe.measure is None else self.recipe.measure.columns

    @property
    def steps(self) -> list[Step]:
        """All calls, in order."""
        return [*self.stages, *(step for one in self.measured for step in one.steps)]

    def text(self) -> str:
        """Return all calls as lines that can be typed, each below what it does."""
        shared = [f"# {step.name}: {step.words}\n{step.line}" for step in self.stages]
        rows = [f"# row {one.name}: {step.words}\n{step.line}" for one in self.measured for step in one.steps]
        return "\n".join([f"# {self.recipe.title} ({self.scale})", *shared, *rows])


def make_plan(options: ReproduceOptions) -> Plan:
    """Return the plan of a recipe.

    Raises:
        ConfigError: unknown recipe or setting, data that are not there, or options that a command refuses.
    """
    recipe, scale = read_recipe(options.recipe), scale_of(options)
    for name, value in options.settings.items():
        if name not in recipe.settings:
            near = nearest_name(name, recipe.settings)
            raise ConfigError(
                f"Unknown setting '{name}' of {options.recipe}.{near} Known: {', '.join(recipe.settings)}."
            )
        for problem in problems_of_setting(recipe, name, value):
            raise ConfigError(f"--settings: {problem}")
    if recipe.is_study and options.seeds is not None:
        raise ConfigError(f"{options.recipe} has no rows; the seeds of its comparison are a setting of it.")
    values = {name: at_scale(one, scale) for name, one in recipe.settings.items()} | dict(options.settings)
    stages, data = _needed(recipe, values)
    places = {name: _place(options, name, recipe.data[name], scale) for name in data}
    return _Resolver(options, recipe, scale, values, places).plan(stages)


def scale_of(options: ReproduceOptions) -> Scale:
    """Return the scale that is asked for."""
    return "tiny" if options.tiny else "small" if options.small else "paper"


def out_folder(options: ReproduceOptions) -> Path:
    """Return the folder of everything, absolute."""
    if options.out is not None:
        return Path(options.out).absolute()
    stem = Path(options.recipe).with_suffix("") if options.recipe.endswith((".yaml", ".yml")) else None
    name = stem.name if stem else options.recipe.replace("/", "-")
    return Path("reproduced", f"{name}-{scale_of(options)}").absolute()


def _needed(recipe: Recipe, values: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names of the stages and data sets that the rows need, in the order of the file."""
    by_name = {stage.name: stage for stage in recipe.stages}
    stages: set[str] = set()
    data: set[str] = set()

    def follow(value: Any) -> None:
        for kind, name in references(value):
            if kind == "setting":
                follow(values[name])
            elif kind == "data":
                data.add(name)
            elif kind == "stage" and name not in stages:
                stages.add(name)
                follow(dict(by_name[name].options))

    follow([row.start for row in recipe.rows])
    follow([dict(stage.options) for stage in recipe.ends])
    stages |= {stage.name for stage in recipe.comparisons}
    return [name for name in by_name if name in stages], [name for name in recipe.data if name in data]


def _place(options: ReproduceOptions, name: str, data: DataSet, scale: Scale) -> str:
    """Return what is given as the data of a command.

    Raises:
        ConfigError: they are not there; the message says what is expected, and where it is had.
    """
    if scale == "tiny":
        if not data.tiny:
            raise ConfigError(f"{options.recipe} has no tiny form of its data '{name}'. Use --data-root.")
        return data.tiny
    root = _root(options)
    found = [] if root is None else [place for one in data.folders if (place := _below(root, one))]
    if found:
        return found[0]
    if options.dry_run:
        return str(Path(str(root or ROOT), *data.folders[:1]))
    expected = " or ".join(map(_in_words, data.folders))
    there = f"'{root}' has none of it" if root is not None else "--data-root is not given"
    raise ConfigError(
        f"{options.recipe} needs the data '{name}' below --data-root: {expected}; {there}. The paper took "
        f"{data.paper}. {data.get} `--tiny` runs the recipe on synthetic worlds, without data."
    )


def _root(options: ReproduceOptions) -> Path | None:
    """Return where data sets lie, as every command has it."""
    given = options.data_root if options.data_root is not None else os.environ.get(VARIABLE) or None
    return None if given is None else Path(given).expanduser().absolute()


def _below(root: Path, name: str) -> str | None:
    """Return where a data set of `geopretrain data list`, with its options, or else a folder or file of this
    name, is below a root."""
    bare, _, options = name.partition("?")
    if bare in data_sets() and (place := found_set(bare, root)) is not None:
        return spec_of(bare, place, options).removeprefix(data_set(bare).prefix)
    there = root / name
    if not there.exists():
        return None
    return str(there.resolve() if name == "." else there)


def _in_words(name: str) -> str:
    is_set = name.partition("?")[0] in data_sets()
    return "the folder itself" if name == "." else name if is_set or Path(name).suffix else f"{name}/"


class _Resolver:
    """Puts values in the place of references."""

    def __init__(
        self,
        options: ReproduceOptions,
        recipe: Recipe,
        scale: Scale,
        values: Mapping[str, Any],
        places: Mapping[str, str],
    ) -> None:
        self.options, self.recipe, self.scale = options, recipe, scale
        self.values, self.places, self.out = values, places, out_folder(options)
        self.stages = {stage.name: stage for stage in recipe.stages}

    def plan(self, wanted: Sequence[str]) -> Plan:
        """Return the plan with the stages that are wanted."""
        return Plan(
            name=self.options.recipe,
            recipe=self.recipe,
            scale=self.scale,
            out=self.out,
            settings={name: self._shown(value) for name, value in self.values.items()},
            data=self.places,
            stages=[self._step(self.stages[name], self.folder(name), {}) for name in wanted],
            measured=[self._measured(row, seed) for row in self.recipe.rows for seed in self._seeds],
        )

    @property
    def measure(self) -> Measure:
        """How rows are measured, where there are rows."""
        assert self.recipe.measure is not None  # a recipe with rows has one: `finding.problems`
        return self.recipe.measure

    @cached_property
    def _seeds(self) -> Sequence[int]:
        if self.options.seeds is not None:
            return self.options.seeds
        seeds: Sequence[int] = at_scale(self.measure.seeds, self.scale)
        return seeds

    @cached_property
    def _compute(self) -> Mapping[str, Any]:
        """What the user said of how to compute, for every command that takes it."""
        names = {
            one.name
            for group in (ComputeOptions, DistributedOptions, LauncherOptions)
            for one in fields(group)
        }
        return {name: value for name, value in given(self.options).items() if name in names}

    def folder(self, name: str) -> Path:
        """Return the folder that a stage writes."""
        stage = self.stages[name]
        if stage.command in INSIDE:
            return Path(self.value(stage.options[INSIDE[stage.command]]))
        return self.out / name

    def value(self, value: Any, row: Mapping[str, Any] | None = None) -> Any:
        """Return a value with everything that it refers to; what is nothing is left out of mappings."""
        if (found := reference(value)) is not None:
            kind, name = found
            if kind == "setting":
                return self.value(self.values[name], row)
            return {**(row or {})}[name] if kind == "row" else self._named(kind, name)
        if isinstance(value, Mapping):
            inside = {name: self.value(part, row) for name, part in value.items()}
            return {name: part for name, part in inside.items() if part is not None}
        return [self.value(part, row) for part in value] if isinstance(value, list) else value

    def _named(self, kind: str, name: str) -> str:
        return self.places[name] if kind == "data" else str(self.folder(name))

    def _shown(self, value: Any) -> Any:
        """Return a setting as it is shown: what it refers to may not be needed, and has a name."""
        found = reference(value)
        return f"that of {found[1]}" if found else value

    def _measured(self, row: Row, seed: int) -> Measured:
        names: dict[str, Any] = {"seed": seed, "start": self.value(row.start)}
        steps = []
        for stage in self.measure.steps:
            folder = self.out / "rows" / row.name / f"seed-{seed}" / stage.name
            name = f"{row.name}/seed-{seed}/{stage.name}"
            steps.append(self._step(stage, folder, names, name=name))
            names[stage.name] = str(folder)
        return Measured(row, seed, steps)

    def _step(self, stage: Stage, folder: Path, row: Mapping[str, Any], *, name: str = "") -> Step:
        cls = options_class(stage.command)
        known = [one.name for one in fields(cls)]
        chosen = self.value(dict(stage.options), row)
        if "out" in known:
            chosen["out"] = str(folder)
        for compute, asked in self._compute.items():
            if compute in known:
                chosen.setdefault(compute, asked)
        try:
            options = cls(**chosen)
        except ConfigError as error:
            raise ConfigError(f"The stage {name or stage.name} ({stage.command}): {error}") from error
        used = [one for kind, one in references(dict(stage.options)) if kind == "data"]
        data = {one: self.recipe.data[one] for one in used}
        return Step(name or stage.name, stage.words, stage.command, options, folder, data)
