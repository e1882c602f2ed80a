"""Steps of MoCo v2, DINO, MAE and SimMIM put together from the lightly package as its documentation shows.

Nothing of ours is in them: timm's encoder, lightly's heads, losses, masks and momentum updates, torch's
optimisers with our presets' kind. They are given the same images or views as our steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from lightly.loss import DINOLoss, NTXentLoss
from lightly.models import utils
from lightly.models.modules import (
    DINOProjectionHead,
    MAEDecoderTIMM,
    MaskedVisionTransformerTIMM,
    MoCoProjectionHead,
)
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

METHODS = ("moco", "dino", "mae", "simmim")


def reference_step(method: str, backbone: str, views: Sequence[Tensor]) -> Callable[[], None]:
    """Return one optimisation step.

    Args:
        method: one of METHODS.
        backbone: name of a timm model; a plain ViT for mae and simmim.
        views: images ``B 3 H W``, normalised; two for moco, global and local ones for dino, else one.
    """
    model = {"moco": MoCo, "dino": DINO, "mae": MAE, "simmim": SimMIM}[method](backbone, views[0].shape[-2:])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4)

    def step() -> None:
        model.update()
        optimizer.zero_grad()
        model.loss(views).backward()
        optimizer.step()

    return step


class Reference(nn.Module):
    """A method."""

    def update(self) -> None:
        """Do what comes before a step."""

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss."""
        raise NotImplementedError


class MoCo(Reference):
    """MoCo v2 with a queue of 65536 keys."""

    def __init__(self, backbone: str, size: Any) -> None:
        super().__init__()
        self.backbone = timm.create_model(backbone, num_classes=0)
        self.head = MoCoProjectionHead(self.backbone.head_hidden_size, 2048, 128)
        self.backbone_momentum, self.head_momentum = copy.deepcopy(self.backbone), copy.deepcopy(self.head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.head_momentum)
        self.criterion = NTXentLoss(temperature=0.2, memory_bank_size=(65536, 128))

    def update(self) -> None:
        """Let the key encoder follow."""
        update_momentum(self.backbone, self.backbone_momentum, 0.999)
        update_momentum(self.head, self.head_momentum, 0.999)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return InfoNCE."""
        query = self.head(self.backbone(views[0]).flatten(1))
        with torch.no_grad():
            key = self.head_momentum(self.backbone_momentum(views[1]).flatten(1))
        return self.criterion(query, key)


class DINO(Reference):
    """DINO with 65536 outputs."""

    def __init__(self, backbone: str, size: Any) -> None:
        super().__init__()
        any_size = {"dynamic_img_size": True} if backbone.startswith("vit") else {}
        self.student = timm.create_model(backbone, num_classes=0, **any_size)
        self.head, self.teacher_head = (
            DINOProjectionHead(self.student.head_hidden_size, 2048, 256, 65536) for _ in range(2)
        )
        self.teacher = copy.deepcopy(self.student)
        self.teacher_head.load_state_dict(self.head.state_dict())
        deactivate_requires_grad(self.teacher)
        deactivate_requires_grad(self.teacher_head)
        self.criterion = DINOLoss(output_dim=65536)

    def update(self) -> None:
        """Let the teacher follow."""
        update_momentum(self.student, self.teacher, 0.996)
        update_momentum(self.head, self.teacher_head, 0.996)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return the cross-entropy; views go through the student one by one, as lightly's example does it."""
        with torch.no_grad():
            teacher = [self.teacher_head(self.teacher(view).flatten(1)) for view in views[:2]]
        student = [self.head(self.student(view).flatten(1)) for view in views]
        return self.criterion(teacher, student, epoch=0)


class MAE(Reference):
    """MAE with a decoder of eight blocks, 512 wide."""

    def __init__(self, backbone: str, size: Any) -> None:
        super().__init__()
        vit = timm.create_model(backbone, num_classes=0, img_size=tuple(size))
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.patch = vit.patch_embed.patch_size[0]
        self.decoder = MAEDecoderTIMM(
            num_patches=vit.patch_embed.num_patches,
            patch_size=self.patch,
            embed_dim=vit.embed_dim,
            decoder_embed_dim=512,
            decoder_depth=8,
            decoder_num_heads=16,
        )

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return the mean squared error of masked patches."""
        images = views[0]
        size = (len(images), self.backbone.sequence_length)
        keep, masked = utils.random_token_mask(size=size, mask_ratio=0.75, device=images.device)
        encoded = self.decoder.embed(self.backbone.encode(images=images, idx_keep=keep))
        tokens = utils.repeat_token(self.decoder.mask_token, size)
        tokens = utils.set_at_index(tokens, keep, encoded.type_as(tokens))
        decoded = self.decoder.decode(tokens)
        predicted = self.decoder.predict(utils.get_at_index(decoded, masked))
        patches = utils.patchify(images, self.patch)
        return nn.functional.mse_loss(predicted, utils.get_at_index(patches, masked - 1))


class SimMIM(Reference):
    """SimMIM with a linear head, 60 % of the patches masked."""

    def __init__(self, backbone: str, size: Any) -> None:
        super().__init__()
        vit = timm.create_model(backbone, num_classes=0, img_size=tuple(size))
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.patch = vit.patch_embed.patch_size[0]
        self.decoder = nn.Linear(vit.embed_dim, self.patch**2 * 3)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Return the mean absolute error of masked patches."""
        images = views[0]
        size = (len(images), self.backbone.sequence_length)
        _, masked = utils.random_token_mask(size=size, mask_ratio=0.6, device=images.device)
        encoded = self.backbone.encode(images=images, idx_mask=masked)
        predicted = self.decoder(utils.get_at_index(encoded, masked))
        patches = utils.patchify(images, self.patch)
        return nn.functional.l1_loss(predicted, utils.get_at_index(patches, masked - 1))
