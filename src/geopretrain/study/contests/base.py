"""What a transfer is to a comparison: how a trial is trained, which of its numbers counts, what is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from geopretrain.config.auxiliary import AUXILIARY
from geopretrain.config.options import CompareOptions, TrainCommandOptions
from geopretrain.config.several import Mode
from geopretrain.console import console
from geopretrain.data.dataset import Fields
from geopretrain.errors import OptionError
from geopretrain.schema import defaults, given
from geopretrain.study.measures import Measure
from geopretrain.study.variants import naming_variant
from geopretrain.tasks.presets import NOTHING_KEPT

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.runs.folder import RunFolder
    from geopretrain.schema import Device
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.presets import Preset
    from geopretrain.training.train import Training

DEPTH_OPTIONS = ("supervision", "evaluate_data", "protocol")
OPTIONS_OF = {"depth": DEPTH_OPTIONS, "segmentation": (*AUXILIARY, "depth_from", "propagated", "as_released")}
"""Options of ``compare`` that only one task has."""


@dataclass(frozen=True)
class Words:
    """How a report speaks of it.

    Attributes:
        network: that is trained, e.g. ``segmentation network``.
        score: the score spelled out, at the beginning of a sentence.
        by_class: what the score of a class is called.
        protocol: how the score is computed.
        pictures: what they show, where that is not plain.
    """

    network: str
    score: str
    by_class: str
    protocol: str
    pictures: str = ""


def _check_frozen(options: CompareOptions) -> None:
    """Say which options a frozen backbone has no use for, or refuse them where no other one is trained."""
    alone = set(options.modes) == {"frozen"}
    shared: Mapping[str, Any] = {name: getattr(options, name) for name in NOTHING_KEPT}
    for variant, own in {"": shared, **options.variants}.items():
        idle = [name for name, off in NOTHING_KEPT.items() if own.get(name) not in (None, off)]
        idle += [name for name in AUXILIARY[:1] if own.get(name) is not None]
        if not idle:
            continue
        words = "is for a backbone that learns, and in mode frozen it stands still."
        if alone:
            with naming_variant(variant):
                raise OptionError(idle[0], words)
        of = f" of '{variant}'" if variant else ""
        console.say(f"Mode frozen leaves {', '.join(idle)}{of} away: its backbone stands still.")


class Contest(ABC):
    """A transfer that initialisations are compared on.

    Attributes:
        task: its name.
        command: options of the command that trains it.
        measure: the number that counts.
        words: of reports.
        modes: that it knows, the usual ones of a comparison first.
        own_modes: number of these that are compared where none are named.
        own_options: options of ``compare`` that its trials get beside those that all get.
        has_curve: whether it is scored in the midst of training, too.
        judged_by: number of the validation that ends trainings where that is asked for; None: the measure.
    """

    task: ClassVar[str]
    command: ClassVar[type[TrainCommandOptions]]
    measure: ClassVar[Measure]
    words: ClassVar[Words]
    modes: ClassVar[tuple[Mode, ...]] = ("full", "frozen", "encoder")
    own_modes: ClassVar[int] = 2
    own_options: ClassVar[tuple[str, ...]] = ()
    has_curve: ClassVar[bool] = True
    judged_by: ClassVar[str | None] = None

    @abstractmethod
    def presets(self, options: CompareOptions) -> Mapping[str, Preset]:
        """Return the named settings of its training."""

    def preset_name(self, options: CompareOptions, device: Device) -> str:
        """Return which of the presets was asked for, or what ``auto`` is here, which is said."""
        from geopretrain.training.resolve import choose_preset

        return choose_preset(options.preset, device, self.presets(options))

    def modes_of(self, options: CompareOptions, settings: Mapping[str, Any]) -> tuple[Mode, ...]:
        """Return what is trained: what was asked for, or what is usual.

        Args:
            options: of ``compare``.
            settings: of the task, those of the preset included.

        Raises:
            OptionError: the task does not know a mode that was asked for.
        """
        if "modes" not in given(options):
            return self.modes[: self.own_modes]
        if unknown := [mode for mode in options.modes if mode not in self.modes]:
            raise OptionError(
                "modes",
                f"has {unknown[0]}, which --task {self.task} does not know, but {', '.join(self.modes)}.",
            )
        return options.modes

    @abstractmethod
    def open(self, options: CompareOptions, preset: Preset) -> LabelledSet | FrameStore:
        """Return the data (DataError where there are none of the kind)."""

    def check_options(self, options: CompareOptions, searches: bool) -> None:
        """Refuse options of other tasks."""
        standard = defaults(CompareOptions)
        for task, names in OPTIONS_OF.items():
            changed = [name for name in names if getattr(options, name) != standard[name]]
            if changed and task != self.task:
                raise OptionError(changed[0], f"belongs to --task {task}, and this is --task {self.task}.")
        if "frozen" in options.modes:
            _check_frozen(options)

    @abstractmethod
    def check_data(
        self, data: Any, options: CompareOptions, learned: np.ndarray, searches: bool
    ) -> tuple[int, ...]:
        """Look at all that will be needed; return the positions of the test images to show.

        Args:
            data: that were opened.
            options: of ``compare``.
            learned: positions of all samples that any training learns from.
            searches: whether rates are chosen on validation images.
        """

    @abstractmethod
    def fields(self, options: CompareOptions) -> Fields:
        """Return what a sample that is learned from must have."""

    def settings(self, data: Any, available: int) -> dict[str, Any]:
        """Return what trials get of the data that were opened, of which so many are to learn from."""
        return {}

    def ending(self, options: CompareOptions) -> dict[str, Any]:
        """Return what ends a training by validation, as options of the fine-tuning; {} where steps end it."""
        if options.patience is None:
            return {}
        name = self.judged_by or self.measure.key
        return {"monitor": f"validation/{name}", "patience": options.patience, "keep": "best"}

    @abstractmethod
    def options(self, trial: Trial, more: Mapping[str, Any]) -> TrainCommandOptions:
        """Return what is trained, as options of the command that trains it."""

    def course(self, run: RunFolder, trial: Trial, score: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a training went that validation ended, beside its only point of the curve; else nothing.

        The score is told at the most steps that it could have had, whenever it ended.
        """
        if trial.settings.get("patience") is None:
            return {}
        from geopretrain.training.judging import course_of

        name = self.judged_by or self.measure.key
        return {
            "curve": [{**score, "step": trial.curve[-1]}],
            "validation": [[one["step"], one.get(name)] for one in run.metrics("validation")],
            "chosen_on": {n: v for n, v in run.results.get("chosen_on", {}).items() if n != "curve"},
            **course_of(run),
        }

    @abstractmethod
    def training(self, options: Any) -> Training:
        """Return the training that is ready to start."""

    @abstractmethod
    def train(self, options: Any) -> RunFolder:
        """Train and return the run."""

    @abstractmethod
    def numbers(self, run: RunFolder, trial: Trial) -> dict[str, Any]:
        """Return ``curve`` and the final numbers of a finished run."""

    def predictions(self, run: RunFolder, trial: Trial) -> dict[str, np.ndarray]:
        """Return what is kept of the pictured test images, by name; nothing where nothing is shown."""
        return {}

    def drawn(self, kept: Mapping[str, np.ndarray], data: Any) -> Sequence[np.ndarray]:
        """Return the pictures of what `predictions` kept."""
        return list(kept["pictures"])

    def shown(
        self, data: Any, split: str, positions: Sequence[int], settings: Mapping[str, Any]
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Return name, image and picture of the truth of scored images (``settings``: what trials share)."""
        return []
