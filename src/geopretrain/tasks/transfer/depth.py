"""Transfer to depth with labels: any backbone learns metres from few or many measured depth maps.

Xie et al., *Revealing the Dark Secrets of Masked Image Modeling*, CVPR 2023 (MIM-Depth), and Khan et al.,
*MeSa*, which fine-tunes by its recipe.

From the paper and its released code: SILog; a head of three transposed convolutions on the last features;
AdamW, weight decay 0.05, layer decay 0.9 where the last norm learns like the head; drop path 0.3; a rate that
rises for half of the training and falls for the other (power 0.9, from 3e-5 to 5e-4 and back); flips,
windows, colours and vertical CutDepth; testing by the mean of picture and mirror image over sliding square
windows.

Our choice: images are normalised by the backbone, once, where the released code leaves out the normalisation
that its weights were trained with; depth in CutDepth is scaled to the range of a picture (``as_released``
keeps what the released code shows, the last 8 bits of the millimetres) and falls on a quarter of the samples
at random instead of on every fourth that a worker handles; windows are more than asked for where the picture
would have gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain, islice
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from geopretrain import losses
from geopretrain.data.augment.batches import augment_labelled
from geopretrain.data.augment.crops import check_crop
from geopretrain.data.augment.depth import random_colours, random_depth_windows, vertical_cut_depth
from geopretrain.data.batches import ClipBatch, LabelledBatch, as_float, as_images
from geopretrain.data.dataset import Description, Fields
from geopretrain.errors import require
from geopretrain.networks import Backbone
from geopretrain.networks.batch_norm import batch_statistics
from geopretrain.networks.drop_path import set_drop_path
from geopretrain.networks.heads.depth import DepthHeadName, MetricDepthNet, MultiscaleDepth
from geopretrain.schema import AnySize, Count, Unit, checked
from geopretrain.tasks.base import DepthTask, Logs
from geopretrain.tasks.diagnostics import not_a_number
from geopretrain.tasks.parameters import parameter_groups
from geopretrain.tasks.predictions import DepthMeaning, DepthPrediction
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.step import Step
from geopretrain.tasks.transfer.base import Transfer
from geopretrain.weights import Init, LoadReport

Batch = ClipBatch | LabelledBatch
_NEAREST = 1e-3
"""m, so that the logarithm of a predicted depth is finite."""
LAST_OF_DEPTH = "decoder.heads.0.weight"
"""Filters of the finest output of a decoder in a run; of depth it has one channel."""
START_BATCHES = 4
"""Batches of training pictures that the first predictions get their unit from."""
START_PIXELS = 65536
"""Measured pixels of each of them that are enough for a median."""
_ADAMW: dict[str, Any] = {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "triangle"}
_TESTED = {"test_flip": True, "windows": 2, "drop_path": 0.3, "crop": (480, 480)}
_HANDED_ON = {"head": "multiscale"}
PRESETS = {
    "paper": Preset(
        size=(480, 640),
        batch_size=24,
        lr=5e-4,
        lr_floor=0.06,
        epochs=25,
        layer_decay=0.9,
        settings=_TESTED,
        **_ADAMW,
    ),
    "kitti": Preset(
        size=(352, 1216),
        crop="bottom",
        batch_size=24,
        lr=5e-4,
        lr_floor=0.06,
        epochs=25,
        layer_decay=0.9,
        settings={**_TESTED, "max_depth": 80.0, "windows": 16, "crop": (352, 352)},
        **_ADAMW,
    ),
    "mesa": Preset(
        size=(480, 640),
        batch_size=24,
        lr=1e-4,
        lr_floor=0.1,
        epochs=75,
        layer_decay=0.85,
        settings={**_TESTED, "drop_path": 0.5},
        **_ADAMW,
    ),
    "short": Preset(batch_size=8, lr=5e-4, lr_floor=0.06, steps=600, settings=_HANDED_ON, **_ADAMW),
    "tiny": Preset(batch_size=4, lr=5e-4, lr_floor=0.06, steps=20, settings=_HANDED_ON, **_ADAMW),
}
"""``paper``: MIM-Depth on NYU Depth v2 with SwinV2-B; ``kitti``: the same on KITTI, 352x1216; ``mesa``:
MeSa's 75 epochs, 1e-5 to 1e-4 and back, with the layer decay and drop path that MIM-Depth has for
SwinV2-L; ``short`` and ``tiny``: few steps, and the decoder that few labels were learned best with, from
ImageNet's weights and from depth (docs/results/what-helps.md)."""


@checked
class DepthTransferConfig:
    """Options of the transfer.

    Raises:
        ConfigError: an option has an impossible value.
    """

    backbone: str = "resnet18"
    """Encoder of the depth network: any timm model."""
    mode: Literal["full", "encoder", "frozen"] = "full"
    """``full``: encoder and head start from the initial weights; ``encoder``: the head starts fresh;
    ``frozen``: as ``encoder``, and the encoder does not change in any way."""
    head: DepthHeadName = "deconv"
    """``deconv``: three transposed convolutions on the last features (MIM-Depth); ``multiscale``: the decoder
    of Monodepth2, which begins as that of a depth run where the run has one (see ``start``); ``dpt``: that of
    Ranftl et al. on blocks of a ViT or levels of a pyramid (extra ``heads``)."""
    max_depth: float = 10.0
    """Farthest depth that is told, m (NYU 10, KITTI 80); measurements beyond it do not count."""
    min_depth: float = 0.1
    """Nearest depth that ``multiscale`` tells, m."""
    start: Literal["median", "as_built"] = "median"
    """What ``multiscale`` begins with: depths of the same median as the measured ones, by a shift of its last
    bias, because video knows no unit; or those of its first weights."""
    silog_focus: Unit = 0.5
    """How much of a common factor SILog ignores (lambda): 0 nothing, 1 all of it."""
    crop: AnySize = None
    """Height and width of the windows that are learned from, e.g. 480x480; left away: whole pictures."""
    flip: Unit = 0.5
    """Probability of a horizontal flip."""
    colours: Unit = 0.5
    """Probability of each of three changes of colour: contrast and brightness, gamma, hue and saturation."""
    cut_depth: Unit = 0.25
    """Probability of a vertical strip of depth in a picture (vertical CutDepth)."""
    cut_depth_values: Literal["scaled", "as_released"] = "scaled"
    """What such a strip shows: depth as a fraction of max_depth, or the last 8 bits of the millimetres."""
    drop_path: Unit = 0.0
    """Chance of the last residual branch of the backbone to be left out while training; linear from 0."""
    test_flip: bool = False
    """Predict the mean of a picture and its mirror image."""
    windows: Count = 1
    """Square windows, side by side over the width, whose predictions are averaged (NYU 2, KITTI 16); 1:
    none."""

    def __post_init__(self) -> None:
        require(0 < self.min_depth < self.max_depth, "min_depth", "positive, below max_depth", self.min_depth)
        require(self.drop_path < 1, "drop_path", "below 1", self.drop_path)


class DepthTransfer(Transfer, DepthTask):
    """The transfer as a task.

    Args:
        config: options.
        backbone: encoder, initialised.
        new_encoder: the encoder starts from random numbers.
    """

    name: ClassVar[str] = "depth"
    Config = DepthTransferConfig
    network: MetricDepthNet
    required = Fields(names=("depth",))

    def __init__(self, config: DepthTransferConfig, backbone: Backbone, new_encoder: bool = False) -> None:
        super().__init__(new_encoder)
        self.config: DepthTransferConfig = config
        if config.drop_path:
            set_drop_path(backbone, config.drop_path)
        self.network = MetricDepthNet(backbone, config.head, config.min_depth, config.max_depth)
        if self.frozen:
            self.freeze()
        self.train()

    def taken_over(
        self, init: Init, others: Mapping[str, Tensor], report: LoadReport
    ) -> tuple[Mapping[str, Tensor], dict[str, str]]:
        """Return what every transfer takes, and say where the decoder of a depth run is lost."""
        last = others.get(LAST_OF_DEPTH)
        wanted = self.config.mode == "full" and self.config.head != "multiscale"
        if wanted and last is not None and len(last) == 1:
            report.warnings.append("its depth decoder is left out: --settings head=multiscale takes it over")
        return super().taken_over(init, others, report)

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Saved prefixes and the modules they stand for; of ``multiscale`` those of every depth method."""
        head = "network.head.decoder." if self.config.head == "multiscale" else "network.head."
        return {"backbone.": "network.backbone.model.", "decoder.": head}

    @property
    def presets(self) -> Mapping[str, Preset]:
        """``paper``, ``kitti``, ``mesa``; see there."""
        return PRESETS

    @property
    def depth_meaning(self) -> DepthMeaning:
        """Metres."""
        return "metric"

    @property
    def max_depth(self) -> float:
        """Farthest depth it can tell, m."""
        return self.config.max_depth

    def check_data(self, data: Description) -> None:
        """Refuse windows that are larger than the pictures."""
        if self.config.crop is not None:
            check_crop(self.config.crop, data.size)

    def prepare_training(self, batches: Iterable[Batch]) -> None:
        """Measure statistics as every transfer does, and give the first predictions their unit."""
        head = self.network.head
        if self.config.start != "median" or not isinstance(head, MultiscaleDepth):
            super().prepare_training(batches)
            return
        rest = iter(batches)
        first = list(islice(rest, START_BATCHES))
        super().prepare_training(chain(first, rest))
        self._start_at_median(head, first)

    @torch.no_grad()
    def _start_at_median(self, head: MultiscaleDepth, batches: Iterable[Batch]) -> None:
        """Shift the head by the measured pixels of some batches, if there are any."""
        training, said, measured = self.training, list[Tensor](), list[Tensor]()
        self.eval()
        as_trained = nullcontext() if self.still_statistics else batch_statistics(self.network)
        with as_trained:
            for batch in batches:
                found = self.eval_transform(batch)
                truth = found.required("depth")
                valid = self._counts(truth)
                features = head.read(self.network.backbone, found.images)
                logits = head.decoder(features, size=found.images.shape[-2:])[0]
                every = max(1, int(valid.sum()) // START_PIXELS)
                said.append(logits[valid][::every])
                measured.append(truth[valid][::every])
        self.train(training)
        if sum(map(len, measured)):
            head.shift_to_median(torch.cat(said), torch.cat(measured))

    def _counts(self, truth: Tensor) -> Tensor:
        """Return where depth is measured and near enough."""
        return (truth > 0) & (truth <= self.config.max_depth)

    def train_transform(self, batch: Batch) -> LabelledBatch:
        """Put strips of depth into some pictures, flip, cut out windows, and change colours."""
        config, found = self.config, as_images(batch)
        if config.cut_depth:
            released = config.cut_depth_values == "as_released"
            found = vertical_cut_depth(found, config.cut_depth, config.max_depth, as_released=released)
        found = augment_labelled(found, config.flip)
        if config.crop is not None:
            found = random_depth_windows(found, config.crop)
        return replace(found, images=random_colours(found.images, config.colours))

    def eval_transform(self, batch: Batch) -> LabelledBatch:
        """Return whole pictures as floats."""
        found = as_images(batch)
        return replace(found, images=as_float(found.images))

    def loss(self, batch: LabelledBatch, step: Step) -> tuple[Tensor, Logs]:
        """Return SILog over the measured pixels of the batch."""
        depth = self.network(batch.images)
        with torch.autocast(depth.device.type, enabled=False):
            truth = batch.required("depth").float()
            valid = self._counts(truth)
            predicted = depth.float().clamp(min=_NEAREST)
            loss = losses.silog(predicted, truth, valid, focus=self.config.silog_focus)
            count = valid.sum().clamp(min=1)
            error = (predicted - truth).abs() / truth.clamp(min=_NEAREST)
            logs = {
                "abs_rel": torch.where(valid, error, 0).sum() / count,
                "valid_fraction": valid.float().mean(),
                "beyond_fraction": (truth > self.config.max_depth).sum() / (truth > 0).sum().clamp(min=1),
            }
        return loss, {name: value.detach() for name, value in logs.items()}

    def parameter_groups(
        self, lr: float, weight_decay: float = 0.0, layer_decay: float = 1.0
    ) -> list[dict[str, Any]]:
        """Return optimiser groups as MIM-Depth has them: the last norm has the rate of the head."""
        return parameter_groups(self, self.backbone, lr, weight_decay, layer_decay, as_mim=True)

    def predict(self, images: Tensor) -> DepthPrediction:
        """Map images ``B 3 H W`` in [0, 1] to disparity ``B 1 H W`` (1/m), tested as the options say."""
        depth = self._over_windows(images)
        if self.config.test_flip:
            depth = (depth + self._over_windows(images.flip(-1)).flip(-1)) / 2
        return DepthPrediction(1 / depth.clamp(min=_NEAREST), "metric")

    def _over_windows(self, images: Tensor) -> Tensor:
        """Return depth ``B 1 H W``: the mean over square windows along the width, where there are several."""
        height, width = images.shape[-2:]
        if self.config.windows == 1 or width <= height:
            whole: Tensor = self.network(images)
            return whole
        count = max(self.config.windows, math.ceil(width / height))
        starts = [round(i * (width - height) / (count - 1)) for i in range(count)]
        total, times = images.new_zeros(len(images), 1, height, width), images.new_zeros(width)
        for start in starts:
            window = slice(start, start + height)
            total[..., window] += self.network(images[..., window]).to(total.dtype)
            times[window] += 1
        return total / times

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return one row per sample: image, predicted and true depth (near = bright), relative error."""
        from geopretrain import pictures

        found = self.eval_transform(batch)
        disparity = self.predict(found.images).disparity.cpu().numpy()[:, 0]
        truth = found.required("depth").cpu().numpy()[:, 0]
        near = np.where(truth > 0, 1 / np.maximum(truth, _NEAREST), np.nan)
        error = np.where(truth > 0, np.abs(1 / disparity - truth) * near, np.nan)
        limits = [pictures.depth_limits(one) for one in near]
        coloured = [
            [pictures.colour_depth(one, limit) for one, limit in zip(maps, limits, strict=True)]
            for maps in (disparity, near)
        ]
        columns = {
            "image": [pictures.image(one) for one in found.images.cpu().numpy()],
            "depth": coloured[0],
            "truth": coloured[1],
            "error": [pictures.error_map(one, 0.3, what="relative error") for one in error],
        }
        return pictures.rows(columns)

    def diagnostics(self, logs: Mapping[str, float], step: int) -> list[str]:
        """Return what looks wrong in the averaged logs, in sentences with advice."""
        if broken := not_a_number(logs, step):
            return broken
        beyond = logs.get("beyond_fraction", 0.0)
        if beyond <= 0.2:
            return []
        return [
            f"{beyond:.0%} of the measured depths lie beyond max_depth ({self.config.max_depth:g} m) and do "
            "not count. Are they in metres? If so, raise --settings max_depth=..."
        ]
