"""Where a run's weights come from and what they expect of their input: ``lineage.json``."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from geopretrain.data.dataset import Description
from geopretrain.schema import plain
from geopretrain.tasks.base import Task
from geopretrain.version import __version__
from geopretrain.weights import Init, ancestors


@dataclass(frozen=True)
class Lineage:
    """What lineage.json holds.

    Attributes:
        command: of the run, e.g. ``pretrain``.
        method: name of the task.
        task: options of the task, all of them; with ``method`` they rebuild the network.
        backbone: name of the timm model, None without one.
        normalisation: mean and standard deviation that the backbone expects, for images in [0, 1].
        init: what the weights started from.
        chain: the initialisations behind it, oldest first.
        data: what the data were opened with.
        data_fingerprint: of their content.
        size: (height, width) px that was trained at.
        seed: of the run.
        classes: ``names`` and ``colours`` of class maps, None without.
        versions: of the libraries.
        kept: which weights are handed on, where these are not simply the last ones.
        callbacks: classes of the program's own that were called while training.
        beside: what else was learned from, by the name of its option, see ``Training``.
    """

    command: str
    method: str
    task: Mapping[str, Any]
    backbone: str | None
    normalisation: Mapping[str, list[float]] | None
    init: str
    chain: list[dict[str, Any]]
    data: str
    data_fingerprint: str
    size: tuple[int, int]
    seed: int
    classes: Mapping[str, Any] | None
    versions: Mapping[str, str]
    kept: str | None = None
    callbacks: list[str] = field(default_factory=list)
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as the file has it; ``size`` as HEIGHTxWIDTH."""
        height, width = self.size
        return {**plain(asdict(self)), "size": f"{height}x{width}"}

    def sentence(self) -> str:
        """Return the chain in words: ``random -> geometric_flow (runs/flow) -> monodepth``."""
        steps = [
            f"{step['method']} ({step['init']})" if step["kind"] == "run" else step["init"]
            for step in self.chain
        ]
        others = [str(one["method"]) for one in self.beside.values() if "method" in one]
        return f"Lineage: {' -> '.join([*steps, ' with '.join([self.method, *others])])}."


def trace(command: str, task: Task, init: Init, data: Description, fingerprint: str, seed: int) -> Lineage:
    """Return the lineage of a run that is about to start."""
    backbone = task.backbone
    classes = None
    if data.class_names:
        colours = [list(colour) for colour in data.class_colours]
        classes = {"names": list(data.class_names), "colours": colours}
    return Lineage(
        command=command,
        method=task.name,
        task=asdict(task.config),
        backbone=None if backbone is None else backbone.name,
        normalisation=None if backbone is None else backbone.normalisation,
        init=str(init),
        chain=ancestors(init, None if backbone is None else backbone.origin),
        data=data.path,
        data_fingerprint=fingerprint,
        size=data.size,
        seed=seed,
        classes=classes,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    import lightning
    import timm
    import torch

    return {
        "geopretrain": __version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "lightning": lightning.__version__,
        "python": platform.python_version(),
    }
