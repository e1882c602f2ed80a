"""``timm``: the backbone as a file that plain timm loads with nothing missing and nothing left over."""

from __future__ import annotations

from geopretrain.exporting.formats import PATH, Request, Written
from geopretrain.exporting.metadata import about, save_weights
from geopretrain.exporting.subject import Subject
from geopretrain.weights import backbone_state
from geopretrain.weights.timm_model import check_loads, check_plain

LOADS = """\
import timm

normalisation = {{"mean": {mean}, "std": {std}}}  # of images in [0, 1]
model = timm.create_model(
    "{name}", num_classes=0, checkpoint_path="{path}", pretrained_cfg_overlay=normalisation
)"""


def write(subject: Subject, request: Request) -> Written:
    """Write the backbone's tensors under timm's names, and load them in plain timm.

    Raises:
        ConfigError: the run has no backbone, or plain timm does not take its tensors.
    """
    backbone, target = subject.backbone, request.target
    check_plain(backbone.name)
    save_weights(target, backbone_state(backbone), about(subject))
    check_loads(backbone, target)
    return Written(
        (target,),
        LOADS.format(name=backbone.name, path=PATH, **_rounded(backbone.normalisation)),
        "Plain timm has loaded it with strict=True; every tensor is the same.",
    )


def _rounded(normalisation: dict[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in normalisation.items()}
