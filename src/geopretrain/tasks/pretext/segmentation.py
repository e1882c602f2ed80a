"""Supervised segmentation of another labelled set as pre-training: the rival with the most expensive labels.

Lao et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024, Table 4
("Supervised Segmentation: trained on MS-COCO"). Network, head and loss are those of the transfer
(``tasks/transfer/segmentation.py``), so that a run hands on encoder and decoder as depth does.

The paper does not say how it was trained. ``paper`` is torchvision's published recipe for networks trained on
COCO (its reference script for DeepLabV3-ResNet50): SGD, 0.02 for batches of 32, 1e-4 of weight decay, 30
epochs, (1 - t)^0.9, flips.

Our choice: windows of 25 to 100 % of the area, shown at the working size, in place of that script's enlarged
crops of 480 px.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from geopretrain.data.batches import LabelledBatch
from geopretrain.data.dataset import Description
from geopretrain.errors import require
from geopretrain.schema import Unit, checked
from geopretrain.tasks.presets import SHORT, TINY, Preset
from geopretrain.tasks.transfer.segmentation import Segmentation
from geopretrain.tasks.transfer.segmentation_config import SegmentationConfig
from geopretrain.tasks.transfer.segmentation_validation import SegmentationValidation
from geopretrain.tasks.validation import LossValidation

PAPER = Preset(
    size=(480, 640),
    batch_size=32,
    lr=0.02,
    lr_batch=32,
    schedule="poly",
    epochs=30,
    optimizer="sgd",
    weight_decay=1e-4,
)
"""torchvision's reference script, COCO."""


@checked
class SupervisedSegmentationConfig(SegmentationConfig):
    """Options of the method.

    Raises:
        ConfigError: an option has an impossible value.
    """

    num_classes: int = 2
    """Number of classes; that of the data."""
    min_scale: Unit = 0.25
    """Least area of the window of the image that is shown, as a fraction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.head != "linear", "head", "one that trains the encoder, too", self.head)
        require(self.depth_mix == 0, "depth_mix", "0, because only fine-tuning knows depth", self.depth_mix)
        require(
            not self.depth_input,
            "depth_input",
            "false, because only fine-tuning knows depth",
            self.depth_input,
        )


class SupervisedSegmentation(Segmentation):
    """The method as a task: the transfer's network, on windows of another labelled set."""

    name: ClassVar[str] = "segmentation"
    Config = SupervisedSegmentationConfig
    config: SupervisedSegmentationConfig
    validation_samples: ClassVar[int] = 256

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``: torchvision's recipe for COCO."""
        return {"paper": PAPER, "short": SHORT, "tiny": TINY}

    def decided_by(self, data: Description) -> dict[str, Any]:
        """Return the classes."""
        return {
            "num_classes": len(data.class_names),
            "class_names": data.class_names,
            "class_colours": data.class_colours or None,
        }

    def validation(self, seed: int) -> LossValidation:  # type: ignore[override]
        """Return the accumulator of loss, RankMe, mIoU and pixel accuracy."""
        return SupervisedValidation(self, seed)


class SupervisedValidation(LossValidation):
    """Loss and RankMe, and the scores of the transfer."""

    protocol = "mIoU and pixel accuracy from one confusion matrix over whole held-out images; loss on them"

    def __init__(self, task: SupervisedSegmentation, seed: int) -> None:
        super().__init__(task, seed)
        self.scores = SegmentationValidation(task)

    def update(self, batch: LabelledBatch) -> None:
        """Add a batch as read."""
        super().update(batch)
        self.scores.update(batch)

    def compute(self) -> dict[str, Any]:
        """Return all numbers."""
        return {**super().compute(), **self.scores.compute()}
