"""Weights: where they come from, reading foreign files safely, and what a run folder keeps."""

from geopretrain.weights.files import read_metadata, read_normalisation, read_tensors, save_tensors
from geopretrain.weights.init import (
    Init,
    InitTensors,
    ancestors,
    backbone_of,
    init_backbone,
    init_other_parts,
    normalise_like_timm,
    parse_init,
    read_init,
    read_lineage,
    weight_files,
)
from geopretrain.weights.loading import backbone_state, load_backbone, load_matching
from geopretrain.weights.report import LoadReport
from geopretrain.weights.runs import (
    export_state,
    find_backbone,
    load_state,
    load_weights,
    save_weights,
    set_normalisation,
)

__all__ = [
    "Init",
    "InitTensors",
    "LoadReport",
    "ancestors",
    "backbone_of",
    "backbone_state",
    "export_state",
    "find_backbone",
    "init_backbone",
    "init_other_parts",
    "load_backbone",
    "load_matching",
    "load_state",
    "load_weights",
    "normalise_like_timm",
    "parse_init",
    "read_init",
    "read_lineage",
    "read_metadata",
    "read_normalisation",
    "read_tensors",
    "save_tensors",
    "save_weights",
    "set_normalisation",
    "weight_files",
]
