"""``monodepth2``: the files of the released Monodepth2, for its own scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from geopretrain.errors import ConfigError
from geopretrain.exporting.formats import Request, Written
from geopretrain.exporting.subject import Subject
from geopretrain.files import atomic_path
from geopretrain.networks import DEFAULT_MEAN, DEFAULT_STD, Backbone, MultiscaleDecoder, PoseNet
from geopretrain.runs.loading import load_task
from geopretrain.tasks.base import DepthTask
from geopretrain.weights import export_state
from geopretrain.weights.loading import rename
from geopretrain.weights.monodepth2 import FILES, from_official, to_official

RESNETS = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048}
"""The encoders it knows, and the channels of their last features."""
CLASSES = 1000
"""Of ImageNet; its encoders carry a classifier that is never used."""
DEPTH_RANGE = (0.1, 100.0)
"""Depth at disparity 1 and 0, unless its scripts are told otherwise."""
LOADS = """\
# in a checkout of Monodepth2, with this folder as models/NAME
python test_simple.py --image_path street.jpg --model_name NAME"""


def write(subject: Subject, request: Request) -> Written:
    """Write encoder.pth, depth.pth and, where the run has a pose network of its own, the two of that.

    Monodepth2 normalises by 0.45 and 0.225. Where the backbone has another normalisation, its first layer is
    changed so that the same comes out everywhere but within 3 px of the border, where padding differs.

    Raises:
        ConfigError: the run has no depth network, or one that Monodepth2 does not have.
    """
    backbone, pose = subject.backbone, _pose_backbone(subject)
    _check(subject)
    state = _normalised(dict(export_state(subject.task)), "backbone.", backbone)
    if pose is None:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("pose.")}
    else:
        state = _normalised(state, "pose.backbone.", pose)
    files = to_official(state)
    checked = _compared(subject, files)
    written = []
    for name, tensors in files.items():
        path = request.target / name
        with atomic_path(path) as temporary:
            torch.save({**tensors, **_more(name, subject, pose)}, temporary)
        written.append(path)
    return Written(tuple(written), LOADS, checked, tuple(_notes(subject, pose)))


def _check(subject: Subject) -> None:
    """Refuse what has no counterpart there (ConfigError)."""
    task, name = subject.task, subject.backbone.name
    if not isinstance(task, DepthTask):
        raise ConfigError(
            f"The run '{subject.run.path}' was trained for {subject.method} and has no depth network; "
            "Monodepth2 has nothing else. Export a run of monodepth or depth_supervised, or the backbone "
            "with --format timm."
        )
    if name.partition(".")[0] not in RESNETS:
        raise ConfigError(f"Monodepth2 knows {', '.join(RESNETS)} and not {name}. Use --format onnx or timm.")
    decoders = [module for module in task.modules() if isinstance(module, MultiscaleDecoder)]
    same = [one for one in decoders if one.scales == (0, 1, 2, 3) and one.stages[0].upsampling == "nearest"]
    if len(same) != 1 or same[0].out_channels != 1:
        raise ConfigError(
            f"The depth network of this run ({subject.method}) is not that of Monodepth2: it has another "
            "upsampling or not its four scales. Use --format onnx or safetensors."
        )


def _pose_backbone(subject: Subject) -> Backbone | None:
    """Return the backbone of a pose network that Monodepth2 has, too; None where there is none."""
    found = [module.backbone for module in subject.task.modules() if isinstance(module, PoseNet)]
    return next((one for one in found if one.name.partition(".")[0] in RESNETS), None)


def _is_default(backbone: Backbone) -> bool:
    return backbone.normalisation == {"mean": [*DEFAULT_MEAN], "std": [*DEFAULT_STD]}


def _normalised(state: Mapping[str, Tensor], prefix: str, backbone: Backbone) -> dict[str, Tensor]:
    """Return tensors of a ResNet below a prefix, its normalisation exchanged for Monodepth2's.

    With (x - m) / s = a (x - 0.45) / 0.225 + b per channel, the filters take a, and the constant that b adds
    goes into the mean that the batch norm behind them subtracts.
    """
    state = dict(state)
    if _is_default(backbone):
        return state
    filters, mean = state[f"{prefix}conv1.weight"], state[f"{prefix}bn1.running_mean"]
    own_mean, own_std = (values.to(filters).double() for values in (backbone.mean, backbone.std))
    shift = (DEFAULT_MEAN[0] - own_mean) / own_std
    added = (filters.double() * shift).sum((1, 2, 3))
    state[f"{prefix}conv1.weight"] = (filters.double() * DEFAULT_STD[0] / own_std).to(filters)
    state[f"{prefix}bn1.running_mean"] = (mean.double() - added).to(mean)
    return state


def _more(name: str, subject: Subject, pose: Backbone | None) -> dict[str, Any]:
    """Return what its scripts look for beside the tensors that count."""
    if name not in (FILES[0], FILES[2]):
        return {}
    backbone = subject.backbone if name == FILES[0] or pose is None else pose
    width = RESNETS[backbone.name.partition(".")[0]]
    classifier = {
        "encoder.fc.weight": torch.zeros(CLASSES, width),
        "encoder.fc.bias": torch.zeros(CLASSES),
    }
    if name == FILES[2]:
        return classifier
    height, width = subject.size
    stereo = subject.lineage["task"].get("supervision", "mono") != "mono"
    return {**classifier, "height": height, "width": width, "use_stereo": stereo}


@torch.no_grad()
def _compared(subject: Subject, files: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Return how far the disparity of the network in the files is from that of the run."""
    task, again = subject.task, load_task(subject.run).eval()
    again.load_state_dict(rename(from_official(files), again.weight_parts), strict=False)
    if again.backbone is not None:
        again.backbone.set_normalisation(DEFAULT_MEAN, DEFAULT_STD)
    assert isinstance(task, DepthTask)
    assert isinstance(again, DepthTask)  # the same class, see `_check`
    images = torch.rand(2, 3, *subject.size, generator=torch.Generator().manual_seed(0))
    expected, found = task.predict(images).disparity, again.predict(images).disparity
    difference = ((found - expected).abs() / expected).max().item()
    return (
        "Read back from these files, the network gives the same disparity; the largest difference is "
        f"{difference:.2%}."
    )


def _notes(subject: Subject, pose: Backbone | None) -> list[str]:
    found = []
    if pose is None:
        found.append("The run has no pose network of that kind, so pose_encoder.pth and pose.pth are absent.")
    if not _is_default(subject.backbone):
        found.append(
            "The normalisation of the backbone was built into its first layer. Within 3 px of the border "
            "that layer sees other padding, which is the difference told here."
        )
    options = subject.lineage["task"]
    nearest, farthest = options.get("min_depth", DEPTH_RANGE[0]), options.get("max_depth", DEPTH_RANGE[1])
    if (nearest, farthest) != DEPTH_RANGE:
        found.append(f"Its scripts need --min_depth {nearest:g} --max_depth {farthest:g}.")
    return found
