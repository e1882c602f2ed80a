"""Files of self-supervised pre-trainings: heads, queues, second networks and decoders are left out."""

from __future__ import annotations

import torch

from geopretrain.weights.formats.base import IMAGENET, Format, Tensors

MASK_TOKEN = "stands for hidden patches in pre-training only"
DECODER = "decoder of the pre-training"
HEAD = "head of the pre-training"


def official_dinov2(tensors: Tensors) -> Tensors:
    """Rename what timm calls otherwise in DINOv2 (Oquab et al. 2023): registers and gated MLPs.

    With registers, timm's class token has its position added, and only patches have positions.
    """
    names = {
        name: name.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2.") for name in tensors
    }
    state = {names[name]: tensor for name, tensor in tensors.items()}
    if "register_tokens" not in state or "pos_embed" not in state or "cls_token" not in state:
        return state
    state["reg_token"] = state.pop("register_tokens")
    position = state["pos_embed"]
    state["cls_token"] = state["cls_token"] + position[:, :1]
    state["pos_embed"] = position[:, 1:]
    return state


def official_dinov3(tensors: Tensors) -> Tensors:
    """Rename what timm calls otherwise in DINOv3 (Siméoni et al. 2025); keys have no bias there."""
    state: Tensors = {}
    for name, tensor in tensors.items():
        new = name.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2")
        new = new.replace("storage_tokens", "reg_token").replace("register_tokens", "reg_token")
        new = (
            new.replace(".mlp.w1.", ".mlp.fc1_g.")
            .replace(".mlp.w2.", ".mlp.fc1_x.")
            .replace(".mlp.w3.", ".mlp.fc2.")
        )
        if new.endswith(".qkv.bias"):
            queries, _, values = torch.chunk(tensor, 3)
            block = new.removesuffix(".qkv.bias")
            state |= {f"{block}.q_bias": queries, f"{block}.v_bias": values}
        else:
            state[new] = tensor
    return state


FORMATS = (
    Format(
        "MoCo v1 or v2 (He et al. 2020)",
        marks=(r"^encoder_q\.",),
        skipped=(
            (r"^encoder_k\.", "momentum encoder"),
            (r"^queue(_ptr)?$", "queue of negatives"),
            (r"^encoder_q\.(fc|head|classifier)\.", HEAD),
        ),
        rules=((r"^encoder_q\.", ""),),
        normalisation=IMAGENET,
    ),
    Format(
        "MoCo v3 (Chen et al. 2021)",
        marks=(r"^base_encoder\.", r"^momentum_encoder\."),
        skipped=(
            (r"^momentum_encoder\.", "momentum encoder"),
            (r"^predictor\.", HEAD),
            (r"^base_encoder\.(fc|head)\.", HEAD),
        ),
        rules=((r"^base_encoder\.", ""),),
        normalisation=IMAGENET,
    ),
    Format(
        "DINO, iBOT or DINOv2 while training (Caron et al. 2021, Zhou et al. 2022, Oquab et al. 2023)",
        marks=(
            r"^(teacher\.|student\.)?(module\.)?backbone\.",
            r"(^|\.)(head|dino_head)\.(mlp|last_layer)\b",
        ),
        skipped=(
            (r"(^|\.)(head|dino_head|ibot_head)\.(mlp|last_layer)\b", HEAD),
            (r"mask_token$|masked_embed$", MASK_TOKEN),
        ),
        rules=(
            (r"^(teacher\.|student\.)?(module\.)?backbone\.", ""),
            (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),
        ),
        finish=official_dinov2,
        normalisation=IMAGENET,
    ),
    Format(
        "MAE (He et al. 2022)",
        marks=(r"^decoder_embed\.", r"^decoder_blocks\.", r"^patch_embed\.proj\.weight$"),
        skipped=((r"^decoder_", DECODER), (r"^mask_token$", MASK_TOKEN)),
        normalisation=IMAGENET,
    ),
    Format(
        "SimMIM (Xie et al. 2022)",
        marks=(r"^encoder\.patch_embed\.proj\.weight$", r"^encoder\.mask_token$|^decoder\.0\."),
        skipped=((r"^decoder\.", DECODER), (r"mask_token$", MASK_TOKEN)),
        rules=((r"^encoder\.", ""),),
        normalisation=IMAGENET,
    ),
    Format(
        "DINOv3 (Siméoni et al. 2025)",
        marks=(r"^blocks\.0\.ls1\.gamma$", r"^(storage_tokens|rope_embed\.periods)$"),
        skipped=(
            (r"^mask_token$", MASK_TOKEN),
            (r"^rope_embed\.periods$|\.bias_mask$", "computed anew"),
            (r"^local_cls_norm\.", "of small crops in pre-training only"),
        ),
        finish=official_dinov3,
        normalisation=IMAGENET,
    ),
    Format(
        "DINOv2 (Oquab et al. 2023)",
        marks=(r"^blocks\.(\d+\.)?0\.ls1\.gamma$", r"^(mask_token|register_tokens)$", r"^pos_embed$"),
        skipped=((r"^mask_token$", MASK_TOKEN),),
        rules=((r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),),
        finish=official_dinov2,
        normalisation=IMAGENET,
    ),
)
