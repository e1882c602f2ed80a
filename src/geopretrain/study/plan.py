"""What a comparison will train: every option resolved and every input checked before the first training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.errors import ConfigError, nearest_name
from geopretrain.study.folder import trials_folder
from geopretrain.study.inits import NamedInit, read_inits
from geopretrain.study.learning_rate import parse_rates, seeds_for_search
from geopretrain.study.trials import Trial

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet

MODES = ("full", "encoder", "frozen")


@dataclass(frozen=True)
class Plan:
    """Everything that was resolved before the first training."""

    out: Path
    data: LabelledSet
    inits: list[NamedInit]
    modes: list[str]
    seeds: list[int]
    rates: list[float]
    search_seeds: list[int]
    curve: tuple[int, ...]
    pictures: tuple[int, ...]
    settings: dict[str, Any]
    device: str

    def config(self) -> dict[str, Any]:
        """Return the settings as ``config.yaml`` keeps them."""
        return {
            **self.settings,
            "inits": {one.name: one.weights or one.kind for one in self.inits},
            "modes": self.modes,
            "seeds": self.seeds,
            "lr": self.rates,
            "search_seeds": self.search_seeds if len(self.rates) > 1 else [],
            "curve": list(self.curve),
            "pictures": list(self.pictures),
            "device": self.device,
        }

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
        self, folder: Path, init: NamedInit, mode: str, seed: int, lr: float, *, searching: bool = False
    ) -> Trial:
        rate = f"-lr{lr:g}" if searching else ""
        return Trial(
            folder=str(folder / f"{init.name}-{mode}{rate}-seed{seed}"),
            init=init.name,
            source=init.source,
            mode=mode,
            seed=seed,
            lr=lr,
            evaluate_on="val" if searching else "test",
            curve=self.curve[-1:] if searching else self.curve,
            pictures=self.pictures if seed == self.seeds[0] and not searching else (),
            settings=dict(self.settings),
        )


def make_plan(
    *,
    inits: Any,
    data: Any,
    out: Any,
    labels: int | None,
    seeds: Any,
    modes: Any,
    lr: Any,
    search_seeds: int,
    iterations: int | None,
    batch_size: int | None,
    size: Any,
    backbone: str | None,
    preset: str,
    subset_seed: int,
    curve_points: int,
    pictures: int,
    precision: str,
    device: str,
    progress: bool,
) -> Plan:
    """Resolve the arguments of ``compare`` and read all data needed (raises as ``compare`` does)."""
    from geopretrain.commands.common import as_text, choose_preset, parse_size, plain, required
    from geopretrain.commands.finetune_segmentation import PRESETS
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.training.options import resolve_device

    target = Path(required(out, "out", "the folder to write the comparison into"))
    required(data, "data", "a folder with images/, labels/ and classes.txt, CamVid, or synthetic:street")
    named = read_inits(required(inits, "inits", "what to compare, e.g. random,runs/depth"))
    chosen_seeds, chosen_modes = parse_seeds(seeds), parse_modes(modes)
    computer = resolve_device(device)
    preset = choose_preset(preset, computer, progress=progress)
    rates = parse_rates(lr, PRESETS[preset].lr)
    steps = PRESETS[preset].total_steps() if iterations is None else iterations
    curve = _curve(steps, curve_points)
    labelled = LabelledSet.open(data, size=parse_size(size))
    number = labelled.counts["train"] if labels is None else labels
    settings = {
        "data": plain(data),
        "backbone": _common_backbone(backbone, named),
        "labels": number,
        "subset_seed": subset_seed,
        "size": as_text(labelled.size),
        "preset": preset,
        "iterations": steps,
        "batch_size": batch_size or PRESETS[preset].batch_size,
        "precision": precision,
    }
    return Plan(
        out=target.resolve(),
        data=labelled,
        inits=named,
        modes=chosen_modes,
        seeds=chosen_seeds,
        rates=rates,
        search_seeds=seeds_for_search(chosen_seeds, search_seeds),
        curve=curve,
        pictures=_check_data(labelled, number, subset_seed, pictures, len(rates) > 1),
        settings=settings,
        device=computer,
    )


def _curve(steps: int, points: int) -> tuple[int, ...]:
    """Return evenly spread iterations, the last one included."""
    for name, value in (("iterations", steps), ("curve_points", points)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, not {value}.")
    return tuple(sorted({max(1, round(steps * (k + 1) / points)) for k in range(points)}))


def parse_seeds(seeds: int | str | Sequence[int]) -> list[int]:
    """Return the seeds of ``5`` (0 to 4), ``'3,4,5'`` or a list.

    Raises:
        ConfigError: fewer than two, one twice, or no whole numbers.
    """
    try:
        if isinstance(seeds, str):
            seeds = [int(one) for one in seeds.split(",")] if "," in seeds else int(seeds)
        chosen = list(range(seeds)) if isinstance(seeds, int) else [int(one) for one in seeds]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"seeds must be a number or whole numbers with commas, not {seeds!r}.") from error
    if len(chosen) < 2:
        raise ConfigError(
            "A comparison needs at least 2 seeds to tell a difference from chance (5 are better), "
            f"not {len(chosen)}."
        )
    if len(set(chosen)) < len(chosen) or min(chosen) < 0:
        raise ConfigError(f"seeds must be different and not negative: {chosen}.")
    return sorted(chosen)


def parse_modes(modes: str | Sequence[str]) -> list[str]:
    """Return the modes of ``'full,frozen'`` or a list; ConfigError names the nearest known one."""
    chosen = [one.strip() for one in (modes.split(",") if isinstance(modes, str) else modes) if one.strip()]
    for one in chosen:
        if one not in MODES:
            raise ConfigError(f"Unknown mode '{one}'.{nearest_name(one, MODES)} Known: {', '.join(MODES)}.")
    if not chosen:
        raise ConfigError(f"modes must name at least one of {', '.join(MODES)}.")
    return list(dict.fromkeys(chosen))


def _common_backbone(backbone: str | None, inits: list[NamedInit]) -> str:
    there = next((one for one in inits if one.backbone is not None), None)
    if there is None:
        return backbone or "resnet18"
    if backbone is not None and backbone != there.backbone:
        raise ConfigError(
            f"'{there.name}' has the backbone {there.backbone}, not {backbone}. Leave --backbone away."
        )
    return str(there.backbone)


def _check_data(
    data: LabelledSet, labels: int, subset_seed: int, pictures: int, search: bool
) -> tuple[int, ...]:
    """Read all labels that will be needed, so that a bad one is told now; return the test images to show."""
    from geopretrain.data.labelled.labelled_set import nested_subset

    splits = data.splits()
    data.check(splits["train"][nested_subset(len(splits["train"]), labels, subset_seed)])
    for split in ("test", "val") if search else ("test",):
        data.check(splits[split])
    count = min(max(0, pictures), data.counts["test"])
    return tuple(round((k + 0.5) * data.counts["test"] / count - 0.5) for k in range(count))
