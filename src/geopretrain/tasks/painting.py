"""What methods share that paint hidden patches with a small transformer: options, error, advice."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from geopretrain.errors import ConfigError, require
from geopretrain.schema import Count, Unit, checked
from geopretrain.tasks.base import Logs
from geopretrain.tasks.diagnostics import SETTLED_AFTER, not_a_number


@checked
class PaintingConfig:
    """Options of painting hidden patches; the defaults are those of MAE and CroCo.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "vit_small_patch16_224"
    """Encoder: a timm model; the paper's is a ViT."""
    hidden: Unit = 0.75
    """Fraction of the image that is hidden."""
    normalise_target: bool = True
    """Compare with the colours of a patch less their mean, divided by their deviation."""
    decoder_width: Count = 512
    """Channels of the decoder, a multiple of 4 and of the heads."""
    decoder_depth: Count = 8
    """Blocks of the decoder."""
    decoder_heads: Count = 16
    """Attention heads of the decoder."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""

    def __post_init__(self) -> None:
        require(0 < self.hidden < 1, "hidden", "between 0 and 1", self.hidden)
        width, heads = self.decoder_width, self.decoder_heads
        require(
            width % 4 == 0 and width % heads == 0,
            "decoder_width",
            f"a multiple of 4 and of decoder_heads ({heads})",
            width,
        )


def check_hidden(parts: int, hidden: int, size: tuple[int, int], settings: str) -> None:
    """Raise ConfigError where all of an image is hidden, or nothing of it.

    Args:
        parts: that an image is cut into.
        hidden: how many of them are hidden.
        size: (height, width) of the images, px.
        settings: that decide on it, as they are typed.
    """
    if 0 < hidden < parts:
        return
    what = "nothing is left to paint from" if hidden else "there is nothing to paint"
    raise ConfigError(
        f"Of the {parts} part{'s' if parts > 1 else ''} of an image of {size[0]}x{size[1]} px (height x "
        f"width) {hidden} would be hidden: {what}. Use a larger --size, or other --settings {settings}."
    )


def hidden_error(painted: Tensor, target: Tensor, hidden: Tensor) -> tuple[Tensor, Logs]:
    """Return the squared error of the hidden patches, and beside it that of painting one colour.

    Args:
        painted: ``B N D``.
        target: likewise.
        hidden: ``B N``, 1 where hidden.
    """
    count = hidden.sum().clamp(min=1)
    loss = ((painted.float() - target).square().mean(2) * hidden).sum() / count
    spread = (target - target.mean((1, 2), keepdim=True)).square().mean(2)
    return loss, {"hidden_mse": loss.detach(), "baseline_mse": (spread * hidden).sum() / count}


def nothing_painted(logs: Mapping[str, float], step: int) -> list[str]:
    """Return what looks wrong in the averaged logs of `hidden_error`, in sentences with advice."""
    if broken := not_a_number(logs, step):
        return broken
    error, baseline = logs.get("hidden_mse", 0.0), logs.get("baseline_mse", 1.0)
    if step < SETTLED_AFTER or error <= 0.98 * baseline:
        return []
    return [
        f"Hidden patches are painted no better (error {error:.3f}) than with one colour ({baseline:.3f}): "
        "nothing is learned yet. Raise the learning rate, or train longer."
    ]
