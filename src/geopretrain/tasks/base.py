"""The contract between what is learned, pretext or transfer, and what trains, scores and shows it.

Loop, evaluation and commands reach for nothing that is not declared here. A method is one file with a
subclass of `Task` (or of one of its typed forms, which say what is predicted) and one line in the
registry.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from geopretrain.data.dataset import Description, Fields
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.tasks.parameters import parameter_groups
from geopretrain.tasks.predictions import (
    DepthMeaning,
    DepthPrediction,
    DetectionPrediction,
    FlowPrediction,
    SegmentationPrediction,
)
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.step import Pace, Step
from geopretrain.tasks.validation import LossValidation, Validation
from geopretrain.weights import find_backbone, init_backbone, init_other_parts, read_init

if TYPE_CHECKING:
    from geopretrain.weights import Init, LoadReport

Logs = dict[str, Tensor]
"""Detached scalars worth logging."""


class Task(nn.Module):
    """Everything that is known of what is learned.

    A task never moves data between devices and never waits for the device in ``loss``. It draws from torch's
    global random state in ``train_transform`` and ``loss`` only: the loop seeds that state from (seed, step)
    before each step, which makes a resumed run identical to an uninterrupted one. What else must survive an
    interruption is a parameter or buffer (a momentum encoder, a queue), or returned by ``training_state``.

    Attributes:
        name: of the method, as the command line has it.
        Config: class of ``config``.
        config: options of this task.
        required: frames and fields a sample must have.
        validation_samples: held-out samples, at most, that a pretext is judged on while training.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]
    config: Any
    required: Fields = Fields()
    validation_samples: ClassVar[int] = 32

    # ---- building
    @classmethod
    def create(cls, config: Any, init: Init) -> tuple[Self, LoadReport]:
        """Build the task with its first weights, a function of ``config``, ``init`` and torch's seed.

        Here the way of tasks that are made of options and a backbone, ``cls(config, backbone)``: what else
        ``init`` has and fits (a decoder, a head) is taken, too.

        Raises:
            ConfigError: unknown backbone, or one that does not suit.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone)
        init_other_parts(task, found.others, report)
        return task, report

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Named training settings; ``paper`` cites its section where it stands."""
        return {"short": SHORT, "tiny": TINY}

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Prefixes that modules are saved under, and their own prefixes; ``backbone.`` is the product."""
        return {"": ""}

    @property
    def backbone(self) -> Backbone | None:
        """The encoder that a run hands on."""
        return find_backbone(self)

    def decided_by(self, data: Description) -> dict[str, Any]:
        """Return the options that no user gives but the data decide, such as the names of the classes.

        Where there are any, the task is built anew with them before it is trained.
        """
        return {}

    def check_data(self, data: Description) -> None:
        """Take from the description of the data what the loss must know; called once, before training.

        Raises:
            ConfigError: the options do not suit these data.
        """

    # ---- learning
    @abstractmethod
    def train_transform(self, batch: Any) -> Any:
        """Return the batch as floats in [0, 1], augmented at random, in one go on its own device."""

    @abstractmethod
    def eval_transform(self, batch: Any) -> Any:
        """Return the batch as ``train_transform`` does, without anything random."""

    @abstractmethod
    def loss(self, batch: Any, step: Step) -> tuple[Tensor, Logs]:
        """Return the scalar loss of a transformed batch and detached scalars worth logging."""

    def parameter_groups(
        self, lr: float, weight_decay: float = 0.0, layer_decay: float = 1.0
    ) -> list[dict[str, Any]]:
        """Return optimiser groups holding exactly the parameters that are trained."""
        return parameter_groups(self, self.backbone, lr, weight_decay, layer_decay)

    def schedule_step(self, step: int, pace: Pace) -> int:
        """Return the step (0-based) that the schedule is read at; for learning rates that change by epoch."""
        return step

    def clear_gradients(self) -> None:
        """Forget the gradients of the step before; called before each step."""
        self.zero_grad()

    def after_step(self, step: Step) -> None:
        """Called after each optimisation step: momentum encoders, queues, moving averages."""

    def training_state(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside parameters and buffers: tensors and plain values."""
        return {}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``training_state`` gave, before the first step."""

    def prepare_training(self, batches: Any) -> None:
        """Called once before the first step of a new run, with all training batches as they are read."""

    # ---- judging
    def validation(self, seed: int) -> Validation:
        """Return a fresh accumulator of the metrics on held-out samples; here the mean loss.

        Validating changes no state: the task is in evaluation mode, without gradients.
        """
        return LossValidation(self, seed)

    def pictures(self, batch: Any) -> dict[str, np.ndarray]:
        """Return named pictures (``H W 3`` uint8) of what the task makes of a fixed, untransformed batch."""
        return {}

    @property
    def augments(self) -> bool:
        """Whether what is learned from looks so different from what is read that `views` are worth a look."""
        return False

    def views(self, batch: Any) -> dict[str, np.ndarray]:
        """Return named pictures of an untransformed batch beside what ``train_transform`` makes of it."""
        return {}

    def findings(self) -> dict[str, Any]:
        """Return what training found out beside the weights, plain values for results.json."""
        return {}

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return a sentence with advice for each thing that looks wrong in the averaged logs."""
        return []

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


class DepthTask(Task):
    """A task that predicts depth."""

    @property
    @abstractmethod
    def depth_meaning(self) -> DepthMeaning:
        """What its depth is right up to."""

    @property
    def max_depth(self) -> float:
        """Farthest depth it can tell, in its own units."""
        return 100.0

    @abstractmethod
    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to their depth at full size."""

    @property
    def predicts_motion(self) -> bool:
        """Whether `camera_motion` can answer."""
        return False

    def camera_motion(self, first: Tensor, second: Tensor, intrinsics: Tensor | None) -> Tensor:
        """Return ``T_first_to_second`` (``B 4 4``, in units of its depth) of frames in the order of time.

        Args:
            first: ``B 3 H W`` in [0, 1].
            second: likewise.
            intrinsics: ``B 3 3`` px, None where they are not known.

        Raises:
            ConfigError: the task predicts none.
            DataError: it needs the camera.
        """
        raise ConfigError(f"{self.name} predicts no motion of the camera.")


class FlowTask(Task):
    """A task that predicts optical flow."""

    @abstractmethod
    def predict(self, frames: Tensor) -> FlowPrediction:
        """Map frames ``B 2 3 H W`` in [0, 1], target and source, to the flow between them."""


class SegmentationTask(Task):
    """A task that predicts a class for each pixel."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their ids."""

    @property
    @abstractmethod
    def class_colours(self) -> np.ndarray:
        """Colours of the classes in pictures, ``K 3`` uint8."""

    @abstractmethod
    def predict(self, images: Tensor) -> SegmentationPrediction:
        """Map images ``B 3 H W`` in [0, 1] to classes."""


class DetectionTask(Task):
    """A task that predicts boxes, with or without masks."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their ids."""

    @property
    @abstractmethod
    def class_colours(self) -> np.ndarray:
        """Colours of the classes in pictures, ``K 3`` uint8."""

    @abstractmethod
    def predict(self, images: Tensor) -> DetectionPrediction:
        """Map images ``B 3 H W`` in [0, 1] to objects."""
