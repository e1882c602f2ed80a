"""Comparing depth networks: AbsRel, lower is better."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geopretrain.config.options import CompareOptions, FinetuneDepthOptions, TrainCommandOptions
from geopretrain.data.dataset import Fields
from geopretrain.errors import DataError, OptionError
from geopretrain.study.contests.base import DEPTH_OPTIONS, Contest, Words
from geopretrain.study.measures import ABS_REL

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.runs.folder import RunFolder
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.presets import Preset
    from geopretrain.training.train import Training


class DepthContest(Contest):
    """Depth, from measured depth or without labels."""

    task = "depth"
    measure = ABS_REL
    words = Words(
        "depth network",
        "Mean absolute relative error of depth",
        "",
        "mean over the scored pictures of the absolute error of depth relative to the measured one",
    )
    modes = ("full", "encoder")
    own_modes = 1
    own_options = DEPTH_OPTIONS
    has_curve = False

    def presets(self, options: CompareOptions) -> Mapping[str, Preset]:
        """Return the named settings of its training."""
        if options.supervision == "labels":
            from geopretrain.tasks.transfer.depth import PRESETS

            return PRESETS
        from geopretrain.tasks.presets import SHORT, TINY
        from geopretrain.tasks.pretext.monodepth import PAPER

        return {"paper": PAPER["640x192"], "short": SHORT, "tiny": TINY}

    def open(self, options: CompareOptions, preset: Preset) -> FrameStore:
        """Return the data, at the size asked for or that of the preset."""
        from geopretrain.data.opening import open_dataset
        from geopretrain.data.store.frame_store import FrameStore

        data = open_dataset(
            os.fspath(options.data or ""), self.fields(options), size=options.size, default_size=preset.size
        )
        if not isinstance(data, FrameStore):
            raise DataError(f"'{options.data}' holds no depth. Give video or pictures with measured depth.")
        return data

    def fields(self, options: CompareOptions) -> Fields:
        """Return what a sample that is learned from must have."""
        if options.supervision == "labels":
            return Fields(names=("depth",))
        frames = (0,) if options.supervision == "stereo" else (0, -1, 1)
        return Fields(frames, () if options.supervision == "mono" else ("stereo",))

    def check_options(self, options: CompareOptions, searches: bool) -> None:
        """Refuse what contradicts each other."""
        if options.supervision != "labels" and "encoder" in options.modes:
            raise OptionError("modes", "has encoder, a fresh decoder, with --supervision labels only.")
        if searches and options.evaluate_data is None:
            raise OptionError(
                "lr",
                "names several rates, which are chosen on the held-out frames of the data, and these are "
                "scored here. Score on other data: --evaluate-data.",
            )

    def check_data(
        self, data: FrameStore, options: CompareOptions, labels: int, searches: bool
    ) -> tuple[int, ...]:
        """Look at all that will be needed; return the positions of the test images to show."""
        has_depth = bool(data.depth_frames())
        if not has_depth and (searches or options.evaluate_data is None):
            raise DataError(f"'{options.data}' holds no measured depth to score on. Give --evaluate-data.")
        return ()

    def settings(self, data: FrameStore, available: int) -> dict[str, Any]:
        """Return where the store is, and how many samples it has to learn from."""
        return {"data": str(data.path), "samples": available}

    def options(self, trial: Trial, more: Mapping[str, Any]) -> TrainCommandOptions:
        """Return the options of ``finetune depth``; without labels a part of the samples is learned from."""
        settings = {**trial.settings, **more}
        labels = settings.pop("labels")
        if settings["supervision"] == "labels":
            settings["labels"] = labels
        elif labels < settings["samples"]:
            settings["subset"] = labels / settings["samples"]
        settings.pop("samples")
        settings.pop("protocol", None)  # of scoring, which is done afterwards
        settings.pop("evaluate_data", None)
        if trial.mode == "encoder":
            settings["settings"] = {**settings.get("settings", {}), "decoder": "fresh"}
        return FinetuneDepthOptions(
            out=trial.folder, init=trial.source, lr=trial.lr, seed=trial.seed, **settings
        )

    def training(self, options: Any) -> Training:
        """Return the training that is ready to start."""
        from geopretrain.training.depth import depth_training

        return depth_training(options)

    def train(self, options: Any) -> RunFolder:
        """Train and return the run."""
        from geopretrain.training.depth import train_depth

        return train_depth(options)

    def numbers(self, run: RunFolder, trial: Trial) -> dict[str, Any]:
        """Score the run: on its held-out frames while a rate is chosen, else on what is to be scored."""
        from geopretrain.evaluation.depth import default_protocol, score_depth
        from geopretrain.evaluation.measured import find_frames
        from geopretrain.runs.loading import load_task
        from geopretrain.tasks.base import DepthTask

        task, searching = load_task(run).eval(), trial.evaluate_on == "val"
        assert isinstance(task, DepthTask)
        own = str(trial.settings["data"])
        scored = own if searching else str(trial.settings.get("evaluate_data") or own)
        found = find_frames(scored, run, frames="held_out" if searching else "auto")
        protocol = trial.settings.get("protocol") or default_protocol(task.depth_meaning, found.kind)
        scores = score_depth(task, found.frames, protocol, size=run.size, baselines_from=found.others)
        numbers = {name: scores[name] for name in ("abs_rel", "rmse", "a1", "images", "protocol")}
        point = {"step": run.trained_steps, **{name: numbers[name] for name in ("abs_rel", "rmse")}}
        return {"curve": [point], **numbers}
