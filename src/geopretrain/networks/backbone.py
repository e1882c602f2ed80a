"""Any timm model as a pyramid of features: timm's parameter names, and its weights' normalisation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from geopretrain.errors import DataError
from geopretrain.networks.building import REFUSALS, create_model, describe_levels, dilated_model
from geopretrain.networks.fitting import Size, ceil, crop, nearest_multiple, next_multiples, pad, resize
from geopretrain.wording import in_px, sides

if TYPE_CHECKING:
    from timm.layers import PatchEmbed

#: Monodepth2 and everything trained here from random numbers: (x - 0.45) / 0.225 in every channel.
DEFAULT_MEAN = (0.45, 0.45, 0.45)
DEFAULT_STD = (0.225, 0.225, 0.225)

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
        output_stride: what it was dilated to, None where it was not.
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
        self.model, self.origin = create_model(name, pretrained, 3 * in_images)
        self._levels, self.channels, self.strides, self._patch = describe_levels(self.model, name)
        self.output_stride: int | None = None
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

    def dilate(self, stride: int) -> None:
        """Let the features end at ``stride``, in place; the weights stay.

        Layers that would halve the size once more keep it, and those behind them are dilated (Chen et al.,
        *Rethinking atrous convolution*, 2017, section 3.1), as timm does it. Plain transformers, whose blocks
        all work at one stride, have their features resized to it.

        Args:
            stride: 8 or 16.

        Raises:
            ConfigError: timm cannot dilate this model.
        """
        if self._patch:
            self.strides = [min(own, stride) for own in self.strides]
        elif self.strides[-1] > stride:
            self._take(dilated_model(self.name, 3 * self.in_images, stride))
        self.output_stride = stride

    def undilated(self) -> Backbone:
        """Return the backbone as its name has it, with the same weights: itself, or an undilated copy."""
        if self.output_stride is None:
            return self
        plain = Backbone(self.name, in_images=self.in_images)
        plain._take(plain.model, self.model)
        plain.set_normalisation(**self.normalisation)
        return plain.to(self.mean.device).train(self.training)

    def _take(self, model: Any, weights: Any = None) -> None:
        """Make ``model`` the model, with the tensors of another one, or of the one before."""
        before = self.model
        model.load_state_dict((weights or before).state_dict())
        self.model = model.to(self.mean.device).train(before.training)
        self._levels, self.channels, self.strides, self._patch = describe_levels(model, self.name)
        self._fitting = {}

    @property
    def num_blocks(self) -> int:
        """Features that `blocks` may take: the blocks of a plain transformer, the levels of others."""
        return len(self.model.feature_info) if self._patch else len(self.channels)

    def blocks(self, images: Tensor, chosen: Sequence[int], norm: bool = False) -> list[Tensor]:
        """Return features as the model itself makes them, ``B C h w`` each, of images of any size.

        Args:
            images: ``B 3 H W`` in [0, 1]; padded (and resized) as by calling the backbone.
            chosen: numbers of blocks of a plain transformer, of levels of other models, from 0 on.
            norm: apply the model's final normalisation where it has one for them.
        """
        taken = list(chosen) if self._patch else [self._levels[i] for i in chosen]
        seen = self.as_seen(images)
        try:
            return self._features(seen, taken, norm=norm)
        except AssertionError as error:
            if "norm" not in str(error):
                raise
        return self._features(seen, taken)  # Hiera's features cannot be normalised

    @property
    def has_class_token(self) -> bool:
        """Whether a plain transformer has, and gives, a token for the whole image beside its patches."""
        told = "return_prefix_tokens" in signature(self.model.forward_intermediates).parameters
        return bool(self._patch) and told and bool(getattr(self.model, "num_prefix_tokens", 0))

    def blocks_and_tokens(self, images: Tensor, chosen: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Return what `blocks` does, each with the tokens ``B N C`` beside the patches (the class token)."""
        found = self.model.forward_intermediates(
            self.as_seen(images),
            indices=list(chosen),
            return_prefix_tokens=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return cast(list[tuple[Tensor, Tensor]], found)

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
        step = self.strides[-1]
        if self.output_stride is not None and self._patch % step == 0:
            step = self._patch or step  # whole patches need no resizing
        padded = next_multiples(size, (step, step))
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
        except REFUSALS:
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
        except REFUSALS as error:
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
        legal = f"images of at most {sides(own)}, the size" if own else "the size"
        raise DataError(
            f"{self.name} refuses images of {in_px(size)}: {reason}. Use {legal} it "
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
        return create_model(name, False, 3)[0]


def _per_channel(values: Sequence[float], in_images: int) -> Tensor:
    return torch.tensor(list(values) * in_images, dtype=torch.float64).view(1, -1, 1, 1)
