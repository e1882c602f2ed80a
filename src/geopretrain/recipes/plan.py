"""From a recipe to the calls that it stands for, at a scale, with the user's data: nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from geopretrain.config.groups import ComputeOptions, DistributedOptions
from geopretrain.config.launching import LauncherOptions
from geopretrain.config.options import ReproduceOptions
from geopretrain.config.saved import as_saved, command_line
from geopretrain.errors import ConfigError, OptionError, nearest_name
from geopretrain.recipes.commands import (
    INSIDE,
    is_launched,
    options_class,
    options_of_call,
    options_of_command,
)
from geopretrain.recipes.finding import Found, find, problems_of_setting
from geopretrain.recipes.parts import needed, steps_of
from geopretrain.recipes.places import not_found, place, possible_items
from geopretrain.recipes.shapes import (
    ROWS,
    DataSet,
    Item,
    Measure,
    Recipe,
    Row,
    Scale,
    Stage,
    at_scale,
    reference,
    references,
    referred,
)
from geopretrain.schema import defaults, given

SAME_RESULT = (
    "device",
    "threads",
    "devices",
    "num_nodes",
    "strategy",
    "launcher",
    "address",
    "slurm",
    "jobs",
)
"""Options that say where something is computed, and change no more than its last digits."""


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
        steps: calls, one after the other.
    """

    row: Row
    seed: int
    steps: Sequence[Step]

    def step(self, name: str | None) -> Step | None:
        """Return a call by the name of its step, None where there is none."""
        return next((step for step in self.steps if step.name.rpartition("/")[2] == name), None)

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
        starts: what each row starts from.
        items: tables and figures that are wanted, by name; of a recipe of one its name is empty.
        item: the one that was asked for; empty: all.
        left_out: sentences on those that cannot be made with the data that are there; of a plan that is only
            shown, also on the data that it would need.
    """

    name: str
    recipe: Recipe
    scale: Scale
    out: Path
    settings: Mapping[str, Any]
    data: Mapping[str, str]
    stages: Sequence[Step]
    measured: Sequence[Measured]
    starts: Mapping[str, Any]
    items: Mapping[str, Item]
    item: str = ""
    left_out: Sequence[str] = ()

    @property
    def caution(self) -> str:
        """What a small scale cannot show, as a sentence; empty at that of the paper."""
        return CAUTIONS.get(self.scale, "")

    @property
    def steps(self) -> list[Step]:
        """All calls, in order."""
        return [*self.stages, *(step for one in self.measured for step in one.steps)]

    @property
    def analyses(self) -> list[Step]:
        """Of a study: what it looks at beside its comparisons."""
        names = {stage.name for stage in self.recipe.analyses}
        return [step for step in self.stages if step.name in names]

    def text(self) -> str:
        """Return all calls as lines that can be typed, each below what it does."""
        told = [f"{self.recipe.title} ({self.scale})", *self.left_out]
        shared = [f"{_comment(f'{step.name}: {step.words}')}\n{step.line}" for step in self.stages]
        rows = [
            f"{_comment(f'row {one.name}: {step.words}')}\n{step.line}"
            for one in self.measured
            for step in one.steps
        ]
        return "\n".join([*map(_comment, told), *shared, *rows])


_OTHERWISE = dict.fromkeys(
    ("devices", "strategy", "checkpoint_activations", "sync_batchnorm"),
    " It is of single trainings; those of a comparison are shared out with --jobs or --launcher.",
)
"""What is said of options that no step of a recipe takes."""


def _comment(text: str) -> str:
    """Return text as a comment of one line: what follows an end of line in it would be a command."""
    return f"# {' '.join(text.split())}"


def make_plan(options: ReproduceOptions) -> Plan:
    """Return the plan of a recipe.

    Raises:
        ConfigError: unknown recipe or setting, data that are not there, options that a command refuses, or
            options of how to compute that none of its steps takes.
    """
    found, scale = find(options.recipe), scale_of(options)
    recipe = found.recipe
    for name, value in options.settings.items():
        if name not in recipe.settings:
            near = nearest_name(name, recipe.settings)
            raise ConfigError(
                f"Unknown setting '{name}' of {options.recipe}.{near} Known: {', '.join(recipe.settings)}."
            )
        for problem in problems_of_setting(recipe, name, value):
            raise ConfigError(f"--settings: {problem}")
    if recipe.is_study and options.seeds is not None:
        raise ConfigError(_seeds_of_study(options, recipe))
    values = {name: at_scale(one, scale) for name, one in recipe.settings.items()} | dict(options.settings)
    items, left_out = possible_items(options, found, values, scale)
    wanted = needed(recipe, list(items.values()), values)
    places = {name: place(options, name, recipe.data[name], scale) for name in wanted.data}
    if options.dry_run:
        left_out += not_found(options, recipe.data, wanted.data, scale)
    resolver = _Resolver(options, found, scale, values, places, items)
    plan = resolver.plan(wanted.stages, left_out)
    resolver.check_compute(plan)
    return plan


def _seeds_of_study(options: ReproduceOptions, recipe: Recipe) -> str:
    """Return the sentence on seeds that were given to a recipe that ends with comparisons."""
    said = f"{options.recipe} has no rows; the seeds of its comparison are a setting of it"
    if "seeds" not in recipe.settings or not options.seeds:
        return f"{said}, see `geopretrain recipes {options.recipe}`."
    many = list(options.seeds) == list(range(len(options.seeds)))
    seeds = len(options.seeds) if many else ",".join(map(str, options.seeds))
    return f"{said}: --settings seeds={seeds}."


def scale_of(options: ReproduceOptions) -> Scale:
    """Return the scale that is asked for."""
    return "tiny" if options.tiny else "small" if options.small else "paper"


def out_folder(options: ReproduceOptions) -> Path:
    """Return the folder of everything, absolute.

    It is without ``..``, as what is there is read: the same folder by another name would be another call.
    """
    if options.out is not None:
        out = Path(options.out).absolute()
        return out.resolve() if ".." in out.parts else out
    stem = Path(options.recipe).with_suffix("") if options.recipe.endswith((".yaml", ".yml")) else None
    name = stem.name if stem else find(options.recipe).name.replace("/", "-")
    return Path("reproduced", f"{name}-{scale_of(options)}").absolute()


class _Resolver:
    """Puts values in the place of references."""

    def __init__(
        self,
        options: ReproduceOptions,
        found: Found,
        scale: Scale,
        values: Mapping[str, Any],
        places: Mapping[str, str],
        items: Mapping[str, Item],
    ) -> None:
        self.options, self.found, self.recipe, self.scale = options, found, found.recipe, scale
        self.values, self.places, self.items, self.out = values, places, items, out_folder(options)
        self.stages = {stage.name: stage for stage in self.recipe.stages}
        self.taken: set[str] = set()

    def plan(self, wanted: Sequence[str], left_out: Sequence[str]) -> Plan:
        """Return the plan with the stages that are wanted."""
        return Plan(
            name=self.options.recipe,
            recipe=self.recipe,
            scale=self.scale,
            out=self.out,
            settings={name: self._shown(value) for name, value in self.values.items()},
            data=self.places,
            stages=[self._step(self.stages[name], self.folder(name), {}) for name in wanted],
            measured=[one for row in self.recipe.rows for one in self._of_row(row)],
            starts={row.name: self.value(row.start) for row in self.recipe.rows},
            items=self.items,
            item=self.found.item,
            left_out=left_out,
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

    def check_compute(self, plan: Plan) -> None:
        """Raise OptionError for what was said of how to compute and reaches none of the calls."""
        usual = defaults(ReproduceOptions)
        for name, asked in self._compute.items():
            if asked == usual[name] or name in self.taken:
                continue
            if any(name in options_of_command(step.command) for step in plan.steps):
                raise OptionError(name, f"is fixed by {plan.name} wherever it counts: leave it away.")
            commands = ", ".join(sorted({step.command for step in plan.steps}))
            more = _OTHERWISE.get(name, "")
            raise OptionError(name, f"reaches no step of {plan.name}: none of {commands} takes it.{more}")

    def folder(self, name: str) -> Path:
        """Return the folder that a stage writes."""
        stage = self.stages[name]
        if stage.command in INSIDE:
            return Path(self.value(stage.options[INSIDE[stage.command]])).absolute()
        return self.out / name

    def value(self, value: Any, row: Mapping[str, Any] | None = None) -> Any:
        """Return a value with everything that it refers to; what is nothing is left out of mappings."""
        if (found := reference(value)) is not None:
            kind, name = found
            if kind == "setting":
                return self.value(self.values[name], row)
            return (row or {}).get(name) if kind == "row" else self._named(kind, name)
        if isinstance(value, Mapping):
            inside = {name: self.value(part, row) for name, part in value.items()}
            return {name: part for name, part in inside.items() if part is not None}
        return [self.value(part, row) for part in value] if isinstance(value, list) else value

    def _named(self, kind: str, name: str) -> str:
        return self.places[name] if kind == "data" else str(self.folder(name))

    def _shown(self, value: Any) -> Any:
        """Return a setting as it is shown: what it refers to may not be needed, and has a name."""
        return referred(value) or value

    def _of_row(self, row: Row) -> list[Measured]:
        """Return a row with each seed that something of it is measured with."""
        items = list(self.items.values())
        seeds = self._seeds if self.recipe.rows else ()
        steps = [steps_of(self.recipe, items, row, first=not number) for number, _ in enumerate(seeds)]
        return [self._measured(row, seed, own) for seed, own in zip(seeds, steps, strict=True) if own]

    def _measured(self, row: Row, seed: int, stages: Sequence[Stage]) -> Measured:
        values = {name: self.value(value) for name, value in row.values.items()}
        names: dict[str, Any] = {**values, "seed": seed, "start": self.value(row.start)}
        steps = []
        for stage in stages:
            folder = self.out / ROWS / row.name / f"seed-{seed}" / stage.name
            name = f"{row.name}/seed-{seed}/{stage.name}"
            steps.append(self._step(stage, folder, names, name=name))
            names[stage.name] = str(folder)
        return Measured(row, seed, steps)

    def _step(self, stage: Stage, folder: Path, row: Mapping[str, Any], *, name: str = "") -> Step:
        known = [one.name for one in fields(options_class(stage.command))]
        chosen = self.value(dict(stage.options), row)
        if "out" in known:
            chosen["out"] = str(folder)
        compute = {one: asked for one, asked in self._compute.items() if one in known and one not in chosen}
        self.taken |= set(compute)
        if is_launched(stage.command):
            self.taken |= {one.name for one in fields(LauncherOptions)}
        chosen |= compute
        try:
            options = options_of_call(stage.command, chosen)
        except ConfigError as error:
            raise ConfigError(f"The stage {name or stage.name} ({stage.command}): {error}") from error
        used = [one for kind, one in references(dict(stage.options)) if kind == "data"]
        data = {one: self.recipe.data[one] for one in used}
        return Step(name or stage.name, stage.words, stage.command, options, folder, data)
