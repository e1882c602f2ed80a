"""A Swin-v2 of six small layers, ``geopretrain_swinv2_mini``, registered with timm.

timm has a model of about a million parameters for trials of most families (``test_resnet``,
``test_vit``), and none for Swin-v2 (Liu et al. 2022), whose smallest has 28 million.
"""

from __future__ import annotations

from typing import Any

from timm.models import SwinTransformerV2, build_model_with_cfg, generate_default_cfgs, register_model

default_cfgs = generate_default_cfgs(
    {
        "geopretrain_swinv2_mini": {
            "url": "",
            "input_size": (3, 64, 64),
            "pool_size": (2, 2),
            "fixed_input_size": True,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": "patch_embed.proj",
            "classifier": "head.fc",
        }
    }
)


@register_model
def geopretrain_swinv2_mini(pretrained: bool = False, **more: Any) -> SwinTransformerV2:
    """Swin-v2 with windows of 4 x 4 patches; strides 4 to 32, 32 to 256 channels; there are no weights."""
    shape = {"window_size": 4, "embed_dim": 32, "depths": (1, 1, 3, 1), "num_heads": (1, 2, 4, 8)}
    made: SwinTransformerV2 = build_model_with_cfg(
        SwinTransformerV2,
        "geopretrain_swinv2_mini",
        pretrained,
        feature_cfg={"flatten_sequential": True, "out_indices": (0, 1, 2, 3)},
        **{**shape, **more},
    )
    return made
