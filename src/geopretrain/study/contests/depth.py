"""Comparing depth networks: AbsRel, lower is better."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geopretrain.config.options import CompareOptions, FinetuneDepthOptions, TrainCommandOptions
from geopretrain.data.dataset import Fields
from geopretrain.errors import DataError, OptionError
from geopretrain.study.contests.base import DEPTH_OPTIONS, Contest, Words
from geopretrain.study.measures import ABS_REL

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.evaluation.measured import MeasuredFrame, MeasuredSet
    from geopretrain.runs.folder import RunFolder
    from geopretrain.schema import Device
    from geopretrain.study.trials import Trial
    from geopretrain.tasks.base import DepthTask
    from geopretrain.tasks.presets import Preset
    from geopretrain.training.train import Training

DEPTH = Fields(names=("depth",))
WIDEST = 640
"""px of pictures in a report."""
NOTHING = np.full((32, 32, 3), 255, np.uint8)
"""Where no pixel of a picture counts."""


class DepthContest(Contest):
    """Depth, from measured depth or without labels."""

    task = "depth"
    command = FinetuneDepthOptions
    measure = ABS_REL
    words = Words(
        "depth network",
        "Mean absolute relative error of depth",
        "",
        "mean over the scored pictures of the absolute error of depth relative to the measured one",
        "Near is bright, in a logarithm; below each prediction is its relative error: blue is none, red 30 % "
        "and more, grey where nothing was measured.",
    )
    modes = ("full", "frozen", "encoder")
    own_modes = 1
    own_options = DEPTH_OPTIONS
    has_curve = False
    judged_by = "loss"

    def presets(self, options: CompareOptions) -> Mapping[str, Preset]:
        """Return the named settings of its training."""
        if options.supervision == "labels":
            from geopretrain.tasks.transfer.depth import PRESETS

            return PRESETS
        from geopretrain.tasks.presets import SHORT, TINY
        from geopretrain.tasks.pretext.monodepth import PAPER

        return {"paper": PAPER["640x192"], "short": SHORT, "tiny": TINY}

    def preset_name(self, options: CompareOptions, device: Device) -> str:
        """Return which of the presets was asked for; what ``auto`` is depends on the frames too."""
        from geopretrain.training.depth import preset_of_labels

        by_labels = options.supervision == "labels"
        return preset_of_labels(options, device) if by_labels else super().preset_name(options, device)

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
            return DEPTH
        frames = (0,) if options.supervision == "stereo" else (0, -1, 1)
        return Fields(frames, () if options.supervision == "mono" else ("stereo",))

    def check_options(self, options: CompareOptions, searches: bool) -> None:
        """Refuse what contradicts each other."""
        super().check_options(options, searches)
        if options.supervision != "labels" and "frozen" in options.modes:
            raise OptionError("modes", "has frozen, which goes with --supervision labels only.")
        if options.evaluate_on != "test":
            raise OptionError(
                "evaluate_on",
                "is of labelled images; depth is scored on held-out frames, or --evaluate-data.",
            )
        if options.patience is not None and options.evaluate_data is None:
            raise OptionError(
                "patience",
                "ends trainings by the held-out frames of the data, and these are scored here. Score on "
                "other data: --evaluate-data.",
            )
        if searches and options.evaluate_data is None:
            raise OptionError(
                "lr",
                "names several rates, which are chosen on the held-out frames of the data, and these are "
                "scored here. Score on other data: --evaluate-data.",
            )

    def check_data(
        self, data: FrameStore, options: CompareOptions, learned: np.ndarray, searches: bool
    ) -> tuple[int, ...]:
        """Look at all that will be needed; return the positions of the scored pictures to show."""
        from geopretrain.evaluation.measured import frames_after_training

        has_depth = bool(data.depth_frames())
        if not has_depth and (searches or options.evaluate_data is None):
            raise DataError(f"'{options.data}' holds no measured depth to score on. Give --evaluate-data.")
        other = None if options.evaluate_data is None else os.fspath(options.evaluate_data)
        return _worth_showing(frames_after_training(data, DEPTH, other).frames, options.pictures)

    def settings(self, data: FrameStore, available: int) -> dict[str, Any]:
        """Return where the store is, and how many samples it has to learn from."""
        return {"data": data.place, "samples": available}

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
        return FinetuneDepthOptions(
            out=trial.folder, init=trial.source, mode=trial.mode, lr=trial.lr, seed=trial.seed, **settings
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
        from geopretrain.evaluation.depth import score_depth

        task, found, protocol = _scored(run, trial)
        scores = score_depth(task, found.frames, protocol, size=run.size, baselines_from=found.others)
        numbers = {name: scores[name] for name in ("abs_rel", "rmse", "a1", "images", "protocol")}
        point = {"step": run.trained_steps, **{name: numbers[name] for name in ("abs_rel", "rmse")}}
        return {"curve": [point], **numbers, **self.course(run, trial, point)}

    def predictions(self, run: RunFolder, trial: Trial) -> dict[str, np.ndarray]:
        """Return the predicted depth of some of the scored pictures, its errors below it, in colour."""
        from geopretrain import pictures
        from geopretrain.evaluation.depth import fitting_protocol
        from geopretrain.evaluation.depth_pictures import depth_parts
        from geopretrain.evaluation.measured import at_bottom

        task, found, protocol = _scored(run, trial)
        rules = fitting_protocol(task.depth_meaning, protocol)
        drawn = {}
        for k, frame in enumerate(at_bottom([found.frames[i] for i in trial.pictures], rules.bottom)):
            parts = depth_parts(task, frame, rules, size=run.size)
            cell = pictures.grid([parts["prediction"], parts["error"]]) if parts else NOTHING
            drawn[f"picture{k:03d}"] = pictures.shrunk(cell, WIDEST)
        return drawn

    def drawn(self, kept: Mapping[str, np.ndarray], data: FrameStore) -> Sequence[np.ndarray]:
        """Return what `predictions` drew; sizes may differ."""
        return [kept[name] for name in sorted(kept)]

    def shown(
        self, data: FrameStore, split: str, positions: Sequence[int], settings: Mapping[str, Any]
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Return name, picture and truth of scored pictures."""
        from geopretrain import pictures
        from geopretrain.evaluation.depth_pictures import truth_parts
        from geopretrain.evaluation.measured import at_bottom, frames_after_training
        from geopretrain.metrics import get_protocol

        found = frames_after_training(data, DEPTH, settings.get("evaluate_data"))
        protocol = settings.get("protocol")
        bottom = None if protocol is None else get_protocol(protocol).bottom
        shown = []
        for frame in at_bottom([found.frames[i] for i in positions], bottom):
            image, truth = (pictures.shrunk(part, WIDEST) for part in truth_parts(*frame.read()).values())
            shown.append((frame.name, image, truth))
        return shown


class VideoDepthContest(DepthContest):
    """Depth without labels: what is counted are samples of the video."""

    measure = replace(ABS_REL, learned="sample")


def _scored(run: RunFolder, trial: Trial) -> tuple[DepthTask, MeasuredSet, str]:
    """Return the trained network, the pictures it is scored on, and the protocol."""
    from geopretrain.evaluation.depth import default_protocol
    from geopretrain.evaluation.measured import find_frames
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.base import DepthTask

    task, searching = load_task(run).eval(), trial.searching
    assert isinstance(task, DepthTask)
    own = str(trial.settings["data"])
    scored = own if searching else str(trial.settings.get("evaluate_data") or own)
    found = find_frames(scored, run, frames="held_out" if searching else "auto")
    protocol = trial.settings.get("protocol") or default_protocol(task.depth_meaning, found.kind)
    return task, found, protocol


def _worth_showing(frames: Sequence[MeasuredFrame], count: int) -> tuple[int, ...]:
    """Return the positions of a few frames, evenly spread, that can be read and have a measurement."""
    from geopretrain.data.subsets import spread_positions

    chosen = []
    for position in spread_positions(len(frames), count):
        try:
            depth, _ = frames[position].read()
        except DataError:
            continue  # is named where it is scored
        chosen += [int(position)] if (depth > 0).any() else []
    return tuple(chosen)
