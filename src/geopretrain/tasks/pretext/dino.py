"""DINO: a student predicts, from parts of an image, what its slowly following teacher makes of the whole.

Caron, Touvron, Misra et al., *Emerging Properties in Self-Supervised Vision Transformers*, ICCV 2021. A rival
of Lao et al. 2024 (Table 4).

From the paper: two global views of at least 40 % of the area, and local ones of 5 to 40 % (section 3.1,
multi-crop); cross-entropy between teacher and student (equations 2 and 3); a centred and sharpened teacher
(equation 4) at 0.04, rising to 0.07 in the first 30 of 100 epochs; a teacher that follows with a momentum
from 0.996 to 1 by a cosine; a head of three layers with 65536 outputs; AdamW, 5e-4 * batch / 256, 10 epochs
of warm-up, cosine (3.2); the last layer rests in the first epoch (released code).

Loss with its centre, head, transforms and momentum schedule are those of the ``lightly`` package.

Our choice: any size of image, the global views having the size of the data and the local ones nearly half
of it (96 of 224 px in the paper), and aspect ratios relative to it; a constant weight decay (the paper's
rises from 0.04 to 0.4); time as a view (``views=time``): the second global view and every second local one
are of the next frame of the clip.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from geopretrain import pictures
from geopretrain.data.augment.views import transformed_views
from geopretrain.data.batches import ClipBatch, LabelledBatch, ViewBatch
from geopretrain.data.dataset import Fields
from geopretrain.errors import one_of, require
from geopretrain.extras import require_extra
from geopretrain.metrics.embeddings import spread
from geopretrain.networks import Backbone
from geopretrain.networks.momentum import follow, momentum_copy
from geopretrain.schema import Count, Natural, Positive, Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, collapsed, not_a_number
from geopretrain.tasks.presets import TINY, Preset
from geopretrain.tasks.step import Step

PAPER = Preset(
    size=(224, 224),
    batch_size=1024,
    lr=5e-4,
    lr_batch=256,
    schedule="cosine",
    epochs=100,
    warmup_fraction=10 / 100,
    optimizer="adamw",
    weight_decay=0.04,
    clip_norm=3.0,
)
"""Section 3.2 and the released code."""
SHORT = Preset(
    batch_size=16,
    lr=5e-4,
    schedule="cosine",
    steps=1500,
    warmup_fraction=0.1,
    optimizer="adamw",
    weight_decay=0.04,
    clip_norm=3.0,
)
"""What a CPU does in less than an hour."""
TEACHER_WARMUP = 0.3
"""Fraction of the training in which the teacher's temperature rises (30 of 100 epochs)."""
RESTING = 0.01
"""Fraction of the training in which the last layer is not trained (1 of 100 epochs)."""
LOCAL = 96 / 224
"""Side of a local view, as a fraction of a global one's."""
BOTTLENECK, HIDDEN = 256, 2048


@checked
class DINOConfig:
    """Options of the method; the defaults are the paper's.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model."""
    outputs: Count = 65536
    """Numbers that student and teacher are compared in."""
    local_views: Natural = 6
    """Small views beside the two large ones."""
    momentum: Unit = 0.996
    """How slowly the teacher follows at first; 1 in the end."""
    student_temperature: Positive = 0.1
    """The student's outputs are divided by it."""
    first_temperature: Positive = 0.04
    """The teacher's are divided by it at first."""
    teacher_temperature: Positive = 0.07
    """And by this after the first 30 % of the training."""
    centre_momentum: Unit = 0.9
    """How slowly the teacher's centre moves."""
    views: str = "image"
    """What views are compared: of the same ``image``, or also of the next frame in ``time``."""

    def __post_init__(self) -> None:
        one_of("views", self.views, ("image", "time"))
        require(self.outputs > 1, "outputs", "at least 2", self.outputs)


class DINO(Task):
    """The method as a task: student and teacher with their heads, and the teacher's centre.

    Args:
        config: options of the method.
        backbone: initialised; the teacher begins as its copy.
    """

    name: ClassVar[str] = "dino"
    Config = DINOConfig

    def __init__(self, config: DINOConfig, backbone: Backbone) -> None:
        require_extra("lightly", "contrastive", "moco and dino")
        from lightly.loss import DINOLoss

        super().__init__()
        self.config: DINOConfig = config
        self.required = Fields(frames=(0, 1)) if config.views == "time" else Fields()
        self.encoder, self.head = backbone, _head(backbone, config.outputs)
        self.teacher, self.teacher_head = momentum_copy(self.encoder), _head(backbone, config.outputs)
        self.teacher_head.load_state_dict(self.head.state_dict())
        self.teacher_head.requires_grad_(False)
        self.criterion = DINOLoss(
            config.outputs, student_temp=config.student_temperature, center_momentum=config.centre_momentum
        )

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {
            "backbone.": "encoder.model.",
            "projection.": "head.",
            "teacher_backbone.": "teacher.model.",
            "teacher_projection.": "teacher_head.",
            "centre.": "criterion.",
        }

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: section 3.2."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    # ---- learning
    def train_transform(self, batch: ClipBatch | LabelledBatch) -> ViewBatch:
        """Return two global views of each sample, then the local ones."""
        from lightly.transforms.dino_transform import DINOTransform

        size = (batch.images.shape[-2], batch.images.shape[-1])
        views: Any = DINOTransform(
            global_crop_size=size,  # type: ignore[arg-type]
            local_crop_size=local_size(size),  # type: ignore[arg-type]
            n_local_views=self.config.local_views,
            normalize=None,
        )
        times = [0, 1] * (1 + self.config.local_views)
        frames = times if self.config.views == "time" else [0] * len(times)
        return transformed_views(batch, views.transforms, frames[: len(views.transforms)])

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> ViewBatch:
        """Return random views as well, for there is nothing to learn from equal ones."""
        return self.train_transform(batch)

    def loss(self, batch: ViewBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return the cross-entropy of all pairs of a teacher's and another student's view (equation 3).

        In training mode the centre moves (equation 4).

        Args:
            batch: transformed, two global views and local ones.
        """
        self.head.last_layer.weight_v.requires_grad_(step.progress >= RESTING)
        wide, small = batch.views[:2], batch.views[2:]
        student = _outputs(self.encoder, self.head, wide) + _outputs(self.encoder, self.head, small)
        with torch.no_grad():
            teacher = _outputs(self.teacher, self.teacher_head, wide)
        temperature = self.temperature(step)
        with torch.autocast(student[0].device.type, enabled=False):
            student, teacher = [s.float() for s in student], [t.float() for t in teacher]
            logs = self._logs(teacher, temperature)
            centre = self.criterion.center.clone()
            loss = self.criterion(teacher, student, teacher_temp=temperature)
            if not self.training:
                self.criterion.center.copy_(centre)
        return loss, logs

    def temperature(self, step: Step) -> float:
        """Return what the teacher's outputs are divided by."""
        risen = min(1.0, step.progress / TEACHER_WARMUP)
        first, last = self.config.first_temperature, self.config.teacher_temperature
        return first + (last - first) * risen

    def _logs(self, teacher: list[Tensor], temperature: float) -> Logs:
        """Return what tells a collapse: to one output (entropy 0), or to all evenly (entropy 1)."""
        outputs = torch.cat(teacher)
        probabilities = functional.softmax((outputs - self.criterion.center[0]) / temperature, dim=1)
        largest = math.log(max(2, self.config.outputs))
        return {
            "teacher_entropy": _entropy(probabilities).mean() / largest,
            "mean_entropy": _entropy(probabilities.mean(0, keepdim=True)).mean() / largest,
            **({"spread": spread(outputs)} if len(outputs) > len(teacher) else {}),
        }

    def after_step(self, step: Step) -> None:
        """Let the teacher follow, more and more slowly."""
        from lightly.utils.scheduler import cosine_schedule

        momentum = cosine_schedule(step.index, step.total, self.config.momentum, 1.0)
        follow(self.teacher, self.encoder, momentum)
        follow(self.teacher_head, self.head, momentum)

    # ---- judging
    @torch.no_grad()
    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, Any]:
        """Return one row per sample: both global views, and a local one."""
        views = self.eval_transform(batch).views[:3]
        return pictures.image_rows(dict(zip(("global", "other global", "local"), views, strict=False)))

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        if step < SETTLED_AFTER:
            return []
        found = collapsed(logs)
        if logs.get("mean_entropy", 1.0) < 0.01:
            found.append(
                "The teacher gives all images the same output: it has collapsed. Lower --settings "
                "centre_momentum, or the learning rate."
            )
        if logs.get("teacher_entropy", 0.0) > 0.99:
            found.append(
                "The teacher's outputs are all alike: nothing is learned yet. Lower --settings "
                "teacher_temperature, or train longer."
            )
        return found


def local_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of local views: 96/224 of the global ones, in whole 32 px, at least one."""
    height, width = (max(32, round(side * LOCAL / 32) * 32) for side in size)
    return height, width


def _head(backbone: Backbone, outputs: int) -> Any:
    from lightly.models.modules import DINOProjectionHead

    with warnings.catch_warnings():  # lightly uses the weight normalisation that torch is about to replace
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        return DINOProjectionHead(backbone.embedding_width, HIDDEN, BOTTLENECK, outputs)


def _outputs(encoder: Backbone, head: nn.Module, views: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the outputs ``B K`` for views of one size, computed together."""
    if not views:
        return []
    return list(head(encoder.embed(torch.cat(views))).chunk(len(views)))


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.xlogy(probabilities, probabilities).sum(1)
