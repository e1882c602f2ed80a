"""The depth network that shows a segmenter what is near: which it is, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.networks.depth_net import DepthNet
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.tasks.base import DepthTask
from geopretrain.tasks.transfer.segmentation import DEPTH_INPUT, Segmentation
from geopretrain.weights import LoadReport

HEADS, FINEST = "decoder.heads.", "decoder.heads.0."
"""Output layers of a depth network; those of smaller maps are of no use here."""
NO_RUN = (
    "must be a run of monodepth, scdepth or depth_supervised for depth_input, which puts its network into "
    "this one, and of '{source}' {found}. Pre-train one, or leave depth_input away."
)


@dataclass(frozen=True)
class Eye:
    """A trained depth network.

    Attributes:
        source: run that it is from.
        config: what a `Segmentation` has to know to build it.
        tensors: its weights, those of the finest scale.
    """

    source: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def give(self, task: Segmentation, report: LoadReport) -> None:
        """Give its weights to the task, and say so in the report."""
        shown = task.network.depth_input
        assert shown is not None  # built by ``config``
        shown.eye.load_state_dict(dict(self.tensors))
        given = f"{DEPTH_INPUT}eye."
        report.loaded = [name for name in report.loaded if not name.startswith(given)]
        report.skipped = [one for one in report.skipped if not one[0].startswith(given)]
        report.reinitialised = [name for name in report.reinitialised if not name.startswith(given)]
        report.changed.append(f"{DEPTH_INPUT}eye: {len(self.tensors)} tensors from {self.source}")


def read_eye(options: FinetuneSegmentationOptions) -> Eye:
    """Return the depth network of the run in ``--depth-from``.

    Raises:
        OptionError: it is no run of ours that learned depth from images.
        RunFolderError: the run is continued, and it is not there any more.
        UserError: the run is not finished, or damaged.
    """
    source = str(options.depth_from)
    run = RunFolder(Path(source))
    if options.resume and not run.path.exists():
        raise RunFolderError(
            f"The depth run '{source}' that this run was begun with is not there any more. If it has moved, "
            "give it anew: --depth-from, wherever it is now."
        )
    if not run.is_ours():
        raise OptionError("depth_from", NO_RUN.format(source=source, found="it is no run folder"))
    task = load_task(run)
    nets = [module for module in task.modules() if isinstance(module, DepthNet)]
    if not nets or not isinstance(task, DepthTask):
        method = run.config.get("method", run.kind)
        raise OptionError("depth_from", NO_RUN.format(source=source, found=f"that run is of {method}"))
    net = nets[0]
    tensors = {
        name: tensor
        for name, tensor in net.state_dict().items()
        if name.startswith(FINEST) or not name.startswith(HEADS)
    }
    known = {
        "depth_backbone": net.backbone.name,
        "depth_upsampling": net.decoder.upsampling,
        "depth_range": (task.config.min_depth, task.config.max_depth),
    }
    return Eye(source, known, tensors)
