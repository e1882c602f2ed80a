"""MoCo v2: an encoder finds the other view of its image among the views of thousands of others.

He, Fan, Wu et al., *Momentum Contrast for Unsupervised Visual Representation Learning*, CVPR 2020, with the
head, the augmentation and the schedule of Chen, Fan, Girshick et al., *Improved Baselines with Momentum
Contrastive Learning*, 2020. A rival of Lao et al. 2024 (Table 4).

From the papers: InfoNCE against a queue of 65536 keys, at a temperature of 0.2 (2020a section 3.2, equation
1; 2020b Table 2); a key encoder that follows the query encoder with a momentum of 0.999 (equation 2); an MLP
of two layers, 128 numbers; SGD, 0.03 for batches of 256, weight decay 1e-4, cosine, 200 epochs.

Loss with its queue, head and transforms are those of the ``lightly`` package. Batch-norm statistics are not
shuffled between GPUs as in the paper: on one device keys and queries have statistics of their own.

Our choice: any size of image, the views having the size of the data, and aspect ratios relative to it; time
as a view (``views=time``): the key is a view of the next frame of the clip, not of the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from geopretrain import pictures
from geopretrain.console import console
from geopretrain.data.augment.views import transformed_views
from geopretrain.data.batches import ClipBatch, LabelledBatch, ViewBatch
from geopretrain.data.dataset import Description, Fields
from geopretrain.errors import one_of
from geopretrain.extras import require_extra
from geopretrain.metrics.embeddings import spread
from geopretrain.networks import Backbone
from geopretrain.networks.momentum import follow, momentum_copy
from geopretrain.schema import Count, Positive, Unit, checked
from geopretrain.tasks.base import Logs, Task
from geopretrain.tasks.diagnostics import SETTLED_AFTER, collapsed, not_a_number
from geopretrain.tasks.presets import TINY, Preset
from geopretrain.tasks.step import Step

PAPER = Preset(
    size=(224, 224),
    batch_size=256,
    lr=0.03,
    lr_batch=256,
    schedule="cosine",
    epochs=200,
    optimizer="sgd",
    weight_decay=1e-4,
)
"""Chen et al. 2020, section 3, and the released code."""
SHORT = Preset(batch_size=32, lr=1e-3, schedule="cosine", steps=1500, optimizer="adamw", weight_decay=1e-4)
"""What a CPU does in less than an hour; in so few steps of small batches SGD hardly moves, or collapses."""
HIDDEN = 2048
"""Hidden width of the head."""


@checked
class MoCoConfig:
    """Options of the method; the defaults are the papers'.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder: any timm model."""
    queue: Count = 65536
    """Keys of earlier batches that a query is told apart from."""
    temperature: Positive = 0.2
    """Similarities are divided by it."""
    momentum: Unit = 0.999
    """How slowly the key encoder follows."""
    width: Count = 128
    """Numbers of a key."""
    views: str = "image"
    """What the key is a view of: the same ``image``, or the next frame in ``time``."""
    min_scale: Unit = 0.2
    """Least area of a view, as a fraction."""

    def __post_init__(self) -> None:
        one_of("views", self.views, ("image", "time"))


class MoCo(Task):
    """The method as a task: query and key encoder, their heads, and the queue.

    Args:
        config: options of the method.
        backbone: initialised; the key encoder begins as its copy.
    """

    name: ClassVar[str] = "moco"
    Config = MoCoConfig

    def __init__(self, config: MoCoConfig, backbone: Backbone) -> None:
        require_extra("lightly", "contrastive", "moco and dino")
        from lightly.loss import NTXentLoss
        from lightly.models.modules import MoCoProjectionHead

        super().__init__()
        self.config: MoCoConfig = config
        self.required = Fields(frames=(0, 1)) if config.views == "time" else Fields()
        self.images = 0  # as long as nobody has said how many there are
        self.encoder = backbone
        self.head: nn.Module = MoCoProjectionHead(backbone.embedding_width, HIDDEN, config.width)
        self.key_encoder, self.key_head = momentum_copy(self.encoder), momentum_copy(self.head)
        self.criterion = NTXentLoss(
            config.temperature,
            memory_bank_size=(config.queue, config.width),
            gather_distributed=True,  # the keys of all processes join the queue of each
        )

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for."""
        return {
            "backbone.": "encoder.model.",
            "projection.": "head.",
            "key_backbone.": "key_encoder.model.",
            "key_projection.": "key_head.",
        }

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: Chen et al. 2020."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def check_data(self, data: Description) -> None:
        """Say where the queue is longer than there are samples, which is known before the first step."""
        images, told = data.counts.get("train", 0), self.images
        self.images = images
        if images != told and 0 < images < self.config.queue:
            console.warn(
                f"The queue of {self.config.queue} keys is longer than the {images} training samples: each "
                "is told apart from earlier views of itself. Use a smaller --settings queue=...."
            )

    # ---- learning
    def train_transform(self, batch: ClipBatch | LabelledBatch) -> ViewBatch:
        """Return two views of each sample, the query's and the key's."""
        from lightly.transforms.moco_transform import MoCoV2Transform

        size = (batch.images.shape[-2], batch.images.shape[-1])
        views: Any = MoCoV2Transform(
            input_size=size,  # type: ignore[arg-type]  # torchvision takes both sides
            min_scale=self.config.min_scale,
            normalize=None,
        )
        frames = (0, 1) if self.config.views == "time" else (0, 0)
        return transformed_views(batch, views.transforms, frames)

    def eval_transform(self, batch: ClipBatch | LabelledBatch) -> ViewBatch:
        """Return two random views as well, for there is nothing to learn from equal ones."""
        return self.train_transform(batch)

    def loss(self, batch: ViewBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return InfoNCE (He et al. 2020, equation 1); in training mode the keys join the queue.

        Args:
            batch: transformed, two views.
        """
        query = self.head(self.encoder.embed(batch.views[0]))
        with torch.no_grad():
            key = self.key_head(self.key_encoder.embed(batch.views[1]))
        with torch.autocast(query.device.type, enabled=False):
            query, key = query.float(), key.float()
            accuracy = self._accuracy(query.detach(), key)
            loss = self.criterion(query, key)
        logs = {
            "accuracy": accuracy,
            "queue_turns": torch.full((), step.total * len(query) / len(self.queue), device=query.device),
        }
        return loss, logs | ({"spread": spread(query.detach())} if len(query) > 1 else {})

    @torch.no_grad()
    def _accuracy(self, query: Tensor, key: Tensor) -> Tensor:
        """Return for how many queries their own key is nearer than all of the queue."""
        query, key = functional.normalize(query, dim=1), functional.normalize(key, dim=1)
        own = (query * key).sum(1)
        others = (query @ self.queue.to(query).T).amax(1)
        return (own > others).float().mean()

    @property
    def queue(self) -> Tensor:
        """Keys of earlier batches, ``N D``."""
        bank: Tensor = self.criterion.memory_bank.bank
        return bank

    def after_step(self, step: Step) -> None:
        """Let the key encoder follow (He et al. 2020, equation 2)."""
        follow(self.key_encoder, self.encoder, self.config.momentum)
        follow(self.key_head, self.head, self.config.momentum)

    def training_state(self) -> dict[str, Any]:
        """Return the queue, which is no buffer that lightly saves."""
        bank = self.criterion.memory_bank
        return {"queue": bank.bank.clone(), "queue_place": bank.bank_ptr.clone()}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take the queue back."""
        bank = self.criterion.memory_bank
        bank.bank.copy_(state["queue"])
        bank.bank_ptr.copy_(state["queue_place"])

    # ---- judging
    @torch.no_grad()
    def pictures(self, batch: ClipBatch | LabelledBatch) -> dict[str, Any]:
        """Return one row per sample: the view of the query and that of the key."""
        query, key = self.eval_transform(batch).views
        return pictures.image_rows({"query": query, "key": key})

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        found = collapsed(logs) if step >= SETTLED_AFTER else []
        if step >= SETTLED_AFTER and logs.get("accuracy", 1.0) < 2 / (self.config.queue + 1):
            found.append(
                "No query finds its own key in the queue: nothing is learned yet. Train longer, or use a "
                "smaller --settings queue=... where there are few images."
            )
        if (turns := logs.get("queue_turns", 1.0)) < 1:  # known from the first step on
            found.append(
                f"The whole training makes keys for {turns:.0%} of the queue only, the rest of which stays "
                "random numbers that are easily told apart. Use a smaller --settings queue=... than "
                f"{self.config.queue}, or train longer."
            )
        return found
