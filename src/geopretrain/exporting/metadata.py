"""What a file of tensors says of itself: where it comes from and what its images must look like."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from geopretrain.exporting.formats import TORCH
from geopretrain.exporting.subject import Subject
from geopretrain.files import atomic_path
from geopretrain.runs.loading import LINEAGE
from geopretrain.weights import save_tensors


def about(subject: Subject) -> dict[str, str]:
    """Return the metadata of a safetensors file."""
    backbone = subject.task.backbone
    found = {"format": "pt", LINEAGE: json.dumps(dict(subject.lineage), sort_keys=True)}
    if backbone is not None:
        found |= {"backbone": backbone.name, "normalisation": json.dumps(backbone.normalisation)}
    return found


def save_weights(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors as the ending of the file says: safetensors, or a plain state dict of ``torch.save``.

    The latter has no place for ``metadata``.

    Raises:
        RunFolderError: it cannot be written.
    """
    if path.suffix.lower() not in TORCH:
        save_tensors(path, state, metadata)
        return
    with atomic_path(path) as temporary:
        torch.save({name: tensor.detach().clone().cpu() for name, tensor in state.items()}, temporary)
