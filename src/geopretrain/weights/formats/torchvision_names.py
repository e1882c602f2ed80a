"""torchvision's models under timm's names. Its ResNets, ResNeXts and DenseNets have timm's names already."""

from __future__ import annotations

import re

from geopretrain.weights.formats.base import IMAGENET, Format, Tensors

CLASSIFIER = "classifier"


def _numbered_stages(prefix: str, pattern: str) -> tuple[tuple[str, str], ...]:
    """Stages are ``features.1``, ``.3``, ``.5``, ``.7``; what makes maps smaller stands between them."""
    return tuple(
        (rf"^features\.{2 * stage + 1}\.{pattern}", f"{prefix}.{stage}.blocks.") for stage in range(4)
    )


def _swin(tensors: Tensors) -> Tensors:
    """Swin-v2 has its biases of queries, keys and values in one; those of keys count as zero."""
    state: Tensors = {}
    for name, tensor in tensors.items():
        attention = re.fullmatch(r"(.*\.attn)\.qkv\.bias", name)
        if attention and f"{attention[1]}.logit_scale" in tensors:
            queries, _, values = tensor.chunk(3)
            state |= {f"{attention[1]}.q_bias": queries, f"{attention[1]}.v_bias": values}
        else:
            state[name] = tensor
    return state


FORMATS = (
    Format(
        "torchvision, vision transformer",
        marks=(r"^conv_proj\.weight$", r"^encoder\.layers\.encoder_layer_0\."),
        skipped=((r"^heads\.", CLASSIFIER),),
        rules=(
            (r"^class_token$", "cls_token"),
            (r"^conv_proj\.", "patch_embed.proj."),
            (r"^encoder\.pos_embedding$", "pos_embed"),
            (r"^encoder\.ln\.", "norm."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
            (r"\.ln_([12])\.", r".norm\1."),
            (r"\.self_attention\.in_proj_", ".attn.qkv."),
            (r"\.self_attention\.out_proj\.", ".attn.proj."),
            (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),
            (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
        ),
        normalisation=IMAGENET,
    ),
    Format(
        "torchvision, Swin v1 or v2",
        marks=(r"^features\.0\.0\.weight$", r"^features\.1\.0\.attn\.qkv\.weight$"),
        skipped=((r"^head\.", CLASSIFIER),),
        rules=(
            (r"^features\.0\.0\.", "patch_embed.proj."),
            (r"^features\.0\.2\.", "patch_embed.norm."),
            *_numbered_stages("layers", ""),
            *((rf"^features\.{2 * stage}\.", f"layers.{stage}.downsample.") for stage in (1, 2, 3)),
            (r"\.mlp\.0\.", ".mlp.fc1."),
            (r"\.mlp\.3\.", ".mlp.fc2."),
        ),
        finish=_swin,
        normalisation=IMAGENET,
    ),
    Format(
        "torchvision, ConvNeXt",
        marks=(r"^features\.0\.0\.weight$", r"^features\.1\.0\.layer_scale$"),
        skipped=((r"^classifier\.2\.", CLASSIFIER),),
        rules=(
            (r"^features\.0\.", "stem."),
            (r"^classifier\.0\.", "head.norm."),
            *_numbered_stages("stages", ""),
            *((rf"^features\.{2 * stage}\.", f"stages.{stage}.downsample.") for stage in (1, 2, 3)),
            (r"\.layer_scale$", ".gamma"),
            (r"\.block\.0\.", ".conv_dw."),
            (r"\.block\.2\.", ".norm."),
            (r"\.block\.3\.", ".mlp.fc1."),
            (r"\.block\.5\.", ".mlp.fc2."),
        ),
        normalisation=IMAGENET,
    ),
    Format(
        "torchvision, MobileNetV3",
        marks=(r"^features\.1\.block\.0\.0\.weight$", r"^classifier\.3\.weight$"),
        skipped=((r"^classifier\.3\.", CLASSIFIER),),
        normalisation=IMAGENET,
        ordered=True,
    ),
    Format(
        "torchvision, MobileNetV2",
        marks=(r"^features\.0\.0\.weight$", r"^features\.1\.conv\.0\.0\.weight$"),
        skipped=((r"^classifier\.", CLASSIFIER),),
        normalisation=IMAGENET,
        ordered=True,
    ),
    Format(
        "torchvision, RegNet",
        marks=(r"^stem\.0\.weight$", r"^trunk_output\.block1\.block1-0\."),
        skipped=((r"^fc\.", CLASSIFIER),),
        rules=(
            (r"^trunk_output\.block(\d)\.block\d-(\d+)\.", lambda m: f"s{m[1]}.b{int(m[2]) + 1}."),
            (r"\.proj\.", ".downsample."),
            (r"\.f\.se\.", ".se."),
            *((rf"\.f\.{letter}\.", f".conv{number}.") for number, letter in enumerate("abc", 1)),
            (r"^(stem|.*\.(?:conv\d|downsample))\.0\.", r"\1.conv."),
            (r"^(stem|.*\.(?:conv\d|downsample))\.1\.", r"\1.bn."),
        ),
        normalisation=IMAGENET,
    ),
    Format(
        "torchvision, EfficientNet v1 or v2",
        marks=(r"^features\.0\.0\.weight$", r"^features\.1\.0\.block\.0\.0\.weight$"),
        skipped=((r"^classifier\.", CLASSIFIER),),
        normalisation=IMAGENET,
        ordered=True,
    ),
)
