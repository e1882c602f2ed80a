"""What a comparison will train: every option resolved and every input checked before the first training."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.config.groups import Mode, RecipeOptions
from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import as_saved
from geopretrain.console import console
from geopretrain.errors import ConfigError
from geopretrain.schema import Device
from geopretrain.study.folder import trials_folder
from geopretrain.study.inits import NamedInit, read_inits
from geopretrain.study.learning_rate import seeds_for_search
from geopretrain.study.trials import Trial

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet

TRIAL_OPTIONS = (
    *("data", "backbone", "labels", "subset_seed", "size", "settings", "precision", "channels_last"),
    *(one.name for one in fields(RecipeOptions)),
)
"""Options of ``compare`` that every trial gets."""


@dataclass(frozen=True)
class Plan:
    """Everything that was resolved before the first training."""

    out: Path
    data: LabelledSet
    inits: list[NamedInit]
    modes: list[Mode]
    seeds: list[int]
    rates: list[float]
    search_seeds: list[int]
    curve: tuple[int, ...]
    pictures: tuple[int, ...]
    settings: dict[str, Any]
    """What all trials share, as options of ``finetune segmentation``."""
    config: dict[str, Any]
    """What ``config.yaml`` keeps."""
    device: Device

    def weights(self) -> dict[str, str]:
        """Return what tells whether an initialisation is the same as before: its weights, or its name."""
        return {one.name: one.identity for one in self.inits}

    def check(self) -> None:
        """Build what every trial would train, so that what cannot work is said before the first of them.

        Weights are opened and fitted to the backbone, settings and their combinations checked.

        Raises:
            UserError: a trial could not begin.
        """
        from geopretrain.training.segmentation import segmentation_training

        for trial in self.trials([])[: len(self.modes) * len(self.inits)]:  # those of the first seed
            with console.showing(False):
                training = segmentation_training(trial.options(device=self.device, overwrite=True))
            training.task.check_data(training.data.describe())

    def search_trials(self) -> list[Trial]:
        """Trials that only choose the learning rate: other seeds, validation images, scored at the end."""
        folder = self.out / "search"
        return [
            self._trial(folder, one, mode, seed, rate, searching=True)
            for mode in self.modes
            for one in self.inits
            for rate in self.rates
            for seed in self.search_seeds
        ]

    def trials(self, searched: list[dict[str, Any]]) -> list[Trial]:
        """Trials that are reported, seed by seed, so that an interrupted comparison has whole pairs."""
        chosen = {(row["mode"], row["init"]): row["chosen"] for row in searched}
        folder = trials_folder(self.out)
        return [
            self._trial(folder, one, mode, seed, chosen.get((mode, one.name), self.rates[0]))
            for seed in self.seeds
            for mode in self.modes
            for one in self.inits
        ]

    def _trial(
        self, folder: Path, init: NamedInit, mode: Mode, seed: int, lr: float, *, searching: bool = False
    ) -> Trial:
        rate = f"-lr{lr:g}" if float(f"{lr:g}") == lr else f"-lr{lr!r}"
        return Trial(
            folder=str(folder / f"{init.name}-{mode}{rate if searching else ''}-seed{seed}"),
            init=init.name,
            source=init.source,
            mode=mode,
            seed=seed,
            lr=lr,
            evaluate_on="val" if searching else "test",
            curve=self.curve[-1:] if searching else self.curve,
            pictures=self.pictures if seed == self.seeds[0] and not searching else (),
            settings=dict(self.settings),
            weights=init.identity,
        )


def make_plan(options: CompareOptions) -> Plan:
    """Resolve the options of ``compare`` and read all data needed (raises as ``compare`` does)."""
    from geopretrain.compute import resolve_device
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.tasks.transfer.segmentation import PRESETS
    from geopretrain.training.labelled import curve
    from geopretrain.training.resolve import choose_preset

    named = read_inits(options.inits)
    device = resolve_device(options.device)
    preset = choose_preset(options.preset, device, PRESETS)
    rates = (PRESETS[preset].lr,) if options.lr is None else options.lr
    steps = PRESETS[preset].total_steps() if options.steps is None else options.steps
    points = curve(options.curve_points, steps)
    labelled = LabelledSet.open(os.fspath(options.data or ""), size=options.size)
    resolved = {
        "backbone": _common_backbone(options.backbone, named),
        "labels": labelled.counts["train"] if options.labels is None else options.labels,
        "size": labelled.size,
        "preset": preset,
        "steps": steps,
        "batch_size": PRESETS[preset].batch_size if options.batch_size is None else options.batch_size,
        "lr": list(rates),
        "curve_points": points,
        "inits": [one.source for one in named],
    }
    config = as_saved("compare", options, **resolved)
    return Plan(
        out=Path(options.out or "").resolve(),
        data=labelled,
        inits=named,
        modes=list(options.modes),
        seeds=list(options.seeds),
        rates=list(rates),
        search_seeds=seeds_for_search(options.seeds, options.search_seeds),
        curve=tuple(points),
        pictures=_check_data(
            labelled, config["labels"], options.subset_seed, options.pictures, len(rates) > 1
        ),
        settings={name: config[name] for name in TRIAL_OPTIONS if config[name] is not None},
        config=config,
        device=device,
    )


def _common_backbone(backbone: str | None, inits: list[NamedInit]) -> str:
    there = next((one for one in inits if one.backbone is not None), None)
    if there is None:
        return backbone or _backbone_of_files(inits) or "resnet18"
    if backbone is not None and backbone != there.backbone:
        raise ConfigError(
            f"'{there.name}' has the backbone {there.backbone}, not {backbone}. Leave --backbone away."
        )
    return str(there.backbone)


def _backbone_of_files(inits: list[NamedInit]) -> str | None:
    """Return the backbone that the weights of others belong to, None where nothing tells."""
    from geopretrain.weights import backbone_of, parse_init

    found = {one.name: backbone_of(parse_init(one.source)) for one in inits if one.kind == "file"}
    known = {name: backbone for name, backbone in found.items() if backbone is not None}
    if len(set(known.values())) > 1:
        different = ", ".join(f"{name}: {backbone}" for name, backbone in known.items())
        raise ConfigError(f"All initialisations must share one backbone, but these look like: {different}.")
    for name, backbone in list(known.items())[:1]:
        console.say(f"The weights '{name}' look like {backbone}: --backbone {backbone}.")
    return next(iter(known.values()), None)


def _check_data(
    data: LabelledSet, labels: int, subset_seed: int, pictures: int, search: bool
) -> tuple[int, ...]:
    """Read all labels that will be needed, so that a bad one is told now; return the test images to show."""
    from geopretrain.data.labelled.census import check_labels
    from geopretrain.data.subsets import nested_subset

    splits = data.splits()
    train = splits["train"][nested_subset(len(splits["train"]), labels, subset_seed)]
    for split in ("test", "val") if search else ("test",):
        check_labels(data, train, splits[split], split)
    count = min(max(0, pictures), data.counts["test"])
    return tuple(round((k + 0.5) * data.counts["test"] / count - 0.5) for k in range(count))
