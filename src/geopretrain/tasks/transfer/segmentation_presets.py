"""Training settings of the transfer to segmentation, one for each experiment of the paper.

Lao et al., *On the Viability of Monocular Depth Pre-training for Semantic Segmentation*, ECCV 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from geopretrain.tasks.presets import Preset

KITTI = Preset(steps=20_000, batch_size=16, lr=1e-5, schedule="cosine")
"""Section 4.1, few-shot: 16 images of KITTI."""
KITTI_VIT = replace(KITTI, lr=5e-8, settings={"head": "dpt"})
"""Section 4.1, Table 3: a ViT with DPT, at the best rate of their search; the rest as few-shot (not said)."""
NYU = Preset(size=(384, 448), steps=20_000, batch_size=32, lr=1e-5, schedule="cosine")
"""Section 4.2 and supplement B.5: NYU-V2; of ResNet-50 batches of 16."""
CITYSCAPES = Preset(
    size=(1024, 2048),
    steps=60_000,
    batch_size=8,
    lr=0.1,
    lr_of={"imagenet": 0.01, "random": 0.01},
    schedule="poly",
    optimizer="sgd",
    momentum=0.9,
    weight_decay=1e-4,
    settings={
        "head": "deeplabv3",
        "output_stride": 16,
        "crop": "512x512",
        "jitter": 0.5,
        "backbone_bn_momentum": 0.05,
        "head_bn_momentum": 0.0003,
    },
)
"""Section 4.2, Table 5 (full), and supplement B.4: 0.1 from depth, 0.01 from ImageNet; random numbers, which
the paper does not name, have ImageNet's. Output stride, jitter and momenta are the released script's."""
CITYSCAPES_CONTROLLED = replace(CITYSCAPES, steps=30_000, settings={**CITYSCAPES.settings, "jitter": 0.0})
"""The same (controlled): half the steps and fewer augmentations, which we read as crops and flips only."""
VIT_LINEAR = Preset(
    steps=40_000,
    batch_size=16,
    lr=1e-3,
    schedule="linear",
    warmup_steps=1500,
    optimizer="adamw",
    weight_decay=1e-4,
    settings={"head": "linear", "crop": "512x512", "zoom": "0.5,2", "jitter": 0.5},
)
"""Section 4.3, Table 6 (linear probe). The paper prints no settings: those of DINOv2's linear probes, without
the batch norm before their layer."""
VIT_FINETUNE = Preset(
    steps=160_000,
    batch_size=16,
    lr=3e-5,
    schedule="linear",
    warmup_steps=1500,
    optimizer="adamw",
    weight_decay=0.05,
    clip_norm=0.01,
    backbone_lr=0.1,
    settings={"head": "upernet", "crop": "896x896", "zoom": "0.5,2", "jitter": 0.5},
)
"""Section 4.3, Table 6 (fine-tuning), ADE20K; Cityscapes has half the steps, PASCAL VOC crops of 512. These
are Depth Anything's settings, its head (Mask2Former) replaced by UPerNet on the same pyramid of blocks."""
SHORT = Preset(steps=300, batch_size=8, lr=1e-3, schedule="cosine", warmup_steps=20)
TINY = Preset(steps=20, batch_size=4, lr=1e-3, schedule="cosine", warmup_steps=2)

PRESETS: Mapping[str, Preset] = {
    "paper": KITTI,
    "kitti_vit": KITTI_VIT,
    "nyu": NYU,
    "cityscapes": CITYSCAPES,
    "cityscapes_controlled": CITYSCAPES_CONTROLLED,
    "vit_linear": VIT_LINEAR,
    "vit_finetune": VIT_FINETUNE,
    "short": SHORT,
    "tiny": TINY,
}
