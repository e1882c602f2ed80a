"""Putting tensors into modules and saying exactly what happened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from geopretrain.errors import WeightsError
from geopretrain.networks import Backbone
from geopretrain.weights.comparison import COUNTER, Comparison, classifiers, compare, fits, shape
from geopretrain.weights.fitting import fit_to
from geopretrain.weights.proposals import propose_backbones, says
from geopretrain.weights.report import LoadReport, examples

VARIANCE = "running_var"
"""End of the names of variances in batch norms."""
_TAKEN_FIRST = re.compile(r"(^|[_.])(teacher|ema)([_.]|$)")
_TAKEN_LAST = re.compile(r"(^|[_.])(student|momentum|target|key|k)([_.]|$)")
MAX_STAGES = 8
"""Stages of a backbone that are named as missing; more are counted."""


class HasState(Protocol):
    """A module, as far as its tensors are concerned."""

    def state_dict(self) -> dict[str, Any]:
        """Return parameters and buffers by name, sharing memory with the module."""


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
                report.skipped.append((name, f"shape {shape(tensor)}, the network has {shape(own[name])}"))
            elif not fits(tensor, own[name]):
                report.skipped.append((name, f"{tensor.dtype} is no type of weights"))
            else:
                own[name].copy_(tensor)
                report.loaded.append(name)
    loaded = set(report.loaded)
    report.reinitialised = [name for name in own if name not in loaded and not name.endswith(COUNTER)]
    if required and not report.loaded:
        raise WeightsError(
            f"Nothing in {source} fits the network: it holds {examples(tensors)}, the network wants "
            f"{examples(own)}. Is it made for another network?"
        )
    return report


def load_backbone(
    backbone: Backbone, tensors: Mapping[str, Tensor], *, source: str, ordered: bool = False
) -> LoadReport:
    """Fill a backbone; names may carry any prefix, other parts of the file are skipped.

    What depends on the size of images is resized (see `fit_to`). What is missing keeps its random numbers,
    which the report says.

    Args:
        backbone: receives the tensors.
        tensors: in timm's names, see ``formats``.
        source: named in the report and in errors.
        ordered: see `fit_to`.

    Raises:
        WeightsError: nothing fits, or the file belongs to another backbone: a tensor has another shape, the
            file has more layers than the backbone, or all those of another one; or a value is not finite.
    """
    model = backbone.model
    inside, elsewhere = _under_best_prefix(tensors, model.state_dict())
    fitted = fit_to(model, backbone.name, inside, ordered=ordered)
    comparison = compare(model, fitted.tensors)
    if not comparison.whole:
        _check_part(comparison, backbone, inside, ordered, source)
    _check_values(fitted.tensors, source)
    report = load_matching(model, fitted.tensors, source=source)
    heads = tuple(f"{head}." for head in classifiers(model))
    report.skipped = [(n, "classifier" if n.startswith(heads) else reason) for n, reason in report.skipped]
    report.skipped += fitted.skipped + [(name, "no part of the backbone") for name in elsewhere]
    report.changed = fitted.changed
    report.incomplete = _incompleteness(comparison, backbone.name, source) if comparison.missing else ""
    return report


def _check_part(
    comparison: Comparison, backbone: Backbone, tensors: Mapping[str, Tensor], ordered: bool, source: str
) -> None:
    """Refuse tensors that are not those of a part of the backbone, and say whose they are."""
    proposals = propose_backbones(tensors, ordered=ordered)
    if comparison.is_part and not proposals:
        return
    advice = says(proposals)
    if comparison.found + len(comparison.wrong) == 0:
        raise WeightsError(
            f"Nothing in {source} fits the backbone {backbone.name}: it holds {examples(tensors)}, "
            f"the backbone wants {examples(comparison.wanted)}. {advice}".rstrip()
        )
    raise WeightsError(
        f"{source} belongs to another backbone than {backbone.name}: {comparison.difference()}. "
        f"{advice or 'Choose the backbone that the weights were made with.'}"
    )


def _check_values(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuse weights of a training that has diverged, and variances that are none."""
    numbers = {name: tensor.float() for name, tensor in tensors.items() if tensor.is_floating_point()}
    endless = [name for name, values in numbers.items() if not values.isfinite().all()]
    negative = [n for n, values in numbers.items() if n.endswith(VARIANCE) and (values < 0).any()]
    if not (bad := endless or negative):
        return
    what = "values that are not finite" if endless else "negative variances"
    count = f"{len(bad)} tensors" if bad[1:] else "one tensor"
    raise WeightsError(
        f"{source} holds {what}, in {count} ({examples(bad)}): its training has diverged, or the file is "
        "damaged. Use an earlier checkpoint."
    )


def _incompleteness(comparison: Comparison, name: str, source: str) -> str:
    missing = _listed(comparison.missing_stages())
    return (
        f"{source} holds only a part of {name}: {comparison.found} of {len(comparison.wanted)} tensors. "
        f"What is missing begins with random numbers, as without pre-training: {missing}."
    )


def _listed(stages: list[str]) -> str:
    more = f", and {len(stages) - MAX_STAGES} more" if len(stages) > MAX_STAGES else ""
    return ", ".join(stages[:MAX_STAGES]) + more


def fits_whole(module: HasState, tensors: Mapping[str, Tensor]) -> bool:
    """Whether ``tensors`` has everything that ``module`` needs, in the right shapes, and nothing else."""
    own = module.state_dict()
    wanted = [name for name in own if not name.endswith(COUNTER)]
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
    """Return the tensors below the prefix under which most of ``own`` is found, and the names elsewhere.

    Of several networks, a teacher or an average is taken before the others, and one that only follows last.
    """
    candidates = {""}
    for name in tensors:
        parts = name.split(".")
        candidates.update(".".join(parts[:i]) + "." for i in range(1, min(len(parts), 4)))
    ordered = sorted(candidates, key=lambda prefix: (_rank(prefix), len(prefix), prefix))
    best = max(ordered, key=lambda prefix: sum(prefix + name in tensors for name in own))
    inside = {name[len(best) :]: tensor for name, tensor in tensors.items() if name.startswith(best)}
    return inside, [name for name in tensors if not name.startswith(best)]


def _rank(prefix: str) -> int:
    """Return the place of a network among others in its file, by what its prefix calls it."""
    if _TAKEN_FIRST.search(prefix):
        return 0
    return 2 if _TAKEN_LAST.search(prefix) else 1
