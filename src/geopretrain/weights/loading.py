"""Putting tensors into modules and saying exactly what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone


class HasState(Protocol):
    """A module, as far as its tensors are concerned."""

    def state_dict(self) -> dict[str, Any]:
        """Return parameters and buffers by name, sharing memory with the module."""


@dataclass
class LoadReport:
    """What was loaded, skipped and left as initialised.

    Attributes:
        source: where the tensors came from.
        loaded: names of parameters and buffers that were loaded.
        skipped: tensors of the source that were not used, each with the reason.
        reinitialised: names of the network for which the source had nothing; they keep their random
            initialisation.
        warnings: what is doubtful, e.g. which normalisation was assumed.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    reinitialised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, other: LoadReport, prefix: str = "") -> LoadReport:
        """Append another part's report, its names given ``prefix``; return self."""
        self.loaded += [prefix + name for name in other.loaded]
        self.skipped += [(prefix + name, reason) for name, reason in other.skipped]
        self.reinitialised += [prefix + name for name in other.reinitialised]
        self.warnings += other.warnings
        return self

    def summary(self) -> str:
        """Return a few lines for the screen."""
        lines = [f"Weights from {self.source}: {len(self.loaded)} tensors loaded{_by_part(self.loaded)}."]
        if self.reinitialised:
            lines.append(f"  newly initialised: {len(self.reinitialised)}{_by_part(self.reinitialised)}")
        if self.skipped:
            names = [name for name, _ in self.skipped]
            reasons = sorted({reason for _, reason in self.skipped})
            lines.append(f"  not used: {len(names)}{_by_part(names)}: {'; '.join(reasons[:3])}")
        return "\n".join(lines + [f"  {warning}" for warning in self.warnings])


def load_matching(
    module: HasState,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    prefix_map: Mapping[str, str] | None = None,
    required: bool = True,
) -> LoadReport:
    """Copy every tensor whose name and shape fit into ``module``.

    Args:
        module: receives the tensors, in its own type and on its own device.
        tensors: names to tensors.
        source: named in the report and in errors.
        prefix_map: prefixes of ``tensors`` to prefixes of ``module``; only tensors with such a prefix are
            used.
        required: raise when nothing fits.

    Raises:
        WeightsError: nothing fits.
    """
    if prefix_map is not None:
        tensors = rename(tensors, prefix_map)
    report = LoadReport(source)
    own = module.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name not in own:
                report.skipped.append((name, "the network has no such parameter"))
            elif own[name].shape != tensor.shape:
                report.skipped.append((name, f"shape {_shape(tensor)}, the network has {_shape(own[name])}"))
            else:
                own[name].copy_(tensor)
                report.loaded.append(name)
    loaded = set(report.loaded)
    report.reinitialised = [
        name for name in own if name not in loaded and not name.endswith("num_batches_tracked")
    ]
    if required and not report.loaded:
        raise WeightsError(
            f"Nothing in {source} fits the network: it holds {_examples(tensors)}, the network wants "
            f"{_examples(own)}. Is it made for another network?"
        )
    return report


def load_backbone(backbone: Backbone, tensors: Mapping[str, Tensor], *, source: str) -> LoadReport:
    """Fill a backbone completely; names may carry any prefix, other parts of the file are skipped.

    Raises:
        WeightsError: the file belongs to another backbone: a parameter is missing, has another shape, or
            the file has more layers than the backbone.
    """
    own = backbone.model.state_dict()
    tensors, elsewhere = _under_best_prefix(tensors, own)
    wanted = [name for name in own if not name.endswith("num_batches_tracked")]
    if not any(name in tensors for name in wanted):
        raise WeightsError(
            f"Nothing in {source} fits the backbone {backbone.name}: it holds {_examples(tensors)}, "
            f"the backbone wants {_examples(wanted)}."
        )
    wrong = [name for name in wanted if name not in tensors or tensors[name].shape != own[name].shape]
    parts = {name.split(".")[0] for name in own}
    surplus = [name for name in tensors if name not in own and _is_inside(name, parts, backbone)]
    if wrong or surplus:
        raise WeightsError(
            f"{source} belongs to another backbone than {backbone.name}: "
            f"{_difference(wrong, surplus, tensors, own)}. "
            "Choose the backbone that the weights were made with."
        )
    report = load_matching(backbone.model, tensors, source=source)
    report.skipped += [(name, "no part of the backbone") for name in elsewhere]
    return report


def fits_whole(module: HasState, tensors: Mapping[str, Tensor]) -> bool:
    """Whether ``tensors`` has everything that ``module`` needs, in the right shapes, and nothing else."""
    own = module.state_dict()
    wanted = [name for name in own if not name.endswith("num_batches_tracked")]
    return all(n in tensors and tensors[n].shape == own[n].shape for n in wanted) and all(
        n in own for n in tensors
    )


def backbone_state(backbone: Backbone) -> dict[str, Tensor]:
    """Return the backbone's tensors under timm's own names: ``timm.create_model(name)`` loads them."""
    return dict(backbone.model.state_dict())


def rename(tensors: Mapping[str, Tensor], prefix_map: Mapping[str, str]) -> dict[str, Tensor]:
    """Return the tensors with a prefix of ``prefix_map`` (longest first), that prefix replaced."""
    renamed = {}
    for name, tensor in tensors.items():
        for prefix in sorted(prefix_map, key=len, reverse=True):
            if name.startswith(prefix):
                renamed[prefix_map[prefix] + name[len(prefix) :]] = tensor
                break
    return renamed


def _under_best_prefix(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors below the prefix under which most of ``own`` is found, and the names elsewhere."""
    candidates = {""}
    for name in tensors:
        parts = name.split(".")
        candidates.update(".".join(parts[:i]) + "." for i in range(1, min(len(parts), 4)))
    best = max(sorted(candidates, key=len), key=lambda p: sum(p + name in tensors for name in own))
    inside = {name[len(best) :]: tensor for name, tensor in tensors.items() if name.startswith(best)}
    return inside, [name for name in tensors if not name.startswith(best)]


def _is_inside(name: str, parts: set[str], backbone: Backbone) -> bool:
    """Whether a surplus name looks like a layer of the backbone rather than a classifier or another head."""
    classifier = backbone.model.pretrained_cfg.get("classifier", "fc")
    names = [classifier] if isinstance(classifier, str) else list(classifier or [])
    if any(name.startswith(f"{head}.") for head in names) or name.endswith("num_batches_tracked"):
        return False
    return name.split(".")[0] in parts


def _difference(
    wrong: list[str], surplus: list[str], tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> str:
    if not wrong:
        return f"it has {len(surplus)} layers more, e.g. {surplus[0]}"
    name = wrong[0]
    if name in tensors:
        found, expected = _shape(tensors[name]), _shape(own[name])
        return f"{len(wrong)} tensors differ, e.g. {name} is {found} instead of {expected}"
    return f"{len(wrong)} of {len(own)} tensors are missing or differ, e.g. {name} is missing"


def _by_part(names: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + 1
    if not counts or len(counts) > 4:
        return ""
    return " (" + ", ".join(f"{part} {count}" for part, count in counts.items()) + ")"


def _examples(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "") if listed else "nothing"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
