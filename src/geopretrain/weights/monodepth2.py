"""Weights in the format of the released Monodepth2, both ways.

Its files are ``encoder.pth``, ``depth.pth``, ``pose_encoder.pth`` and ``pose.pth``.
Ours are named ``backbone.*`` (timm), ``decoder.*``, ``pose.backbone.*``, ``pose.decoder.*``. The released
pose decoder predicts two transforms of which only the first is used; ours has the first, and exporting
fills the second with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from geopretrain.weights.files import read_tensors

FILES = ("encoder.pth", "depth.pth", "pose_encoder.pth", "pose.pth")

_STAGES = 5
_POSE_LAYERS = ("squeeze", "conv1", "conv2", "out")


def _depth_names() -> dict[str, str]:
    """Official decoder prefixes to ours: two convolutions per stage, coarse to fine, then four outputs."""
    names = {}
    for position, stage in enumerate(reversed(range(_STAGES))):
        names[f"decoder.{2 * position}.conv.conv."] = f"stages.{stage}.before."
        names[f"decoder.{2 * position + 1}.conv.conv."] = f"stages.{stage}.after."
    return names | {f"decoder.{2 * _STAGES + scale}.conv.": f"heads.{scale}." for scale in range(4)}


DEPTH_NAMES = _depth_names()
POSE_NAMES = {f"net.{i}.": f"{name}." for i, name in enumerate(_POSE_LAYERS)}


def backbone_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``encoder.conv1.weight`` to timm's ``conv1.weight``; the classifier is dropped."""
    renamed = {name.removeprefix("encoder."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in renamed.items() if not name.startswith("fc.")}


def decoder_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of ``depth.pth`` to those of MultiscaleDecoder."""
    return _rename(tensors, DEPTH_NAMES)


def pose_decoder_from_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of ``pose.pth`` to those of PoseDecoder, first transform only."""
    renamed = _rename(tensors, POSE_NAMES)
    return {name: tensor[:6] if name.startswith("out.") else tensor for name, tensor in renamed.items()}


def from_official(files: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Convert the contents of the official files (those that are there) to our saved names."""
    converters = {
        "encoder.pth": ("backbone.", backbone_from_official),
        "depth.pth": ("decoder.", decoder_from_official),
        "pose_encoder.pth": ("pose.backbone.", backbone_from_official),
        "pose.pth": ("pose.decoder.", pose_decoder_from_official),
    }
    state = {}
    for file, (prefix, convert) in converters.items():
        if file in files:
            state.update({prefix + name: tensor for name, tensor in convert(files[file]).items()})
    return state


def to_official(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Convert our saved names to the contents of the official files; absent parts are left out."""
    depth = {ours: theirs for theirs, ours in DEPTH_NAMES.items()}
    pose = {ours: theirs for theirs, ours in POSE_NAMES.items()}
    files = {
        "encoder.pth": {f"encoder.{name}": t for name, t in _below(state, "backbone.").items()},
        "depth.pth": _rename(_below(state, "decoder."), depth),
        "pose_encoder.pth": {f"encoder.{name}": t for name, t in _below(state, "pose.backbone.").items()},
        "pose.pth": {
            name: torch.cat([t, torch.zeros_like(t)]) if name.startswith("net.3.") else t
            for name, t in _rename(_below(state, "pose.decoder."), pose).items()
        },
    }
    return {file: tensors for file, tensors in files.items() if tensors}


def is_official_folder(path: Path) -> bool:
    """Whether ``path`` is a folder with a released ``encoder.pth``."""
    return (path / FILES[0]).is_file()


def read_folder(path: Path) -> dict[str, Tensor]:
    """Read a folder of official files into our saved names.

    Raises:
        WeightsError: a file is damaged.
    """
    return from_official(
        {file: read_tensors(path / file, strip=False) for file in FILES if (path / file).is_file()}
    )


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _rename(tensors: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        for prefix, replacement in table.items():
            if name.startswith(prefix):
                renamed[replacement + name[len(prefix) :]] = tensor
    return renamed
