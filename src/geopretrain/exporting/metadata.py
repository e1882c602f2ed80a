"""What a file of tensors says of itself: where it comes from and what its images must look like."""

from __future__ import annotations

import json

from geopretrain.exporting.subject import Subject
from geopretrain.runs.loading import LINEAGE


def about(subject: Subject) -> dict[str, str]:
    """Return the metadata of a safetensors file."""
    backbone = subject.task.backbone
    found = {"format": "pt", LINEAGE: json.dumps(dict(subject.lineage), sort_keys=True)}
    if backbone is not None:
        found |= {"backbone": backbone.name, "normalisation": json.dumps(backbone.normalisation)}
    return found
