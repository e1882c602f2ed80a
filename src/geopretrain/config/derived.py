"""What a preset makes of initialisation, labels and batch, which is made anew where others are typed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from geopretrain.config.groups import PreservingOptions
from geopretrain.config.several import inits_of
from geopretrain.errors import UserError
from geopretrain.schema import descriptions

if TYPE_CHECKING:
    from geopretrain.tasks.presets import Preset

DECIDERS = ("init", "inits", "batch_size", "labels")
"""Options that a preset has other values for."""
_TRANSFERS = {
    "segmentation": "geopretrain.tasks.transfer.segmentation_presets",
    "detection": "geopretrain.tasks.transfer.detection",
    "depth": "geopretrain.tasks.transfer.depth",
}


def made_anew(command: str, saved: Mapping[str, Any], name: str, typed: Any) -> list[str]:
    """Return the options whose saved values the preset made, and which it makes otherwise of what is typed.

    A value that somebody chose is none of them: it is not the preset's.

    Args:
        command: as it is typed.
        saved: its options.
        name: of an option that is typed otherwise than it was saved.
        typed: its value.
    """
    if name not in DECIDERS:
        return []
    before, now = _made(command, saved), _made(command, {**saved, name: typed})
    return [
        one for one, value in before.items() if one in saved and saved[one] == value != now.get(one, value)
    ]


def _made(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the preset gives; {} where that is not known, of which the command itself says why."""
    preset = _preset(command, options)
    try:
        kinds = _kinds(options)
        batch = options.get("batch_size")
        batch_size = None if preset is None or batch in (None, "auto") else int(batch)
    except (UserError, TypeError, ValueError):
        return {}
    if preset is None or not kinds:
        return {}
    of_kinds = [preset.of_init(kind) for kind in kinds]
    rates = [one.rate(batch_size or preset.batch_size) for one in of_kinds]
    length = _length(preset, options, batch_size or preset.batch_size)
    if command == "compare":  # which keeps the rates to choose among, of all initialisations
        return {"lr": rates[:1] if len(set(rates)) == 1 else None, **length}
    kept = {one: getattr(of_kinds[0], one) for one in descriptions(PreservingOptions)}
    return {"lr": rates[0], **kept, **length}


def _length(preset: Preset, options: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """Return how long is trained where the preset counts passes over the labelled images."""
    try:
        labels = int(options["labels"])
    except (KeyError, TypeError, ValueError):  # all of them, or several numbers
        return {}
    if preset.steps is not None or labels < 1:
        return {}
    steps = preset.total_steps(labels, batch_size)
    return {"steps": steps, "warmup_steps": preset.warmup(steps)}


def _preset(command: str, options: Mapping[str, Any]) -> Preset | None:
    """Return the preset of a transfer with labels; those of pre-training know no initialisations."""
    _, _, task = command.partition("finetune ")
    if command == "compare":
        task = str(options.get("task", "segmentation"))
    if task not in _TRANSFERS or (task == "depth" and options.get("supervision") != "labels"):
        return None
    presets: Mapping[str, Preset] = importlib.import_module(_TRANSFERS[task]).PRESETS
    return presets.get(str(options.get("preset")))


def _kinds(options: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the initialisations (UserError where one is not there)."""
    from geopretrain.weights import parse_init

    given: Iterable[Any] = (
        inits_of(options["inits"]) if "inits" in options else [options.get("init", "random")]
    )
    return list(dict.fromkeys(parse_init(one).kind for one in given))
