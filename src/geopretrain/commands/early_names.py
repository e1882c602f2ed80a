"""Names of presets, settings and backbones that nobody knows, told before torch is imported."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from geopretrain.errors import one_of, unknown_backbone
from geopretrain.tasks.known import Known, check_settings, known_methods
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS

_TASKS = {
    "FinetuneSegmentationOptions": "segmentation",
    "FinetuneDetectionOptions": "detection",
    "FinetuneDepthOptions": "depth",
}
_REGISTERED = re.compile(rb"^@register_model\s+def (\w+)\(", re.MULTILINE)
_QUOTED = re.compile(rb"['\"](\w+)['\"]")
_NETWORKS = Path(__file__).parents[1] / "networks"


def check_names(options: Any) -> None:
    """Refuse a preset, a setting or a backbone that is surely unknown; the command itself knows more.

    Args:
        options: of any command, checked.

    Raises:
        ConfigError: the very sentence that the command itself would say later.
    """
    if (known := _known(options)) is not None:
        method, names = known
        preset = getattr(options, "preset", "auto")
        if preset != "auto":
            one_of("preset", preset, ("auto", *names.presets))
        check_settings(method, getattr(options, "settings", None) or {}, names.settings)
    auxiliary = getattr(options, "auxiliary", None)
    if (beside := known_methods()["pretext"].get(auxiliary or "")) is not None:
        check_settings(str(auxiliary), options.auxiliary_settings, beside.settings)
    backbone = getattr(options, "backbone", None)
    if isinstance(backbone, str):
        _check_backbone(backbone)


def _known(options: Any) -> tuple[str, Known] | None:
    """Return the method that is trained, and what it knows; None where that is nothing of the table."""
    kind, method = method_of(options)
    among = PRETEXTS if kind == "pretext" else TRANSFERS
    if not among.get(method, "").startswith("geopretrain."):
        return None  # of a plugin
    found = known_methods().get(kind, {}).get(method)
    return None if found is None else (method, found)


def method_of(options: Any) -> tuple[str, str]:
    """Return whether a command trains a pretext or a transfer, and its name, empty without one."""
    if isinstance(method := getattr(options, "method", None), str):
        return "pretext", method
    command = type(options).__name__
    task = options.task if command == "CompareOptions" else _TASKS.get(command, "")
    if task == "depth" and options.supervision != "labels":
        return "pretext", "monodepth"
    return "transfer", task


def _check_backbone(name: str) -> None:
    """Refuse a name that no file of timm or of ours holds, without importing them."""
    if "timm" in sys.modules:  # a plugin may have added models of its own
        from geopretrain.networks.building import check_known

        check_known(name)
        return
    timm = find_spec("timm")
    places = list(timm.submodule_search_locations or ()) if timm is not None else []
    if not places:
        return
    registered, quoted = set[bytes](), set[bytes]()
    for folder in (Path(places[0]) / "models", _NETWORKS):
        for file in folder.rglob("*.py"):
            text = file.read_bytes()
            registered.update(_REGISTERED.findall(text))
            quoted.update(_QUOTED.findall(text))
    known = {one.decode() for one in registered}
    if name.partition(".")[0].encode() not in registered | quoted:  # names of old are quoted
        raise unknown_backbone(name, sorted(known))
