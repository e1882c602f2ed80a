"""Mask R-CNN and Faster R-CNN on any backbone: torchvision's heads, a pyramid, the backbone's own mean.

torchvision's own models also resize and normalise images. Here images come at their size and in [0, 1], and
the backbone normalises them, so that nothing is normalised twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image

from geopretrain.networks.backbone import Backbone
from geopretrain.networks.feature_pyramid import COARSEST, STRIDES, make_pyramid
from geopretrain.networks.fitting import next_multiples, pad

RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors."""
Target = Mapping[str, Tensor]
"""``boxes`` ``N 4`` px (x0, y0, x1, y1), ``labels`` ``N`` int64 from 0 on, ``masks`` ``N H W``."""


class DetectionNet(nn.Module):
    """Finds objects in two stages (Ren et al. 2015; He et al. 2017; thresholds as in torchvision).

    Args:
        backbone: the encoder.
        num_classes: of objects, without the background.
        masks: whether a mask is found for each object, too.
        anchor: side of the smallest anchors, px; it doubles from level to level.
        channels: of the pyramid and the heads.
        regions: proposals of an image that the second stage learns from.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        masks: bool = True,
        anchor: float = 32.0,
        channels: int = 256,
        regions: int = 512,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = make_pyramid(backbone, channels)
        self.rpn = _proposals(channels, anchor, regions)
        self.heads = _heads(channels, num_classes + 1, anchor, regions, masks=masks)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Return the losses of both stages by name, in training mode.

        Args:
            images: ``B 3 H W`` in [0, 1].
            targets: of each image; boxes have an area.
        """
        wanted = [_target(target) for target in targets]
        listed, features = self._features(images)
        proposals, first = self.rpn(listed, features, wanted)
        _, second = self.heads(features, proposals, listed.image_sizes, wanted)
        return {**first, **second}

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the objects of each image ``B 3 H W``, likeliest first, in evaluation mode.

        ``boxes`` ``N 4`` px, ``labels`` ``N`` from 0 on, ``scores`` ``N``, and with masks ``masks`` ``N H W``
        bool.
        """
        size = (images.shape[-2], images.shape[-1])
        listed, features = self._features(images)
        proposals, _ = self.rpn(listed, features)
        found, _ = self.heads(features, proposals, listed.image_sizes)
        return [_inside(one, size) for one in found]

    def _features(self, images: Tensor) -> tuple[ImageList, dict[str, Tensor]]:
        """Return images padded to what the pyramid divides, and their features in full precision.

        Anchors take the type of the features: in half precision a corner would be some px off.
        """
        height, width = next_multiples((images.shape[-2], images.shape[-1]), (STRIDES[-1],) * 2)
        whole = pad(images, (height, width))
        features = self.pyramid(self.backbone, whole)
        listed = ImageList(whole, [(height, width)] * len(whole))
        return listed, {name: level.float() for name, level in features.items()}


def _proposals(channels: int, anchor: float, regions: int) -> RegionProposalNetwork:
    sizes = tuple((anchor * stride / STRIDES[0],) for stride in (*STRIDES, COARSEST))
    return RegionProposalNetwork(
        AnchorGenerator(sizes, (RATIOS,) * len(sizes)),
        _ProposalHead(channels, len(RATIOS)),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 4 * regions, "testing": 2 * regions},
        post_nms_top_n={"training": 4 * regions, "testing": 2 * regions},
        nms_thresh=0.7,
    )


def _heads(channels: int, outputs: int, anchor: float, regions: int, *, masks: bool) -> RoIHeads:
    width = 4 * channels
    return RoIHeads(
        _pooling(7, anchor),
        TwoMLPHead(channels * 7**2, width),
        _BoxHead(width, outputs),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=regions,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.05,
        nms_thresh=0.5,
        detections_per_img=100,
        mask_roi_pool=_pooling(14, anchor) if masks else None,
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1) if masks else None,
        mask_predictor=_MaskHead(channels, channels, outputs) if masks else None,
    )


def _pooling(size: int, anchor: float) -> MultiScaleRoIAlign:
    """Return what cuts regions out of the level that suits their size, relative to anchors (FPN, eq. 1)."""
    levels = [str(i) for i in range(len(STRIDES))]
    return MultiScaleRoIAlign(levels, size, 2, canonical_scale=round(7 * anchor), canonical_level=4)


class _ProposalHead(RPNHead):
    """Results in full precision: boxes are computed in the type of what moves them."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, moves = super().forward(x)
        return [score.float() for score in scores], [move.float() for move in moves]


class _BoxHead(FastRCNNPredictor):
    """Results in full precision."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, moves = super().forward(x)
        return scores.float(), moves.float()


class _MaskHead(MaskRCNNPredictor):
    """Results in full precision."""

    def forward(self, x: Tensor) -> Tensor:
        masks: Tensor = super().forward(x)
        return masks.float()


def _target(target: Target) -> dict[str, Tensor]:
    """Return a target as torchvision has it: class 0 is the background, masks are bytes."""
    masks = {"masks": target["masks"].to(torch.uint8)} if "masks" in target else {}
    return {"boxes": target["boxes"], "labels": target["labels"] + 1, **masks}


def _inside(found: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
    """Return the objects of an image without what lies in its padding, their masks at its size."""
    boxes = clip_boxes_to_image(found["boxes"], size)
    kept = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    whole = {"boxes": boxes[kept], "labels": found["labels"][kept] - 1, "scores": found["scores"][kept]}
    if "masks" in found:
        whole["masks"] = paste_masks(found["masks"][kept, 0], found["boxes"][kept], size)
    return whole


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks ``N m m`` of what is in boxes (``N 4`` px) as ``N H W`` bool, inside above 0.5.

    The inverse of how torchvision cuts the truth for training out of masks, where pixel j stands at x = j.
    Its own way back makes every mask a pixel larger, which counts where objects are small.
    """
    height, width = size
    whole = torch.zeros(len(masks), height, width, dtype=torch.bool, device=masks.device)
    corners = boxes.round().int().tolist()
    for mask, box, (x0, y0, x1, y1), target in zip(masks, boxes, corners, whole, strict=True):
        rows, columns = (_pixels(*ends, device=masks.device) for ends in ((y0, y1, height), (x0, x1, width)))
        y, x = (2 * (at - box[i]) / (box[i + 2] - box[i]) - 1 for at, i in ((rows, 1), (columns, 0)))
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].to(mask.dtype)
        found = F.grid_sample(mask[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
        target[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = found > 0.5
    return whole


def _pixels(first: int, last: int, side: int, device: torch.device) -> Tensor:
    """Return the pixels from ``first`` to before ``last`` that a side has, one at least."""
    first = min(max(0, first), side - 1)
    return torch.arange(first, max(first + 1, min(last, side)), device=device)
