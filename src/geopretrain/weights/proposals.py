"""Which timm model weights belong to, told by the names and shapes of their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from geopretrain.errors import UserError
from geopretrain.networks import empty_model
from geopretrain.weights.comparison import compare
from geopretrain.weights.fitting import Fitted, fit_to


def _names(pattern: str, choices: str) -> tuple[str, ...]:
    """Return ``pattern`` with each of the words in place of its star."""
    return tuple(pattern.replace("*", choice) for choice in choices.split())


_RESNET = (
    *_names("resnet*", "18 34 50 101 152 26 18d 50d"),
    *("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
)
_VIT = (
    *_names("vit_*_224", "tiny_patch16 small_patch16 base_patch16 large_patch16 small_patch8 base_patch8"),
    *_names("vit_*_224", "small_patch32 base_patch32 huge_patch14"),
    *_names("deit_*_distilled_patch16_224", "tiny small base"),
    *_names("vit_*_patch14_dinov2", "small base large giant"),
    *_names("vit_*_patch14_reg4_dinov2", "small base large giant"),
)
_DINOV3 = _names("vit_*", " ".join(_names("*_patch16_dinov3", "small base large huge_plus")))
_SWIN = _names("swin_*_window7_224", "tiny_patch4 small_patch4 base_patch4 large_patch4") + _names(
    "swin_*_patch4_window12_384", "base large"
)
_SWINV2 = (
    *_names(
        "swinv2_*_256", "tiny_window8 small_window8 base_window8 tiny_window16 small_window16 base_window16"
    ),
    *_names("swinv2_*_192", "base_window12 large_window12"),
)
_REGNET = _names(
    "regnet*", "y_004 y_008 y_016 y_032 y_080 y_160 y_320 x_004 x_008 x_016 x_032 x_080 x_160 x_320"
)
_CONVNEXT = _names("convnext_*", "atto femto pico nano tiny small base large xlarge")
_CONVNEXTV2 = _names("convnextv2_*", "atto femto pico nano tiny base large huge")
_EFFICIENT = _names("efficientnet_*", "b0 b1 b2 b3 b4 b5 b6 b7") + _names("efficientnetv2_*", "s m l")
_MOBILE = ("mobilenetv3_large_100", "mobilenetv3_small_100")
_TF = (
    *_names("tf_*", " ".join(_EFFICIENT + _MOBILE)),
    *_names("tf_efficientnet_*", "lite0 lite1 lite2 lite3 lite4"),
)

#: Names by which families are told (of tensors in timm's names), and their models, the usual ones first.
FAMILIES: list[tuple[str, tuple[str, ...]]] = [
    (r"^layer1\.0\.conv1\.weight$", _RESNET),
    (r"^layers\.0\.blocks\.0\.attn\.cpb_mlp\.", _SWINV2),
    (r"^layers\.0\.blocks\.0\.attn\.relative_position_bias_table$", _SWIN),
    (r"^blocks\.0\.gamma_1$", _DINOV3 + _names("*_qkvb", " ".join(_DINOV3))),
    (r"^blocks\.0\.attn\.qkv\.weight$", _VIT),
    (r"^stages\.0\.(blocks\.)?0\.(mlp\.)?grn\.", _CONVNEXTV2),
    (r"^stages\.0\.(blocks\.)?0\.(conv_dw|dwconv)\.", _CONVNEXT),
    (r"^features\.1\.(0\.)?block\.0\.0\.weight$", _EFFICIENT + _MOBILE),
    (r"^features\.1\.conv\.0\.0\.weight$", ("mobilenetv2_100",)),
    (r"^s1\.b1\.conv1\.conv\.weight$", _REGNET),
    (r"^features\.denseblock1\.", _names("densenet*", "121 161 169 201")),
    (r"^blocks\.0\.0\.conv", (*_EFFICIENT, *_MOBILE, *_names("mobilenet*", "v3_small_050 v2_100"), *_TF)),
]


def propose_backbones(
    tensors: Mapping[str, Tensor], *, ordered: bool = False, window: int | None = None
) -> list[str]:
    """Return the timm models that these tensors fill completely; none where there is none that we know.

    Several models may have the same tensors: Swin-v2 with other windows, EfficientNets that pad otherwise.

    Args:
        tensors: in timm's names, see ``formats``, below any prefix.
        ordered: see `fit_to`.
        window: of Swin, where it is known.
    """
    candidates, prefix = _family(tensors)
    tensors = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    fitted = {name: _fitted(name, tensors, ordered) for name in candidates}
    whole = [name for name, found in fitted.items() if found is not None and not _is_resized(found)]
    whole = whole or [name for name, found in fitted.items() if found is not None]
    whole = [name for name in whole if name.removesuffix("_qkvb") not in whole or not name.endswith("_qkvb")]
    same = [name for name in whole if f"_window{window or _window(tensors)}_" in name]
    return same or whole


def says(proposals: Iterable[str]) -> str:
    """Return a sentence about what weights look like, empty where nothing is proposed."""
    names = list(proposals)
    others = f" (or {', '.join(names[1:])}, which has the same tensors)" if names[1:] else ""
    return f"This looks like {names[0]}{others}: --backbone {names[0]}." if names else ""


def _family(tensors: Mapping[str, Tensor]) -> tuple[tuple[str, ...], str]:
    """Return the models of the family that these tensors are of, and the prefix before their names."""
    for mark, names in FAMILIES:
        below = re.compile(rf"((?:.*?\.)??){mark.removeprefix('^')}")
        found = next((match for name in tensors if (match := below.match(name))), None)
        if found is not None:
            return names, found[1]
    return (), ""


def _fitted(name: str, tensors: Mapping[str, Tensor], ordered: bool) -> Fitted | None:
    """Return the tensors as this model takes them, None where they are of another one."""
    model = empty_model(name)
    try:
        fitted = fit_to(model, name, tensors, ordered=ordered)
    except UserError:
        return None
    return fitted if compare(model, fitted.tensors).whole else None


def _is_resized(fitted: Fitted) -> bool:
    return any("is resized" in change for change in fitted.changed)


def _window(tensors: Mapping[str, Tensor]) -> int | None:
    """Return the window of a Swin-v2 whose file has its buffers."""
    name = next((name for name in tensors if name.endswith("relative_coords_table")), None)
    return None if name is None or tensors[name].ndim != 4 else (tensors[name].shape[1] + 1) // 2
