"""Files of depth networks: backbone, and decoders and pose networks where ours have the same layers."""

from __future__ import annotations

from geopretrain.weights import monodepth2, sc_depth
from geopretrain.weights.formats.base import HALF, IMAGENET, Format, Tensors
from geopretrain.weights.formats.self_supervised import MASK_TOKEN, official_dinov2

_RESNET = r"(conv1|bn1|layer[1-4]|fc)\."
_CLASSIFIER = "classifier of ImageNet, unused in this network"


def _encoder(tensors: Tensors) -> Tensors:
    """``encoder.pth`` or ``pose_encoder.pth``, which sees two images at once."""
    images = tensors["encoder.conv1.weight"].shape[1] // 3 if "encoder.conv1.weight" in tensors else 1
    prefix = "backbone." if images == 1 else "pose.backbone."
    return {prefix + name: t for name, t in monodepth2.backbone_from_official(tensors).items()}


def _depth_decoder(tensors: Tensors) -> Tensors:
    return {f"decoder.{name}": t for name, t in monodepth2.decoder_from_official(tensors).items()}


def _pose_decoder(tensors: Tensors) -> Tensors:
    return {f"pose.decoder.{name}": t for name, t in monodepth2.pose_decoder_from_official(tensors).items()}


def _both(tensors: Tensors) -> Tensors:
    """Encoder and decoder in one file, as DepthToSemantic's segmentation on KITTI saves them."""
    parts = {
        part: {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
        for part in ("encoder", "decoder")
    }
    return _encoder(parts["encoder"]) | _depth_decoder(parts["decoder"])


FORMATS = (
    Format(
        "SC-Depth (Bian et al. 2021, Sun et al. 2022)",
        marks=(r"^depth_net\.decoder\.upconvs0\.0\.conv\.conv\.weight$",),
        skipped=((r"\.fc\.(weight|bias)$", _CLASSIFIER),),
        whole=sc_depth.from_official,
        normalisation=HALF,
    ),
    Format(
        "Monodepth2, encoder (Godard et al. 2019; also DepthToSemantic, Lao et al. 2024, and Geometric "
        "Pretraining, Wang et al.)",
        marks=(r"^encoder\.conv1\.weight$",),
        only=rf"^encoder\.{_RESNET}",
        skipped=((r"^encoder\.fc\.", _CLASSIFIER),),
        whole=_encoder,
        normalisation=HALF,
    ),
    Format(
        "Monodepth2, depth decoder (Godard et al. 2019; also DepthToSemantic, Lao et al. 2024)",
        marks=(r"^decoder\.0\.conv\.conv\.weight$",),
        only=r"^decoder\.\d+\.conv\.",
        whole=_depth_decoder,
    ),
    Format(
        "Monodepth2, pose decoder (Godard et al. 2019)",
        marks=(r"^net\.0\.weight$", r"^net\.3\.weight$"),
        only=r"^net\.[0-3]\.",
        whole=_pose_decoder,
    ),
    Format(
        "DepthToSemantic, encoder and decoder (Lao et al. 2024)",
        marks=(r"^encoder\.encoder\.conv1\.weight$", r"^decoder\.decoder\.0\.conv\.conv\.weight$"),
        skipped=((r"^encoder\.encoder\.fc\.", _CLASSIFIER),),
        whole=_both,
        normalisation=HALF,
    ),
    Format(
        "DepthToSemantic, DeepLab (Lao et al. 2024)",
        marks=(r"^layer1\.0\.conv1\.weight$", r"^aspp\.aspp1\.weight$"),
        skipped=((r"^aspp\.", "head of DeepLab, which DepthToSemantic does not hand on either"),),
        normalisation=IMAGENET,
    ),
    Format(
        "Depth Anything v1 or v2 (Yang et al. 2024)",
        marks=(r"(^|\.)pretrained\.patch_embed\.proj\.weight$", r"(^|\.)depth_head\."),
        skipped=((r"mask_token$", MASK_TOKEN),),
        rules=(
            (r"^(?:.*\.)?pretrained\.", ""),
            (r"^(?:.*\.)?depth_head\.", "depth_head."),
            (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),
        ),
        other_parts=r"^depth_head\.",
        finish=official_dinov2,
        normalisation=IMAGENET,
    ),
)
