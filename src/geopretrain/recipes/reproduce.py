"""``reproduce``: a table or figure of a paper as one command, resumable between and inside its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geopretrain import manifest
from geopretrain.compute import fewer_threads_where_shared
from geopretrain.config.command import takes
from geopretrain.config.options import ReproduceOptions
from geopretrain.config.saved import FILE, as_saved, command_line, load, write_saved
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.files import write_json, writing
from geopretrain.folders import check_marker, foreign, mark_begun, owned
from geopretrain.recipes.finding import find
from geopretrain.recipes.journal import ADVICE, Journal
from geopretrain.recipes.paper import beside_paper, in_words
from geopretrain.recipes.plan import SAME_RESULT, Plan, make_plan
from geopretrain.recipes.results import Outcome, collect
from geopretrain.recipes.running import finished, run_rows, run_stages
from geopretrain.recipes.shapes import PAGE, RESULTS
from geopretrain.study.comparison import Comparison
from geopretrain.study.folder import LOG
from geopretrain.study.launchers import Launch, check_here, device_of, launch_of, reaching

COMMAND = "reproduce"
_MAY_DIFFER = (*SAME_RESULT, "seeds", "out", "dry_run", "command")
"""Options that may change when a recipe is continued: they add rows, or say how the work is done."""


@dataclass(frozen=True)
class Reproduction:
    """What ``reproduce`` returns.

    Attributes:
        plan: all calls.
        outcomes: the tables by the items of the plan; none where the calls were only shown, end with
            comparisons, or where figures alone were asked for.
        comparisons: that a study ends with; none where the calls were only shown.
        is_run: whether the calls were run.
        told: whether what came out of the one comparison stands above already: it was run just now.
    """

    plan: Plan
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    comparisons: Sequence[Comparison] = ()
    is_run: bool = True
    told: bool = False

    @property
    def comparison(self) -> Comparison | None:
        """The last comparison of a study that was run."""
        return self.comparisons[-1] if self.comparisons else None

    @property
    def report(self) -> Path:
        """The page to look at: that of the comparison, where there is nothing else."""
        recipe = self.plan.recipe
        if len(recipe.ends) == 1 and recipe.comparisons:
            return self.plan.out / recipe.comparisons[0].name / PAGE
        return self.plan.out / (f"{self.plan.item}.html" if self.plan.item else PAGE)

    @property
    def table(self) -> Outcome:
        """The table, the first of several.

        Raises:
            ConfigError: the calls were only shown, end with a comparison, or are those of a figure.
        """
        if self.comparison is not None:
            raise ConfigError("This recipe ends with a comparison: look at its .comparison.")
        if not self.is_run:
            raise ConfigError("Nothing was run: leave --dry-run away to get numbers.")
        if not self.outcomes:
            raise ConfigError("This is a figure, which has no table: look at its .report.")
        return next(iter(self.outcomes.values()))

    def text(self) -> str:
        """Return what came out, or the calls where nothing was run."""
        if not self.is_run:
            from geopretrain.recipes.estimates import in_words as likely

            return f"{self.plan.text()}\n{likely(self.plan)}"
        said = self._compared() if self.comparisons else []
        for name, outcome in self.outcomes.items():
            head = f"{self.plan.items[name].item}: " if name else ""
            said += [f"{head}{outcome.headline()}", *outcome.sentences()]
        said += [*self.plan.left_out, self.plan.caution, f"The report is {self.report}."]
        return "\n".join(filter(None, said))

    def _compared(self) -> list[str]:
        """Return what came out of each comparison, and what the paper says."""
        recipe, several = self.plan.recipe, len(self.plan.recipe.ends) > 1
        said = [f"The paper: {recipe.claim}"] if recipe.claim else []
        for stage, one in zip(recipe.comparisons, self.comparisons, strict=True):
            said += [f"\n{stage.words}:"] if several else []
            if not self.told:
                parts = [row for part in ("choice", "pretrainings") for row in one.results.get(part, ())]
                said += [one.sentence, *(row["sentence"] for row in parts)]
            said += [in_words(one)]
        return [*filter(None, said)]

    def as_json(self, failures: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what came out in plain values."""
        plan, tables = self.plan, {name: _as_json(one) for name, one in self.outcomes.items()}
        return {
            "recipe": plan.name,
            "scale": plan.scale,
            **tables.pop("", {}),
            **({"items": tables} if tables else {}),
            "settings": dict(plan.settings),
            "data": dict(plan.data),
            "failures": failures,
        }


def _as_json(table: Outcome) -> dict[str, Any]:
    return {
        "protocol": table.protocol,
        "images": table.images,
        "frames": table.frames,
        "rows": table.as_json(),
    }


@takes(ReproduceOptions)
def reproduce(options: ReproduceOptions) -> Reproduction:
    """Run a recipe: every stage, every row with every seed, and a report beside the paper's numbers.

    Repeat the call to continue an interrupted one; what is finished is kept.

    Returns:
        The plan, the table, and the path of the report.

    Raises:
        UserError: unknown recipe, data that are not there, a folder that cannot be used, or a stage that
            failed; the message says how to go on.
    """
    plan = make_plan(options)
    if options.dry_run:
        return Reproduction(plan, is_run=False)
    check_here(options)
    saved = as_saved(COMMAND, options, out=plan.out, recipe=_absolute(options.recipe))
    _check_folder(plan.out, saved, overwrite=options.overwrite)
    launch = _launch(plan, options)
    with reaching(launch), owned(plan.out):
        return _run(plan, saved, launch, overwrite=options.overwrite)


def _launch(plan: Plan, options: ReproduceOptions) -> Launch:
    """Return where steps run: those of the tiny form in this process where nothing else is said, because
    others would take as long to start as their work takes."""
    launch = launch_of(options, device_of(options), plan.out / LOG)
    is_short = plan.scale == "tiny" and launch.launcher == "local" and launch.jobs == "auto"
    return replace(launch, jobs=1) if is_short else launch


def _run(plan: Plan, saved: dict[str, Any], launch: Launch, *, overwrite: bool) -> Reproduction:
    """Run what is missing in the folder of a recipe, and write what came out."""
    from geopretrain.recipes.page import write_report

    with writing(plan.out):
        manifest.begin(plan.out)
    write_saved(plan.out, saved, own=True)
    mark_begun(plan.out)
    for step in plan.steps:
        manifest.note_folder(step.folder)
    journal = Journal(plan.out, anew=overwrite)
    with fewer_threads_where_shared():
        ran = run_stages(plan, journal, launch, overwrite=overwrite)
        if plan.recipe.is_study:
            return _study(plan, journal, _typed(saved), ran)
        failures = run_rows(plan, journal, launch, overwrite=overwrite)
    done = finished(plan.measured, journal)
    tables = {name: collect(plan, done, item) for name, item in plan.items.items() if item.scored}
    made = Reproduction(plan, tables)
    write_json(plan.out / (f"{plan.item}.json" if plan.item else RESULTS), made.as_json(failures))
    write_report(made.report, plan, tables, done, journal, failures, _typed(saved))
    return made


def _study(plan: Plan, journal: Journal, line: str, ran: Sequence[str]) -> Reproduction:
    """Set the comparisons of a study beside the paper; with more than one end it has a page of its own."""
    from geopretrain.recipes.page import write_overview

    compared = beside_paper(plan)
    told = len(compared) == 1 and plan.recipe.comparisons[0].name in ran
    made = Reproduction(plan, comparisons=compared, told=told)
    if len(plan.recipe.ends) > 1:
        write_overview(made.report, plan, made.comparisons, journal, line)
    write_json(plan.out / RESULTS, made.as_json([]))
    return made


def _typed(saved: dict[str, Any]) -> str:
    return command_line(ReproduceOptions, saved)


def _absolute(recipe: str) -> str:
    return str(Path(recipe).absolute()) if recipe.endswith((".yaml", ".yml")) else recipe


def _check_folder(out: Path, saved: dict[str, Any], *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than this recipe, changing nothing.

    Raises:
        RunFolderError: it is not empty and no recipe, or one with other settings.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"'{out}' is a file; --out needs the name of a folder.")
    before = _before(out)
    if foreign(out) and before.get("command") != COMMAND:
        raise RunFolderError(
            f"'{out}' is not empty and holds no recipe, so it is left alone. Choose another --out."
        )
    check_marker(out, bool(before), "a recipe", overwrite=overwrite)
    if not before or overwrite:
        return
    saved, before = ({**one, "recipe": _study_of(one.get("recipe"))} for one in (saved, before))
    for name in saved:
        if name not in _MAY_DIFFER and before.get(name) != saved[name]:
            raise RunFolderError(
                f"'{out}' holds {before.get('recipe')} with {name} = {before.get(name)!r}, not "
                f"{saved[name]!r}. Use the same settings to continue it. {ADVICE}"
            )


def _study_of(recipe: Any) -> Any:
    """Return the name of the recipe that a table or figure is of: these share its folder."""
    try:
        return find(str(recipe)).name
    except ConfigError:
        return recipe


def _before(out: Path) -> dict[str, Any]:
    try:
        return load(out / FILE) if (out / FILE).is_file() else {}
    except ConfigError:
        return {}
