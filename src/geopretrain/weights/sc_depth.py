"""Weights in the format of the released SC-Depth (V1, V2, V3): one checkpoint with all networks.

Theirs are ``depth_net.*``, ``pose_net.*`` and, in V2, ``rectify_net.*``; ours ``backbone.*`` and
``decoder.*``, ``pose.*``, ``rotation.*``. Their pose is translation, then Euler angles; ours has the
rotation first.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from geopretrain.weights.loading import rename

_STAGES = 5
_HEAD_LAYERS = {
    "conv_squeeze.": "squeeze.",
    "convs_pose.0.": "conv1.",
    "convs_pose.1.": "conv2.",
    "convs_pose.2.": "out.",
}


def _decoder_names() -> dict[str, str]:
    """Their decoder prefixes to ours: before and after the skip connection, coarse to fine; four outputs."""
    names = {}
    for position, stage in enumerate(reversed(range(_STAGES))):
        names[f"decoder.upconvs0.{position}.conv.conv."] = f"decoder.stages.{stage}.before."
        names[f"decoder.upconvs1.{position}.conv.conv."] = f"decoder.stages.{stage}.after."
    return names | {f"decoder.dispconvs.{scale}.conv.": f"decoder.heads.{scale}." for scale in range(4)}


def depth_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of their depth network to ``backbone.*`` and ``decoder.*``; the classifier is dropped."""
    return _without_classifier(rename(tensors, {"encoder.encoder.": "backbone.", **_decoder_names()}))


def rotation_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of their rectification network to ``backbone.*`` and ``decoder.*``; the classifier is dropped."""
    heads = {f"decoder.{theirs}": f"decoder.{ours}" for theirs, ours in _HEAD_LAYERS.items()}
    return _without_classifier(rename(tensors, {"encoder.encoder.": "backbone.", **heads}))


def pose_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of their pose network to ``backbone.*`` and ``decoder.*``, rotation before translation."""
    state = rotation_from_official(tensors)
    for name in ("decoder.out.weight", "decoder.out.bias"):
        state[name] = torch.cat([state[name][3:], state[name][:3]])
    return state


def is_official(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a released SC-Depth checkpoint."""
    return "depth_net.decoder.upconvs0.0.conv.conv.weight" in tensors


def from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a whole checkpoint to our saved names; a version without rectification simply has none."""
    parts = {"depth_net.": "", "pose_net.": "pose.", "rectify_net.": "rotation."}
    converters = {"": depth_from_official, "pose.": pose_from_official, "rotation.": rotation_from_official}
    state = {}
    for theirs, ours in parts.items():
        part = rename(tensors, {theirs: ""})
        converted = converters[ours](part) if part else {}
        state.update({ours + name: tensor for name, tensor in converted.items()})
    return state


def _without_classifier(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("backbone.fc.")}
