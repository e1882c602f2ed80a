"""What transfers with few labels show of their images: crops, sizes, flips and colours, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from torch import Tensor

from geopretrain.data.augment.batches import augment_labelled, jitter_colours
from geopretrain.data.augment.views import labelled_views, scaled_crops
from geopretrain.data.batches import LabelledBatch
from geopretrain.data.options import Range, parse_range
from geopretrain.errors import ConfigError, require
from geopretrain.schema import AnySize, Unit, Words, checked, defaults, reads

Zoom = Annotated[Range | None, reads(parse_range), Words("two numbers LOW,HIGH", "LOW,HIGH")]


@checked
class ViewOptions:
    """What is shown of images while training; by default the whole image, half of the times mirrored."""

    flip: Unit = 0.5
    """Probability of a horizontal flip."""
    crop: AnySize = None
    """Height and width in px of random crops that are learned from, e.g. 512x512; beyond the image they hold
    nothing to learn. Left away: the whole image."""
    zoom: Zoom = None
    """Least and largest factor LOW,HIGH that images are made larger by before they are cropped, e.g. 0.5,2;
    left away: 1. The crop is as large as the image where ``crop`` is left away."""
    min_scale: Unit = 1.0
    """Least area of a random window of the image that is shown at full size, as a fraction, e.g. 0.25; 1: the
    whole image. Instead of crop and zoom."""
    jitter: Unit = 0.0
    """Largest random change of brightness, contrast and saturation, as a fraction; 0: none."""

    def __post_init__(self) -> None:
        if self.crops and self.min_scale != defaults(type(self))["min_scale"]:
            raise ConfigError("min_scale shows windows at full size, crop and zoom cut: give one of them.")
        require(self.min_scale > 0, "min_scale", "above 0", self.min_scale)
        require(self.zoom is None or self.zoom[0] > 0, "zoom", "above 0", self.zoom)

    @property
    def changes(self) -> bool:
        """Whether images are changed beyond being mirrored."""
        return self.crops or self.min_scale < 1 or self.jitter > 0

    @property
    def crops(self) -> bool:
        """Whether crops are learned from."""
        return self.crop is not None or self.zoom is not None


def augmented(
    batch: LabelledBatch,
    options: ViewOptions,
    fill: Tensor,
    mixed: Callable[[LabelledBatch], LabelledBatch] = lambda views: views,
) -> LabelledBatch:
    """Return a batch as floats in [0, 1], cut, mirrored and coloured at random; labels and objects follow.

    Args:
        batch: as read.
        options: what may happen.
        fill: colour of what lies beyond an image, 3 channels in [0, 1].
        mixed: makes others of what was cut and mirrored, before its colours are changed.
    """
    views = mixed(_views(batch, options, fill))
    return replace(views, images=jitter_colours(views.images, options.jitter)) if options.jitter else views


def _views(batch: LabelledBatch, options: ViewOptions, fill: Tensor) -> LabelledBatch:
    if options.crops:
        return scaled_crops(
            batch,
            zoom=options.zoom or (1.0, 1.0),
            size=options.crop or (batch.images.shape[-2], batch.images.shape[-1]),
            flip=options.flip,
            fill=fill,
        )
    if options.min_scale < 1:
        return labelled_views(batch, scale=(options.min_scale, 1.0), flip=options.flip)
    return augment_labelled(batch, flip=options.flip)
