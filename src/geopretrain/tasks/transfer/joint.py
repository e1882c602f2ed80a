"""Classes of pixels learned together with depth: two tasks, one encoder, one step.

Hoyer et al., *Three Ways to Improve Semantic Segmentation with Self-Supervised Depth Estimation*, CVPR 2021
(depth stays an auxiliary task while classes are learned); Kanakis et al., *Composite Learning for Robust and
Effective Dense Predictions*, 2022 (a task with labels gains from a self-supervised one beside it, also on
other images).

From the papers: the sum of both losses, that of depth times a fixed weight; each step sees labelled images
and frames of video.

Our choice: a weight of 1 where none is given, the plain sum; as many samples of the video as labelled images,
or fewer; each kind goes through the encoder as a batch of its own, so that batch norm takes its statistics of
one kind at a time and the running ones follow both. What is validated, handed on and exported is the
segmentation alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from geopretrain.data.batches import JointBatch, LabelledBatch, as_float
from geopretrain.networks import Backbone
from geopretrain.tasks.base import DepthTask, Logs, SegmentationTask, Task
from geopretrain.tasks.predictions import DepthPrediction, SegmentationPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Pace, Step
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation

PREFIX = "auxiliary_"
"""Of what the auxiliary task logs."""


class JointSegmentation(SegmentationTask):
    """The transfer ``main`` and a task of depth on the very same encoder, as one task.

    To others it is the segmentation, whose weights alone are saved; a checkpoint holds both.

    Args:
        main: with its first weights.
        auxiliary: likewise; its own encoder is dropped.
        weight: of its loss.
    """

    name: ClassVar[str] = "segmentation"
    Config = SegmentationConfig

    def __init__(self, main: Segmentation, auxiliary: DepthTask, weight: float) -> None:
        super().__init__()
        self.config: SegmentationConfig = main.config
        self.required = main.required
        self.main, self.auxiliary, self.weight = main, auxiliary, weight
        share_backbone(auxiliary, main.encoder)
        self.train()

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings."""
        return self.main.presets

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for: those of the segmentation."""
        return {saved: f"main.{inside}" for saved, inside in self.main.weight_parts.items()}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.main.class_names

    @property
    def class_colours(self) -> np.ndarray:
        """Colours of the classes in pictures, ``K 3`` uint8."""
        return self.main.class_colours

    def check_data(self, data: Any) -> None:
        """Let the segmentation see its data; the auxiliary task has seen its own."""
        self.main.check_data(data)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; the segmentation has the last word on the encoder."""
        super().train(mode)
        self.main.train(mode)
        return self

    # ---- learning
    def train_transform(self, batch: JointBatch) -> JointBatch:
        """Augment both kinds, each as its task does; the labelled ones as without the others."""
        labelled = self.main.train_transform(batch.labelled)
        return JointBatch(labelled, self.auxiliary.train_transform(batch.frames))

    def eval_transform(self, batch: JointBatch) -> JointBatch:
        """Turn both kinds into floats."""
        labelled = self.main.eval_transform(batch.labelled)
        return JointBatch(labelled, self.auxiliary.eval_transform(batch.frames))

    def loss(self, batch: JointBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the sum of both losses, that of depth times its weight, and what both log."""
        loss, logs = self.main.loss(batch.labelled, step)
        more, of_depth = self.auxiliary.loss(batch.frames, step)
        logs |= {f"{PREFIX}loss": more.detach(), **{f"{PREFIX}{name}": v for name, v in of_depth.items()}}
        return loss + self.weight * more, logs

    def schedule_step(self, step: int, pace: Pace) -> int:
        """Return the step that the schedule of the segmentation is read at."""
        return self.main.schedule_step(step, pace)

    def after_step(self, step: Step) -> None:
        """Let both do what follows a step."""
        self.main.after_step(step)
        self.auxiliary.after_step(step)

    def training_state(self) -> dict[str, Any]:
        """Return what a checkpoint needs of either."""
        states = {"main": self.main.training_state(), "auxiliary": self.auxiliary.training_state()}
        return states if any(states.values()) else {}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Give it back."""
        if state:
            self.main.load_training_state(state["main"])
            self.auxiliary.load_training_state(state["auxiliary"])

    def prepare_training(self, batches: Iterable[LabelledBatch]) -> None:
        """Let the segmentation look at all labelled images."""
        self.main.prepare_training(batches)

    # ---- judging
    def predict(self, images: Tensor) -> SegmentationPrediction:
        """Map images ``B 3 H W`` in [0, 1] to classes."""
        return self.main.predict(images)

    def predict_depth(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to their depth at full size."""
        return self.auxiliary.predict(images)

    def validation(self, seed: int) -> SegmentationValidation:
        """Return the accumulator of the segmentation's scores."""
        return self.main.validation(seed)

    @torch.no_grad()
    def pictures(self, batch: LabelledBatch) -> dict[str, np.ndarray]:
        """Return one row per labelled sample as the segmentation does, with its depth at the end."""
        from geopretrain import pictures

        disparities = self.predict_depth(as_float(batch.images)).disparity[:, 0].float().cpu().numpy()
        shown = pictures.rows({"depth": [pictures.colour_depth(one) for one in disparities]})
        rows = self.main.pictures(batch)
        return {name: pictures.side_by_side([row, shown[name]]) for name, row in rows.items()}

    @property
    def augments(self) -> bool:
        """Whether the segmentation changes its images."""
        return self.main.augments

    def views(self, batch: JointBatch) -> dict[str, np.ndarray]:
        """Return pictures of what the segmentation learns from."""
        return self.main.views(batch.labelled)

    def findings(self) -> dict[str, Any]:
        """Return what either found out beside its weights."""
        return {**self.main.findings(), **self.auxiliary.findings()}

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in either."""
        found = self.main.diagnostics(logs, step)
        own = {name.removeprefix(PREFIX): value for name, value in logs.items() if name.startswith(PREFIX)}
        return found or [f"{self.auxiliary.name}: {said}" for said in self.auxiliary.diagnostics(own, step)]


def share_backbone(task: Task, backbone: Backbone) -> None:
    """Let a task work on ``backbone`` instead of its own."""
    place = task.weight_parts["backbone."].removesuffix(".model.")
    parent, _, name = place.rpartition(".")
    setattr(task.get_submodule(parent), name, backbone)
