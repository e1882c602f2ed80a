"""A task that learns from video in the steps of a fine-tuning, from options to the joint task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.console import console
from geopretrain.data.opening import open_dataset
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import DataError, OptionError
from geopretrain.schema import plain
from geopretrain.tasks.base import DepthTask
from geopretrain.tasks.building import task_config
from geopretrain.tasks.registry import PRETEXTS, task_class
from geopretrain.tasks.transfer.joint import PREFIX, JointSegmentation
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.training.resolve import data_of_resumed_run, with_first_weights
from geopretrain.training.settings import LoopSettings
from geopretrain.training.stream import Samples
from geopretrain.weights import LoadReport
from geopretrain.wording import counted, in_px


@dataclass(frozen=True)
class Auxiliary:
    """What learns beside the labels.

    Attributes:
        task: with its first weights; it knows its data.
        report: of these weights.
        frames: samples of the video.
        weight: of its loss.
    """

    task: DepthTask
    report: LoadReport
    frames: Samples
    weight: float

    def joined(self, task: Segmentation, report: LoadReport) -> JointSegmentation:
        """Return both tasks as one; the report of the segmentation is told of the other's weights, too."""
        report.skipped = [(name, why) for name, why in report.skipped if name not in self.report.loaded]
        backbone = task.encoder
        if backbone.output_stride is not None:
            raise OptionError(
                "auxiliary",
                f"stands on the features as {backbone.name} has them, and head={task.config.head} dilates "
                "the backbone. Choose another head, such as depth, fpn or upernet.",
            )
        for listed, own in (
            (report.loaded, self.report.loaded),
            (report.reinitialised, self.report.reinitialised),
        ):
            listed += [f"{PREFIX}{name}" for name in own if not name.startswith("backbone.")]
        report.besides += [f"{PREFIX}{said}" for said in self.report.besides]
        return JointSegmentation(task, self.task, self.weight)

    def record(self) -> dict[str, Any]:
        """Return what lineage.json keeps."""
        found = {"method": self.task.name, "weight": self.weight, "settings": asdict(self.task.config)}
        data = self.frames.data
        return {**found, "data": data.describe().path, "fingerprint": data.fingerprint(self.frames.fields)}


def auxiliary_of(options: FinetuneSegmentationOptions, backbone: str) -> Auxiliary | None:
    """Return what learns beside the labels, None where nothing is to.

    Args:
        options: of the fine-tuning.
        backbone: name of the one that is shared.

    Raises:
        UserError: method, settings, data or weights cannot be used.
    """
    if options.auxiliary is None:
        return None
    cls = task_class(options.auxiliary)
    if not issubclass(cls, DepthTask):
        others = [name for name in PRETEXTS if issubclass(task_class(name), DepthTask)]
        raise OptionError(
            "auxiliary", f"must be a method that learns depth ({', '.join(others)}), not {options.auxiliary}."
        )
    config = task_config(cls, options.auxiliary_settings, backbone=backbone)
    task, report, _ = with_first_weights(cls, config, options)
    assert isinstance(task, DepthTask)
    data = _opened(options, task)
    task.check_data(data.describe())
    frames = Samples(data, data.splits(task.required)["train"], task.required)
    console.say(
        f"Beside the labels {task.name} learns from {counted(len(frames), 'sample')} of {data.path} at "
        f"{in_px(data.size)}, {options.auxiliary_batch_size or 'as many'} in each step; its loss has the "
        f"weight {options.auxiliary_weight:g}."
    )
    return Auxiliary(task, report, frames, options.auxiliary_weight)


def check_batch(asked: int | None, loop: LoopSettings) -> None:
    """Refuse a number of samples of the video that a step cannot have.

    Args:
        asked: number for a step, None for as many as labelled ones.
        loop: settings of the training.

    Raises:
        OptionError: more than labelled images, or not the same number for each part of a step.
    """
    if asked is None or (asked <= loop.batch_size and asked % loop.parts == 0):
        return
    parts = (
        "" if loop.parts == 1 else f", and a multiple of the {loop.parts} parts that a step is computed in"
    )
    raise OptionError(
        "auxiliary_batch_size", f"must be at most batch_size ({loop.batch_size}){parts}; it is {asked}."
    )


def check_shared(options: FinetuneSegmentationOptions, mode: str, backbone_lr: float = 1.0) -> None:
    """Refuse a fine-tuning in which a task beside the labels would teach the encoder nothing.

    Raises:
        OptionError: the encoder stands still, or cannot be shared.
    """
    if options.auxiliary is None:
        return
    still = "mode frozen" if mode == "frozen" else "--backbone-lr 0" if backbone_lr == 0 else ""
    if still:
        raise OptionError(
            "auxiliary",
            f"teaches the backbone beside the labels, and with {still} it learns nothing. Leave one of them "
            "away.",
        )
    if options.as_released:
        raise OptionError(
            "auxiliary", "is nothing that the released script knows: leave it or as_released away."
        )
    if options.strategy == "fsdp":
        raise OptionError("auxiliary", "needs the whole network on each device: use --strategy ddp.")


def _opened(options: FinetuneSegmentationOptions, task: DepthTask) -> FrameStore:
    """Return the video, with what is worth knowing about it said."""
    source = plain(options.auxiliary_data)
    with data_of_resumed_run(source, bool(options.resume), "auxiliary_data"):
        data = open_dataset(source, task.required)
    if not isinstance(data, FrameStore):
        raise DataError(
            f"'{options.auxiliary_data}' holds single images, and {task.name} learns from video "
            f"({task.required.in_words()}). Give a store, a video or a folder of frames to --auxiliary-data."
        )
    for sentence in data.doubts():
        console.warn(sentence)
    return data
