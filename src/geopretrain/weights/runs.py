"""The weight files of a run: ``model.safetensors`` (everything), ``backbone.safetensors`` (timm's names).

A task says which of its modules are saved under which name in ``weight_parts``, e.g.
``{"backbone.": "depth_net.backbone.model.", "decoder.": "depth_net.decoder."}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor, nn

from geopretrain import manifest
from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights.files import read_normalisation, read_tensors, save_tensors
from geopretrain.weights.loading import backbone_state, load_matching, rename
from geopretrain.weights.report import LoadReport

_RESUMED = "checkpoints/last.ckpt"
_NETWORKS = ("model.safetensors", "backbone.safetensors", "checkpoints/best.ckpt", _RESUMED)


class Saved(Protocol):
    """What weights are saved of and loaded into: a module that says how its parts are called in files."""

    @property
    def weight_parts(self) -> Mapping[str, str]:
        """Prefixes that modules are saved under, and their own prefixes; ``{"": ""}``: all as it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return parameters and buffers by name."""

    def get_submodule(self, target: str) -> nn.Module:
        """Return the module of that name."""

    def modules(self) -> Iterator[nn.Module]:
        """Return the module and all below it."""


def export_state(task: Saved) -> dict[str, Tensor]:
    """Return the task's tensors under their saved names (``backbone.*``, ``decoder.*``, ``pose.*``)."""
    parts = {inside: saved for saved, inside in task.weight_parts.items()}
    return rename(task.state_dict(), parts)


def load_state(task: Saved, tensors: Mapping[str, Tensor], *, source: str) -> LoadReport:
    """Fill a task completely from saved names.

    Raises:
        WeightsError: a tensor is missing or has another shape.
    """
    report = load_matching(task, tensors, source=source, prefix_map=task.weight_parts)
    expected = set(rename(export_state(task), task.weight_parts))
    missing = [name for name in report.reinitialised if name in expected]
    if missing:
        raise WeightsError(
            f"{source} lacks {len(missing)} tensors of this network, e.g. {missing[0]}. "
            "It was made with other options or is incomplete."
        )
    return report


def save_weights(task: Saved, folder: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write ``model.safetensors`` and, if the task has a backbone, ``backbone.safetensors`` into ``folder``.

    Both carry the backbone's name and normalisation as metadata.
    """
    folder = Path(folder)
    about = dict(metadata or {})
    backbone = find_backbone(task)
    if backbone is not None:
        about |= {"backbone": backbone.name, "normalisation": json.dumps(backbone.normalisation)}
        save_tensors(folder / "backbone.safetensors", backbone_state(backbone), about)
    save_tensors(folder / "model.safetensors", export_state(task), about)


def load_weights(task: Saved, folder: str | Path) -> LoadReport:
    """Fill a task from a run folder's ``model.safetensors``, normalisation included."""
    path = Path(folder) / "model.safetensors"
    set_normalisation(task, read_normalisation(path))  # first: parts that are stored with one keep it
    return load_state(task, read_tensors(path, strip=False), source=str(path))


def set_normalisation(task: Saved, normalisation: Mapping[str, list[float]] | None) -> None:
    """Let every backbone of a task normalise as is stored with its weights; None changes nothing."""
    if normalisation is None:
        return
    for module in task.modules():
        if isinstance(module, Backbone):
            module.set_normalisation(normalisation["mean"], normalisation["std"])


def find_backbone(task: Saved) -> Backbone | None:
    """Return the module saved as ``backbone.*``, or None."""
    inside = task.weight_parts.get("backbone.")
    if inside is None:
        return None
    return cast(Backbone, task.get_submodule(inside.removesuffix(".model.")))


def remove_networks(folder: Path) -> None:
    """Remove the network of a finished run and what it could be resumed from; all else stays."""
    manifest.remove(folder, [name for name in _NETWORKS if (folder / name).is_file()])


def is_without_network(folder: Path) -> bool:
    """Return whether a run is finished and its network was removed."""
    there = [(folder / name).is_file() for name in ("results.json", "model.safetensors", _RESUMED)]
    return there == [True, False, False]


def no_network(folder: Path) -> str:
    """Return the sentence for who asks for the network of a run that has none."""
    if is_without_network(folder):
        return (
            f"The run in '{folder}' has numbers and no network: that was removed when the training had "
            "ended, as a comparison with --keep-networks false does. Train it again with "
            f"--config {folder} and another --out."
        )
    return (
        f"The run in '{folder}' is not finished: it has no model.safetensors. "
        f"Continue it with --resume {folder}."
    )
