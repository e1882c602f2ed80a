"""What transfers share: where their first weights come from, a frozen encoder, classes by name and colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from geopretrain.data.batches import as_float, as_images
from geopretrain.networks import Backbone
from geopretrain.networks.batch_norm import recalibrate_batch_norm
from geopretrain.tasks.base import Task
from geopretrain.weights import (
    Init,
    LoadReport,
    init_backbone,
    init_other_parts,
    read_init,
    read_lineage,
)


class Transfer(Task):
    """A ``network`` around a backbone that comes from an initialisation and may be frozen.

    Args:
        new_encoder: the encoder starts from random numbers.
    """

    network: nn.Module

    def __init__(self, new_encoder: bool) -> None:
        super().__init__()
        self.new_encoder = new_encoder

    @classmethod
    def create(cls, config: Any, init: Init) -> tuple[Self, LoadReport]:
        """Build the task from ``init``, which also gives what stands on the encoder, see `taken_over`.

        Raises:
            ConfigError: unknown backbone, or one that has not what an option asks for.
            WeightsError: the weights are unreadable or belong to another backbone.
        """
        found = read_init(init, config.backbone)
        backbone, report = init_backbone(config.backbone, init, found)
        task = cls(config, backbone, init.kind == "random")  # type: ignore[call-arg]
        others, fresh = task.taken_over(init, found.others, report)
        init_other_parts(task, others, report, fresh=fresh)
        return task, report

    def taken_over(
        self, init: Init, others: Mapping[str, Tensor], report: LoadReport
    ) -> tuple[Mapping[str, Tensor], dict[str, str]]:
        """Return what is taken of the tensors beside the backbone, and the parts that start fresh, with why.

        In mode ``full`` everything that fits, in the others nothing.
        """
        mode = self.config.mode
        parts = [saved for saved in self.weight_parts if saved != "backbone."]
        reason = f"mode '{mode}' starts with a fresh {', '.join(part.strip('.') for part in parts)}"
        return others, {} if mode == "full" else dict.fromkeys(parts, reason)

    @property
    def encoder(self) -> Backbone:
        """The backbone."""
        found = self.network.backbone
        assert isinstance(found, Backbone)
        return found

    @property
    def frozen(self) -> bool:
        """Whether the encoder does not change in any way."""
        return bool(self.config.mode == "frozen")

    @property
    def still_statistics(self) -> bool:
        """Whether the statistics of the encoder's batch norm do not change, whatever its parameters do."""
        return self.frozen

    def freeze(self) -> None:
        """Let the encoder's parameters be; its statistics stand still by ``train``."""
        self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; a frozen encoder, or batch norm that is to stand still, stays as it is."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        elif self.still_statistics:
            for module in self.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def prepare_training(self, batches: Iterable[Any]) -> None:
        """Measure the batch-norm statistics of a random encoder once, where they are to stand still.

        As built it believes in mean 0 and variance 1 everywhere, so its features are badly scaled, and any
        pre-training would win for that reason alone.
        """
        if self.new_encoder and self.still_statistics:
            recalibrate_batch_norm(self.encoder, (as_float(as_images(batch).images) for batch in batches))
            self.train(self.training)


class ClassTransfer(Transfer):
    """A transfer that tells classes apart.

    Attributes:
        class_layers: prefixes, in a run's weights, of the layers that do; they are taken over from a run of
            the same classes only.
    """

    class_layers: ClassVar[tuple[str, ...]]

    def taken_over(
        self, init: Init, others: Mapping[str, Tensor], report: LoadReport
    ) -> tuple[Mapping[str, Tensor], dict[str, str]]:
        """Return the same without layers that told other classes apart."""
        if not _same_classes(init, self.class_names):
            others = {name: t for name, t in others.items() if not name.startswith(self.class_layers)}
        return super().taken_over(init, others, report)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        names: tuple[str, ...] | None = self.config.class_names
        return names or tuple(str(i) for i in range(self.config.num_classes))

    @property
    def class_colours(self) -> np.ndarray:
        """Colours of the classes in pictures, ``K 3`` uint8."""
        from geopretrain.pictures import class_palette

        chosen = self.config.class_colours
        return class_palette(self.config.num_classes) if chosen is None else np.array(chosen, np.uint8)


def _same_classes(init: Init, names: tuple[str, ...]) -> bool:
    """Return whether a run told the same classes apart, so that its last layer means something here."""
    before: Any = read_lineage(init.source).get("classes") if init.kind == "run" else None
    return before is None or tuple(before["names"]) == names
