"""From tensors under timm's names, or nearly so, to those of one particular model: its sizes, its windows.

What depends on the size of images (positions, tables of relative positions of Swin) is resized by timm's own
function for each architecture, which also knows how the original releases name things.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from geopretrain.errors import WeightsError
from geopretrain.weights.comparison import COUNTER

#: Buffers that follow from the window or the size; timm makes them itself.
_COMPUTED = re.compile(
    r"relative_position_index$|relative_coords_table$|attn_mask$|rope_embed\.periods$|k_bias$"
)
_RESIZED = re.compile(r"(pos_embed|relative_position_bias_table)$")
"""What may have another shape in the file than in the model, because images have another size."""
_PATCHES = "patch_embed.proj.weight"
_KINDS = ("weight", "bias", "running_mean", "running_var")

EPS = 1e-3
_WITH_EPS = re.compile(r"mobilenetv3_(small|large)_|efficientnet_b[567]\b|efficientnetv2_[sml]\b")
"""Models whose batch norms add EPS to the variance in torchvision; the others add what they add in timm."""


@dataclass
class Fitted:
    """Tensors for one model.

    Attributes:
        tensors: under the names of the model.
        skipped: names that are not used, each with the reason.
        changed: what had to be changed, in sentences.
    """

    tensors: dict[str, Tensor]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def fit_to(model: Any, name: str, tensors: Mapping[str, Tensor], *, ordered: bool = False) -> Fitted:
    """Return the tensors as this model takes them; what does not fit it stays as it is.

    Args:
        model: of timm.
        name: of it, for what depends on it.
        tensors: under its names, or those of the release that timm converts.
        ordered: they are those of torchvision's model, in the order of timm's.

    Raises:
        WeightsError: they would not give the same features in this model.
    """
    fitted = Fitted(dict(tensors))
    if ordered:
        _rename_in_order(fitted, model, name)
    _drop_computed(fitted)
    _fit_biases(fitted, model.state_dict(), name)
    _convert_by_timm(fitted, model)
    _fit_sides_of_one(fitted, model.state_dict())
    return fitted


def _rename_in_order(fitted: Fitted, model: nn.Module, name: str) -> None:
    """Give layers timm's names, one after the other; leave them where they are not the same ones."""
    if name.startswith("tf_"):
        raise WeightsError(
            f"These weights of torchvision pad images evenly, {name} as TensorFlow does: its features would "
            f"be others. Use --backbone {name.removeprefix('tf_')}."
        )
    own = {n: t for n, t in model.state_dict().items() if not n.endswith(COUNTER)}
    theirs = {n: fitted.tensors[n] for n in sorted(fitted.tensors, key=_place) if not n.endswith(COUNTER)}
    pairs = list(zip(own.items(), theirs.items(), strict=False))
    if len(own) != len(theirs) or not all(_same_place(*one) for one in pairs):
        return
    fitted.tensors = {ours: tensor for (ours, _), (_, tensor) in pairs}
    if _WITH_EPS.match(name):
        _keep_batch_norm(fitted, model)


def _place(name: str) -> tuple[object, ...]:
    """Return where a tensor of torchvision stands in its network; files may hold them in any order."""
    *module, kind = name.split(".")
    numbers = [(int(part), "") if part.isdigit() else (-1, part) for part in module]
    return name.startswith("classifier."), numbers, _KINDS.index(kind) if kind in _KINDS else len(_KINDS)


def _same_place(own: tuple[str, Tensor], theirs: tuple[str, Tensor]) -> bool:
    """Whether two tensors are of the same kind (``weight``, ``running_mean``) and shape."""
    return own[0].rpartition(".")[2] == theirs[0].rpartition(".")[2] and _sides(own[1]) == _sides(theirs[1])


def _keep_batch_norm(fitted: Fitted, model: nn.Module) -> None:
    """Move what their batch norms add to the variance beyond ours into it: the features are theirs."""
    norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and m.eps != EPS}
    for name, module in norms.items():
        key = f"{name}.running_var"
        fitted.tensors[key] = fitted.tensors[key] + (EPS - module.eps)
    if norms:
        fitted.changed.append(f"batch norms add {EPS:g} to the variance, as they were trained")


def _fit_sides_of_one(fitted: Fitted, own: Mapping[str, Tensor]) -> None:
    """A layer may be saved as ``C_out C_in`` or as the 1x1 convolution ``C_out C_in 1 1`` that it is."""
    for name, tensor in fitted.tensors.items():
        if name in own and tensor.shape != own[name].shape and _sides(tensor) == _sides(own[name]):
            fitted.tensors[name] = tensor.reshape(own[name].shape)


def _sides(tensor: Tensor) -> list[int]:
    return [side for side in tensor.shape if side != 1]


def _drop_computed(fitted: Fitted) -> None:
    for name in [name for name in fitted.tensors if _COMPUTED.search(name)]:
        del fitted.tensors[name]
        fitted.skipped.append((name, "computed anew from size and window"))


def _fit_biases(fitted: Fitted, own: Mapping[str, Any], name: str) -> None:
    """Biases of queries, keys and values: in one, without that of keys, or none, as the model has them."""
    for block in [n.removesuffix(".q_bias") for n in fitted.tensors if n.endswith(".attn.q_bias")]:
        queries, values = fitted.tensors.get(f"{block}.q_bias"), fitted.tensors.get(f"{block}.v_bias")
        if queries is None or values is None or f"{block}.q_bias" in own:
            continue
        if f"{block}.qkv.bias" in own:
            fitted.tensors[f"{block}.qkv.bias"] = torch.cat([queries, torch.zeros_like(queries), values])
        elif queries.any() or values.any():
            raise WeightsError(
                f"These weights have biases of attention, for which {name} has no place. Use --backbone "
                f"{name.partition('.')[0]}_qkvb."
            )
        else:
            fitted.skipped += [(f"{block}.{kind}_bias", "zero, and the model has none") for kind in "qv"]
        del fitted.tensors[f"{block}.q_bias"], fitted.tensors[f"{block}.v_bias"]


def _convert_by_timm(fitted: Fitted, model: nn.Module) -> None:
    """Let timm resize what depends on sizes and rename what original releases call otherwise."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return
    before = fitted.tensors
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = convert(dict(before), model)
    except Exception:  # made for another model; what differs is said by whoever compares the tensors
        return
    if not isinstance(converted, dict) or not all(isinstance(t, Tensor) for t in converted.values()):
        return
    for name in [name for name in converted if name in before]:
        old, new = list(before[name].shape), list(converted[name].shape)
        if old != new and _RESIZED.search(name):
            fitted.changed.append(f"{name} is resized from {old} to {new}")
        elif old != new and name.endswith(_PATCHES):
            converted[name] = before[name]  # patches of another size make another model
    used = {id(tensor) for tensor in converted.values()}
    left = [n for n, t in before.items() if n not in converted and id(t) not in used]
    fitted.skipped += [(n, "of no use in the model of timm") for n in left if not _RESIZED.search(n)]
    fitted.tensors = converted
