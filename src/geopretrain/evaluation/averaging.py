"""Classes predicted several times and averaged: in windows, at several sizes, of mirrored images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from geopretrain.errors import OptionError, UserError
from geopretrain.tasks.predictions import SegmentationPrediction

if TYPE_CHECKING:
    from geopretrain.tasks.base import SegmentationTask

Size = tuple[int, int]


@dataclass(frozen=True)
class Averaging:
    """What is averaged.

    Attributes:
        window: (height, width) px of the windows; None: the whole image. Sides that are longer than those of
            the image are cut to it.
        stride: px from each window to the next; None: two thirds of the window.
        scales: factors on the size of the image.
        flip: mirrored images, too.

    Raises:
        OptionError: a stride without windows, or larger than they are.
    """

    window: Size | None = None
    stride: int | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.stride is not None and self.window is None:
            raise OptionError("stride", "is that of windows: give --window, too.")
        if self.window is not None and self.stride is not None and self.stride > min(self.window):
            raise OptionError("stride", "must be at most the window, or pixels between windows are left out.")

    @property
    def step(self) -> Size:
        """Rows and columns from each window to the next."""
        if self.stride is not None:
            return self.stride, self.stride
        height, width = self.window or (0, 0)
        return max(1, 2 * height // 3), max(1, 2 * width // 3)

    @property
    def plain(self) -> bool:
        """Whether each image is looked at once, whole and at its size."""
        return self == Averaging()

    @property
    def words(self) -> str:
        """How it is done, for protocols; empty where nothing is."""
        found = []
        if self.window is not None:
            (height, width), (rows, columns) = self.window, self.step
            found.append(f"windows of {height}x{width} every {rows}x{columns} px")
        if self.scales != (1.0,):
            found.append(f"scales {', '.join(f'{scale:g}' for scale in self.scales)}")
        if self.flip:
            found.append("mirrored images")
        return f"probabilities averaged over {' and '.join(found)}" if found else ""

    @property
    def slug(self) -> str:
        """The same, short, for names of files."""
        (height, width), (rows, columns) = self.window or (0, 0), self.step
        window = f"-window{height}x{width}-{rows}x{columns}" if self.window is not None else ""
        scales = "" if self.scales == (1.0,) else f"-scales{'-'.join(f'{scale:g}' for scale in self.scales)}"
        return f"{window}{scales}{'-flip' * self.flip}"


class AveragedTask:
    """A task that predicts classes as `Averaging` says; its logits are logarithms of probabilities.

    Args:
        task: in evaluation mode.
        averaging: what is averaged.
    """

    def __init__(self, task: SegmentationTask, averaging: Averaging) -> None:
        self.task, self.averaging = task, averaging
        self.class_names = task.class_names

    @torch.no_grad()
    def predict(self, images: Tensor) -> SegmentationPrediction:
        """Map images ``B 3 H W`` in [0, 1] to classes."""
        if self.averaging.plain:
            return self.task.predict(images)
        return SegmentationPrediction(self.probabilities(images).clamp(min=1e-12).log())

    def probabilities(self, images: Tensor) -> Tensor:
        """Return mean probabilities ``B K H W`` over everything that is looked at."""
        size, views = images.shape[-2:], []
        for scale in self.averaging.scales:
            found = self._views(_scaled(images, scale), scale)
            views += [functional.interpolate(view, size, mode="bilinear") for view in found]
        return torch.stack(views).mean(0)

    def _views(self, images: Tensor, scale: float) -> list[Tensor]:
        """Return probabilities of images at a scale, and of their mirror images where these are wanted.

        Raises:
            OptionError: the network does not take images of this size.
        """
        try:
            found = [self._in_windows(images)]
            return [*found, self._in_windows(images.flip(-1)).flip(-1)] if self.averaging.flip else found
        except UserError as error:
            if scale == 1:
                raise
            raise OptionError("scales", f"cannot have {scale:g}: {error}") from error

    def _in_windows(self, images: Tensor) -> Tensor:
        """Return probabilities ``B K H W``, where windows overlap their mean."""
        averaging, total = self.averaging, None
        if averaging.window is None:
            return self._probabilities(images)
        counts = images.new_zeros(images.shape[-2:])
        for rows, columns in windows((images.shape[-2], images.shape[-1]), averaging.window, averaging.step):
            found = self._probabilities(images[..., rows, columns])
            if total is None:
                total = found.new_zeros(len(images), found.shape[1], *images.shape[-2:])
            total[..., rows, columns] += found
            counts[rows, columns] += 1
        assert total is not None  # there is one window at least
        return total / counts

    def _probabilities(self, images: Tensor) -> Tensor:
        return self.task.predict(images).logits.float().softmax(1)


def windows(size: Size, window: Size, stride: Size) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of windows that cover an image of ``size``; the last ones end at its border."""
    for top in _starts(size[0], window[0], stride[0]):
        for left in _starts(size[1], window[1], stride[1]):
            yield slice(top, min(size[0], top + window[0])), slice(left, min(size[1], left + window[1]))


def _starts(length: int, window: int, stride: int) -> list[int]:
    last = max(0, length - window)
    return list(dict.fromkeys([*range(0, last, stride), last]))


def _scaled(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    size = [max(1, int(np.floor(scale * side + 0.5))) for side in images.shape[-2:]]
    return functional.interpolate(images, size, mode="bilinear", antialias=True).clamp(0, 1)
