"""A trained network for anybody's own code: ``geopretrain.load(run).predict(picture)``."""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor, nn

from geopretrain.compute import resolve_device
from geopretrain.errors import ConfigError
from geopretrain.networks import Backbone
from geopretrain.prediction.images import Prediction, Size, as_pixels, predict_images
from geopretrain.runs.loading import load_trained
from geopretrain.tasks.base import Task


def load(run: str | os.PathLike[str], *, device: str = "auto") -> Predictor:
    """Load a trained network.

    Args:
        run: run folder, or a file that ``geopretrain export --format safetensors`` wrote.
        device: where it computes; auto: a GPU where there is one.

    Raises:
        RunFolderError: it is no run, or has no weights yet.
        WeightsError: the weights are damaged, or of no network of ours.
    """
    trained = load_trained(run)
    return Predictor(trained.task, trained.size).to(resolve_device(device))


class Predictor(nn.Module):
    """A trained network, for pictures of any size and kind.

    Args:
        task: with its weights; put into evaluation mode.
        size: (height, width) px that it works at, None = the size of each picture.
    """

    def __init__(self, task: Task, size: Size | None) -> None:
        super().__init__()
        self.task = task.eval()
        self.size = size

    @property
    def backbone(self) -> Backbone:
        """The backbone: images ``B 3 H W`` in [0, 1] in, its pyramid of features out.

        Raises:
            ConfigError: the task has none.
        """
        if self.task.backbone is None:
            raise ConfigError(f"A run of {self.task.name} has no backbone.")
        return self.task.backbone

    def predict(self, image: Any, next: Any = None) -> Prediction:
        """Return what the network sees in a picture, at the size of the picture.

        Args:
            image: path, Pillow image, array ``H W 3``, tensor ``3 H W`` or a batch ``B 3 H W``; uint8, or
                floats in [0, 1].
            next: the picture after it, for networks that predict flow.

        Returns:
            A batch (of one): ``DepthPrediction``, ``FlowPrediction``, ``SegmentationPrediction`` or
            ``DetectionPrediction``.

        Raises:
            DataError: it is no picture, or the next one is missing or of another size.
            ConfigError: the network predicts nothing (it trained a backbone).
        """
        return self(as_pixels(image), None if next is None else as_pixels(next))

    def forward(self, images: Tensor, next: Tensor | None = None) -> Prediction:
        """Return what the network sees in images ``B 3 H W`` in [0, 1], see `predict`."""
        device = self.task.device
        return predict_images(
            self.task, images.to(device), self.size, None if next is None else next.to(device)
        )
