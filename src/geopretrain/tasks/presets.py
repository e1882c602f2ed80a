"""Settings of a training that belong together, under a name: ``paper``, ``short``, ``tiny``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from geopretrain.schema import (
    Count,
    Crop,
    Natural,
    NonNegative,
    OptimizerName,
    Positive,
    Schedule,
    Size,
    Unit,
    checked,
)

DEFAULT_EPOCHS = 20
"""Passes over the samples where a preset says neither steps nor epochs, as Monodepth2 and its descendants."""

NOTHING_KEPT: Mapping[str, Any] = {
    "backbone_lr": 1.0,
    "backbone_from": 0,
    "freeze_norms": False,
    "feature_distance": 0.0,
    "l2_sp": 0.0,
}
"""Settings under which nothing of the first weights of a backbone is kept."""


@checked
class Preset:
    """A named set of training settings; whatever the user gives himself takes precedence."""

    size: Size | None = None
    """(height, width) px that raw data are prepared at."""
    crop: Crop | None = None
    """Where frames of this size are cut out of raw data; None: they are resized."""
    batch_size: Count = 8
    """Samples of an optimisation step."""
    lr: Positive = 3e-4
    """Highest learning rate."""
    lr_batch: Count | None = None
    """Samples of a step that ``lr`` is meant for; the rate goes with the batch. None: for any."""
    schedule: Schedule = "warm_cosine"
    """Course of the learning rate, see `geopretrain.training.schedules`."""
    lr_floor: Unit = 0.0
    """Lowest learning rate of the schedule, as a fraction of the highest."""
    epochs: Count | None = None
    """Passes over the training samples; where neither is said, 20."""
    steps: Count | None = None
    """Optimisation steps; takes precedence over ``epochs``."""
    warmup_steps: Natural = 0
    """Steps over which the rate rises."""
    warmup_fraction: Unit = 0.0
    """Fraction of all steps over which the rate rises, where that is longer."""
    optimizer: OptimizerName = "adam"
    """``adam``, ``adamw`` (decoupled weight decay) or ``sgd`` (with momentum)."""
    momentum: Unit = 0.9
    """Of ``sgd``."""
    beta2: Unit = 0.999
    """Of Adam and AdamW: how slowly the mean of squared gradients changes (MAE: 0.95)."""
    weight_decay: NonNegative = 0.0
    """Spares biases and the parameters of normalisation layers."""
    layer_decay: Positive = 1.0
    """Factor on the learning rate from each layer of the backbone to the one below it."""
    backbone_lr: Unit = 1.0
    """Factor on all rates of the backbone; 0: it stands still."""
    backbone_from: Natural = 0
    """Steps over which the backbone stands still before it learns."""
    freeze_norms: bool = False
    """Keep the batch statistics of the backbone."""
    feature_distance: NonNegative = 0.0
    """Weight of the distance of the backbone's last features from the first ones."""
    l2_sp: NonNegative = 0.0
    """Weight of half the squared distance of the backbone's weights from the first ones."""
    clip_norm: Positive | None = None
    """Largest norm of all gradients together; larger ones are scaled down to it."""
    accumulate: Count = 1
    """Parts that a step's batch is computed in, one after the other, to save memory."""
    lr_of: Mapping[str, Positive] = field(default_factory=dict)
    """``lr`` of initialisations of a kind (``random``, ``imagenet``, ``run``, ``file``) that has another."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method or task that belong to it."""

    def total_steps(self, samples: int = 0, batch_size: int | None = None) -> int:
        """Return the optimisation steps for this many training samples."""
        if self.steps is not None:
            return self.steps
        return max(1, (self.epochs or DEFAULT_EPOCHS) * samples // (batch_size or self.batch_size))

    def rate(self, batch_size: int) -> float:
        """Return the highest learning rate for steps of this many samples."""
        return self.lr if self.lr_batch is None else self.lr * batch_size / self.lr_batch

    def of_init(self, kind: str) -> Preset:
        """Return the preset for initialisations of a kind: their own rate; random numbers are not kept."""
        kept = NOTHING_KEPT if kind == "random" else {}
        return replace(self, lr=self.lr_of.get(kind, self.lr), **kept)

    def warmup(self, steps: int) -> int:
        """Return over how many of ``steps`` the rate rises, at most a fifth of them."""
        return min(max(self.warmup_steps, round(self.warmup_fraction * steps)), steps // 5)


SHORT = Preset(batch_size=8, lr=3e-4, schedule="warm_cosine", steps=1500, warmup_steps=100)
"""Preset ``short`` of pre-training: what a CPU does in less than an hour at the size data are prepared at."""
TINY = Preset(batch_size=4, lr=3e-4, schedule="warm_cosine", steps=20, warmup_steps=2)
"""Preset ``tiny``: seconds, to see whether everything runs."""
