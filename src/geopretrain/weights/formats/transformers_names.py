"""Hugging Face transformers' backbones under timm's names, whichever head they were saved with."""

from __future__ import annotations

import torch

from geopretrain.weights.formats.base import IMAGENET, Format, Rule, Tensors, joined_attention
from geopretrain.weights.formats.self_supervised import DECODER, MASK_TOKEN, official_dinov2, official_dinov3

_HEADS = (
    (r"(^|\.)(pooler|classifier|cls_classifier|distillation_classifier|hidden_states_norms)\.", "head"),
    (r"^decoder\.", DECODER),
    (r"mask_token$", MASK_TOKEN),
)

#: What stands before the names: the model's own (``vit.``), none, or that of a network with a head.
_ROOT: Rule = (
    r"^(?:(?!embeddings|encoder|layers?\.|layernorm|norm\.|neck|head\.|layer_norm\.|embedder|stages)[a-z0-9_]+\.)+",
    "",
)

_ATTENTION: tuple[Rule, ...] = (
    (r"\.attention\.(?:attention\.|self\.)?(?:query|q_proj)\.", ".attn.q."),
    (r"\.attention\.(?:attention\.|self\.)?(?:key|k_proj)\.", ".attn.k."),
    (r"\.attention\.(?:attention\.|self\.)?(?:value|v_proj)\.", ".attn.v."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
)

_PLAIN: tuple[Rule, ...] = (
    _ROOT,
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.(?:projection\.)?", "patch_embed.proj."),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.", ""),
    (r"^(?:encoder\.)?layers?\.", "blocks."),
    *_ATTENTION,
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^(?:layernorm|norm)\.", "norm."),
)

_SWIN: tuple[Rule, ...] = (
    _ROOT,
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "layers."),
    *_ATTENTION,
    (r"\.attention\.(?:self\.)?(?:relative_position_bias\.)?(relative_position_bias_table)$", r".attn.\1"),
    (r"\.attention\.(?:self\.)?logit_scale$", ".attn.logit_scale"),
    (r"\.attention\.(?:self\.)?continuous_position_bias_mlp\.", ".attn.cpb_mlp."),
    (r"^layernorm\.", "norm."),
    (r"^layers\.([012])\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample."),
)

_CONVNEXT: tuple[Rule, ...] = (
    _ROOT,
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^stages\.0\.downsample_layers\.", "stem."),
    (r"^(?:encoder\.)?stages\.(\d)\.(?:downsampling_layer|downsample_layers)\.", r"stages.\1.downsample."),
    (r"^(?:encoder\.)?stages\.(\d)\.layers\.", r"stages.\1.blocks."),
    (r"\.(?:dwconv|depthwise_conv)\.", ".conv_dw."),
    (r"^(?:layernorm|layer_norm)\.", "head.norm."),
    (r"\.(?:layernorm|layer_norm)\.", ".norm."),
    (r"\.(?:pwconv|pointwise_conv)([12])\.", r".mlp.fc\1."),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"\.grn\.", ".mlp.grn."),
)

_RESNET: tuple[Rule, ...] = (
    _ROOT,
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"^encoder\.stages\.(\d)\.layers\.", lambda found: f"layer{int(found[1]) + 1}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"\.layer\.(\d)\.convolution\.", lambda found: f".conv{int(found[1]) + 1}."),
    (r"\.layer\.(\d)\.normalization\.", lambda found: f".bn{int(found[1]) + 1}."),
)


def _dinov2(tensors: Tensors) -> Tensors:
    """Gated layers (ViT-g) are ``weights_in`` and ``weights_out``, in memory ``gate_proj`` and so on."""
    layers = {
        ".mlp.weights_in.": ".mlp.fc1.",
        ".mlp.weights_out.": ".mlp.fc2.",
        ".mlp.down_proj.": ".mlp.fc2.",
    }
    state = {}
    for name, tensor in tensors.items():
        for theirs, ours in layers.items():
            name = name.replace(theirs, ours)
        if ".mlp.gate_proj." in name:
            up = tensors.get(name.replace(".gate_proj.", ".up_proj."))
            name = name.replace(".mlp.gate_proj.", ".mlp.fc1.")
            tensor = tensor if up is None else torch.cat([tensor, up])
        if ".mlp.up_proj." not in name:
            state[name] = tensor
    return official_dinov2(joined_attention(state))


def _dinov3(tensors: Tensors) -> Tensors:
    """Plain layers are ``up_proj`` and ``down_proj``; gated ones have ``gate_proj`` before them."""
    gated = any(".mlp.gate_proj." in name for name in tensors)
    layers = {".mlp.gate_proj.": ".mlp.w1.", ".mlp.up_proj.": ".mlp.w2." if gated else ".mlp.fc1."}
    layers[".mlp.down_proj."] = ".mlp.w3." if gated else ".mlp.fc2."
    state = {}
    for name, tensor in tensors.items():
        for theirs, ours in layers.items():
            name = name.replace(theirs, ours)
        state[name] = tensor
    return official_dinov3(joined_attention(state))


FORMATS = (
    Format(
        "Hugging Face transformers, Depth Anything",
        marks=(r"^backbone\.embeddings\.patch_embeddings\.projection\.weight$", r"^neck\.", r"^head\."),
        skipped=((r"mask_token$", MASK_TOKEN),),
        rules=(*_PLAIN, (r"^(neck|head)\.", r"depth_head.\1.")),
        other_parts=r"^depth_head\.",
        finish=_dinov2,
        normalisation=IMAGENET,
    ),
    Format(
        "Hugging Face transformers, DINOv2",
        marks=(r"embeddings\.position_embeddings$", r"\.layer_scale1\.lambda1$"),
        skipped=_HEADS,
        rules=_PLAIN,
        finish=_dinov2,
        normalisation=IMAGENET,
    ),
    Format(
        "Hugging Face transformers, DINOv3",
        marks=(r"embeddings\.register_tokens$", r"\.layer_scale1\.lambda1$"),
        skipped=_HEADS,
        rules=_PLAIN,
        finish=_dinov3,
        normalisation=IMAGENET,
    ),
    Format(
        "Hugging Face transformers, Swin v1 or v2",
        marks=(r"embeddings\.patch_embeddings\.projection\.weight$", r"encoder\.layers\.0\.blocks\.0\."),
        skipped=_HEADS,
        rules=_SWIN,
        finish=joined_attention,
    ),
    Format(
        "Hugging Face transformers, MAE",
        marks=(r"embeddings\.patch_embeddings\.projection\.weight$", r"^decoder\.decoder_embed\."),
        skipped=_HEADS,
        rules=_PLAIN,
        finish=joined_attention,
        normalisation=IMAGENET,
    ),
    Format(
        "Hugging Face transformers, vision transformer",
        marks=(
            r"embeddings\.patch_embeddings\.projection\.weight$",
            r"layers?\.0\.layernorm_before\.weight$",
        ),
        skipped=_HEADS,
        rules=_PLAIN,
        finish=joined_attention,
    ),
    Format(
        "Hugging Face transformers, ConvNeXt (also v2 and DINOv3's)",
        marks=(r"stages\.0\.layers\.0\.(dwconv|depthwise_conv)\.weight$",),
        skipped=_HEADS,
        rules=_CONVNEXT,
        normalisation=IMAGENET,
    ),
    Format(
        "Hugging Face transformers, ResNet",
        marks=(r"embedder\.embedder\.convolution\.weight$", r"encoder\.stages\.0\.layers\.0\.layer\.0\."),
        skipped=_HEADS,
        rules=_RESNET,
        normalisation=IMAGENET,
    ),
)
