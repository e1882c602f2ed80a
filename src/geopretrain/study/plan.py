"""What a comparison will train: every option resolved and every input checked before the first training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from geopretrain.config.auxiliary import AUXILIARY
from geopretrain.config.groups import PreservingOptions, RecipeOptions
from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import as_saved
from geopretrain.config.several import Mode
from geopretrain.console import console
from geopretrain.data.fingerprint import digest
from geopretrain.schema import Device
from geopretrain.study.contests import Contest, contest_of
from geopretrain.study.draws import Draw, drawn_by, drawn_from, draws_of, label_counts, names_sets
from geopretrain.study.folder import as_begun, trials_folder
from geopretrain.study.inits import NamedInit, common_backbone, read_inits
from geopretrain.study.launchers import device_of
from geopretrain.study.learning_rate import EXTENSIONS, rates_beyond, rates_of, seeds_for_search
from geopretrain.study.losses import log_every
from geopretrain.study.trials import Trial
from geopretrain.study.twins import other_mode
from geopretrain.study.variants import checked_variants, naming_variant

if TYPE_CHECKING:
    from geopretrain.data.dataset import Fields
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.tasks.presets import Preset

TRIAL_OPTIONS = (
    *("data", "backbone", "size", "settings", "precision", "channels_last", "ema"),
    *(one.name for group in (RecipeOptions, PreservingOptions) for one in fields(group)),
)
"""Options of ``compare`` that every trial gets, beside those that say what is learned from."""
T = TypeVar("T")
VALIDATIONS = 20
"""Of a training that they end, where nothing else is asked for."""
PRESERVING = {one.name for one in fields(PreservingOptions)}


@dataclass(frozen=True)
class Plan:
    """Everything that was resolved before the first training."""

    contest: Contest
    out: Path
    data: LabelledSet | FrameStore
    fields: Fields
    inits: list[NamedInit]
    modes: list[Mode]
    seeds: list[int]
    rates: dict[str, list[float]]
    """Learning rates of each initialisation; where there are several, one is chosen."""
    extensions: int
    """How often rates beyond an end of those are tried, where the best one is there."""
    search_seeds: list[int]
    draws: list[Draw]
    """Sets of samples that are learned from, by number of labels."""
    curves: dict[int, tuple[int, ...]]
    """Steps after which to score, by number of labels; the last one is the end."""
    pictures: tuple[int, ...]
    ending: dict[str, Any]
    """What ends trainings by validation, as options of the fine-tuning; {} where steps do."""
    validate_every: int | None
    """Steps between validations that end trainings; None: a twentieth of the steps."""
    settings: dict[str, Any]
    """What all trials share, as options of the fine-tuning."""
    config: dict[str, Any]
    """What ``config.yaml`` keeps."""
    device: Device
    evaluate_on: Literal["test", "val"]
    """Split that is scored."""

    def weights(self) -> dict[str, str]:
        """Return what tells whether an initialisation is the same as before: its weights, or its name."""
        return {one.name: one.identity for one in self.inits}

    def check(self) -> str:
        """Build what every trial would train, so that what cannot work is said before the first of them.

        Weights are opened and fitted to the backbone, settings and their combinations checked.

        Returns:
            What the data are recognised by, with whatever else the trials learn from.

        Raises:
            UserError: a trial could not begin.
        """
        from geopretrain.compute import has_device
        from geopretrain.training.preserving import check_preserving

        beside: dict[str, str] = {}
        device = self.device if has_device(self.device) else "cpu"  # they are trained elsewhere
        count = len(self.modes) * len(self.inits)
        first = [trial for trial in self.trials([]) if trial.seed == self.seeds[0]]
        varied = {one.name for one in self.inits if one.options}
        for trial in [*first[:count], *(first[count:][-1:])]:  # with the fewest labels, and one with the most
            of = f"{trial.init}/" if trial.init in varied else ""
            with console.showing(False), naming_variant(trial.init if of else ""):
                training = self.contest.training(trial.options(device=device, overwrite=True))
                training.task.check_data(training.data.describe())
                from_random = training.init.kind == "random"
                check_preserving(training.task, training.settings, from_random=from_random)
            beside |= {f"{of}{name}": str(one["fingerprint"]) for name, one in training.beside.items()}
        labelled = self.data.fingerprint(self.fields)
        return digest([labelled, beside]) if beside else labelled

    @property
    def searches(self) -> bool:
        """Whether learning rates are chosen among several."""
        return max(map(len, self.rates.values())) > 1

    def search_trials(self, found: list[dict[str, Any]] | None = None) -> list[Trial]:
        """Trials that only choose the learning rate: other seeds, validation images, scored at the end.

        Args:
            found: what `choose_rates` made of those before; then only rates beyond the ends that were best.
        """
        folder, rates = self.out / "search", self.rates
        beyond = {_key(row): rates_beyond(row) for row in found or ()}
        return [
            self._trial(folder, draw, one, mode, seed, rate, searching=True)
            for draw in self.first_draws
            for mode in self.modes
            for one in self.inits
            for rate in (rates[one.name] if found is None else beyond.get((mode, one.name, draw.labels), []))
            for seed in self.search_seeds
        ]

    @property
    def first_draws(self) -> list[Draw]:
        """The first set of each number of labels that was drawn: rates are chosen on these."""
        return [draw for draw in self.draws if draw.subset == self.draws[0].subset and not draw.chosen]

    def chosen(self) -> list[str]:
        """Return the names of the images of the list, the most worth first; [] without a list."""
        listed = [draw for draw in self.draws if draw.chosen]
        return self.data.names(listed[-1].positions(self.data, self.fields)) if listed else []

    @property
    def counts(self) -> list[int]:
        """Numbers of labels, ascending."""
        return [draw.labels for draw in self.first_draws]

    def trials(self, searched: list[dict[str, Any]]) -> list[Trial]:
        """Trials that are reported, seed by seed, so that an interrupted comparison has whole pairs."""
        chosen = {_key(row): row["chosen"] for row in searched}
        folder = trials_folder(self.out)
        return [
            self._trial(
                folder,
                draw,
                one,
                mode,
                seed,
                chosen.get((mode, one.name, draw.labels), self.rates[one.name][0]),
            )
            for seed in self.seeds
            for draw in self.draws
            if seed in self._seeds_of(draw)
            for mode in self.modes
            for one in self.inits
        ]

    def _seeds_of(self, draw: Draw) -> list[int]:
        """Return the seeds that a set is trained with: its own where each of several has one, else all."""
        sets = sorted({one.subset for one in self.draws if not one.chosen and one.labels == draw.labels})
        if not self.config["seed_per_set"] or draw.chosen or len(sets) == 1:
            return self.seeds
        return [self.seeds[sets.index(draw.subset)]]

    def _trial(
        self,
        folder: Path,
        draw: Draw,
        init: NamedInit,
        mode: Mode,
        seed: int,
        lr: float,
        *,
        searching: bool = False,
    ) -> Trial:
        rate = f"-lr{lr:g}" if float(f"{lr:g}") == lr else f"-lr{lr!r}"
        end = f"{draw.tag}{rate if searching else ''}-seed{seed}"
        like, curve = other_mode(init, mode, self.modes), self.curves[draw.labels]
        shown = draw == self.first_draws[-1] and seed == self.seeds[0] and not searching
        return Trial(
            folder=str(folder / f"{init.name}-{mode}{end}"),
            like=str(folder / f"{init.name}-{like}{end}") if like else "",
            init=init.name,
            source=init.source,
            mode=mode,
            seed=seed,
            lr=lr,
            evaluate_on="val" if searching else self.evaluate_on,
            curve=curve[-1:] if searching else curve,
            pictures=self.pictures if shown else (),
            keeps=self.config["keep_networks"],
            settings={
                **self._settings_of(init, mode),
                "steps": curve[-1],
                "log_every": log_every(curve[-1]),
                **self.ending_of(curve[-1]),
                **draw.options,
            },
            weights=init.identity,
            task=self.contest.task,
            drawn=draw.words,
            searching=searching,
        )

    def ending_of(self, steps: int) -> dict[str, Any]:
        """Return what ends a training of at most so many steps by validation; {} where steps end it."""
        every = self.validate_every or max(1, steps // VALIDATIONS)
        return {**self.ending, "validate_every": every} if self.ending else {}

    def _settings_of(self, init: NamedInit, mode: Mode) -> dict[str, Any]:
        """Return what a trial is trained with.

        A backbone of random numbers is not held unless its own options say so; a frozen one is not held, and
        learns nothing beside the labels.
        """
        held = set() if init.kind != "random" else PRESERVING
        shared = {name: value for name, value in self.settings.items() if name not in held}
        own = {name: value for name, value in init.options.items() if name != "lr"}
        own["settings"] = {**shared["settings"], **own.get("settings", {})}
        left = PRESERVING | set(AUXILIARY) if mode == "frozen" else set()
        return {name: value for name, value in (shared | own).items() if name not in left}


@dataclass(frozen=True)
class _Training:
    """How all trials are trained, before the data are looked at."""

    contest: Contest
    inits: list[NamedInit]
    variants: dict[str, dict[str, Any]]
    device: Device
    preset_name: str
    preset: Preset
    settings: dict[str, Any]
    """Of the preset, and those that were given."""
    modes: tuple[Mode, ...]
    batch_size: int
    rates: dict[str, list[float]]

    @property
    def searches(self) -> bool:
        return max(map(len, self.rates.values())) > 1


@dataclass(frozen=True)
class _Budget:
    """How long is trained, by number of labels."""

    steps: dict[int, int]
    curves: dict[int, list[int]]


def make_plan(options: CompareOptions) -> Plan:
    """Resolve the options of ``compare`` and read all data needed (raises as ``compare`` does)."""
    options = as_begun(options)
    training = _training(options)
    contest, searches = training.contest, training.searches
    contest.check_options(replace(options, modes=training.modes), searches)
    data, fields_of = contest.open(options, training.preset), contest.fields(options)
    available = len(drawn_from(data, fields_of))
    counts = label_counts(options, available)
    draws, budget = draws_of(options, counts, available), _budget(options, training, counts)
    config = as_saved("compare", options, **_resolved(options, training, data.size, budget))
    own = {one: config[one] for one in (*TRIAL_OPTIONS, *contest.own_options) if config[one] is not None}
    return Plan(
        contest=contest,
        out=Path(options.out or "").resolve(),
        data=data,
        fields=fields_of,
        inits=training.inits,
        modes=list(training.modes),
        seeds=list(options.seeds),
        rates=training.rates,
        extensions=EXTENSIONS if options.lr == "auto" else 0,
        search_seeds=seeds_for_search(options.seeds, options.search_seeds),
        draws=draws,
        curves={labels: tuple(points) for labels, points in budget.curves.items()},
        pictures=contest.check_data(data, options, _learned_from(draws, data, fields_of), searches),
        ending=contest.ending(options),
        validate_every=options.validate_every,
        settings=own | contest.settings(data, available),
        config=config,
        device=training.device,
        evaluate_on=options.evaluate_on,
    )


def _training(options: CompareOptions) -> _Training:
    contest = contest_of(options.task, options.supervision)
    variants = checked_variants(options.variants, contest.command)
    named = read_inits(options.inits, variants)
    device, presets = device_of(options), contest.presets(options)
    name = contest.preset_name(options, device)
    preset = presets[name]
    settings = {**preset.settings, **options.settings}
    batch_size = preset.batch_size if options.batch_size is None else int(options.batch_size)
    asked = {one.name: [one.options["lr"]] if "lr" in one.options else options.lr for one in named}
    return _Training(
        contest=contest,
        inits=named,
        variants=variants,
        device=device,
        preset_name=name,
        preset=preset,
        settings=settings,
        modes=contest.modes_of(options, settings),
        batch_size=batch_size,
        rates={
            one.name: rates_of(asked[one.name], preset.of_init(one.kind).rate(batch_size)) for one in named
        },
    )


def _budget(options: CompareOptions, training: _Training, counts: Sequence[int]) -> _Budget:
    from geopretrain.training.labelled import curve

    preset, batch_size = training.preset, training.batch_size
    steps = {labels: options.steps or preset.total_steps(labels, batch_size) for labels in counts}
    if not training.contest.has_curve or options.patience is not None:
        return _Budget(steps, {labels: [last] for labels, last in steps.items()})
    return _Budget(steps, {labels: curve(options.curve_points, last) for labels, last in steps.items()})


def _resolved(
    options: CompareOptions, training: _Training, size: tuple[int, int], budget: _Budget
) -> dict[str, Any]:
    """Return the options that were left open, as they were chosen."""
    counts, named = list(budget.steps), training.inits
    rates = [training.rates[one.name] for one in named if "lr" not in one.options]
    # what is added later must find the same here: steps that follow from the labels are those of each number
    by_labels = options.steps is None and training.preset.steps is None and names_sets(options, counts)
    source_of = {one.name: one.source for one in named}
    return {
        "backbone": common_backbone(options.backbone, named),
        "labels": counts[0] if len(counts) == 1 else counts,
        "subset_by": drawn_by(options),
        "size": size,
        "preset": training.preset_name,
        "settings": training.settings,
        "steps": None if by_labels else _the_same(budget.steps),
        "batch_size": training.batch_size,
        "lr": _saved_rates(options.lr, rates),
        "curve_points": (not by_labels and _the_same(budget.curves)) or options.curve_points,
        # a rate that falls until the last step would be higher the earlier a training ends
        "schedule": options.schedule or (None if options.patience is None else "constant"),
        "inits": [one.source for one in named if one.name not in training.variants],
        "variants": {n: {**one, "init": source_of[n]} for n, one in training.variants.items()},
        "modes": training.modes,
    }


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return what a row of the search is of."""
    return row["mode"], row["init"], row["labels"]


def _the_same(by_labels: Mapping[int, T]) -> T | None:
    """Return what all numbers of labels have, None where they differ: it follows from the preset then."""
    first, *others = by_labels.values()
    return first if all(other == first for other in others) else None


def _learned_from(draws: list[Draw], data: LabelledSet | FrameStore, fields: Fields) -> np.ndarray:
    """Return all samples that any training learns from; those of one set in the order of their drawing."""
    largest = [draw for draw in draws if draw.labels == max(one.labels for one in draws)]
    drawn = np.concatenate([draw.learned(data, fields) for draw in largest])
    return drawn if len(largest) == 1 else np.unique(drawn)


def _saved_rates(asked: Any, rates: Sequence[list[float]]) -> Any:
    """Return what config.yaml keeps; None where the preset has a rate for each kind of initialisation."""
    if asked == "auto":
        return asked
    different = {tuple(found) for found in rates}
    return list(*different) if len(different) == 1 else None
