"""A pre-trained backbone fine-tuned by Lightning, here for classes of images in a folder for each class.

python examples/lightning_classifier.py runs/depth images     # images/CLASS/NAME.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning
import torch
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import geopretrain as gp


class Classifier(lightning.LightningModule):
    """A linear layer on the backbone of a run; both are trained."""

    def __init__(self, run: str | Path, classes: int, lr: float = 1e-3) -> None:
        super().__init__()
        self.backbone = gp.backbone(run)
        self.head = nn.Linear(self.backbone.num_features, classes)
        self.lr = lr

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the cross-entropy of normalised images and their classes."""
        images, labels = batch
        return nn.functional.cross_entropy(self.head(self.backbone(images)), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return what turns gradients into steps."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def main(run: str | Path, folder: str | Path, size: int = 128, steps: int = 100) -> Classifier:
    """Fine-tune on a folder of images and return the classifier."""
    told = resolve_model_data_config(gp.backbone(run))  # the normalisation of the run is in it
    transform = create_transform((3, size, size), is_training=True, mean=told["mean"], std=told["std"])
    data = ImageFolder(folder, transform)
    model = Classifier(run, len(data.classes))
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, DataLoader(data, batch_size=8, shuffle=True))
    print(f"Trained for {trainer.global_step} steps to tell {', '.join(data.classes)} apart.")
    return model


if __name__ == "__main__":
    main(*sys.argv[1:])
