"""``--config FILE`` beside what is typed: what is typed wins, and takes along what follows from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from geopretrain.config.derived import DECIDERS, made_anew
from geopretrain.config.groups import PreservingOptions, settings_of_text
from geopretrain.config.saved import Settings
from geopretrain.schema import descriptions

OF_PRESET = (
    *("lr", "steps", "batch_size", "schedule", "lr_floor", "warmup_steps", "optimizer", "momentum", "beta2"),
    *("weight_decay", "layer_decay", *descriptions(PreservingOptions), "clip_norm", "accumulate"),
    *("curve_points", "settings"),
)
"""Options that a preset decides; a run saves all of them, whoever chose them."""
LABELS = "labels"


def beside(
    saved: Mapping[str, Any], typed: Mapping[str, Any], command: str = ""
) -> tuple[Settings, dict[str, list[str]]]:
    """Return what a saved configuration gives beside what is typed.

    Where an option is typed that the file has otherwise, what the file has of the options that follow from it
    is left out: a preset takes along all that presets decide, another method or task its preset and its
    settings, another one beside the labels its own, a run to begin with its backbone, and an initialisation
    of another kind, another batch or number of labels what the preset has made of it. Evaluations are spread
    over other steps anew, and settings are taken one by one.

    Args:
        saved: options of a file.
        typed: options of the command line, as text.
        command: as it is typed.

    Returns:
        What is taken of the file, and the names of what is not, by the option that was typed.
    """
    others = [name for name in typed if name in saved and _differs(name, saved[name], typed[name])]
    left = {
        name: [one for one in _following(name, saved, typed) if one in saved and one not in typed]
        for name in others
    }
    if not _changes_settings(others):
        for name in others:
            made = made_anew(command, saved, name, typed[name])
            spread = ["curve_points"] if "steps" in made and "curve_points" in saved else []
            left[name] += [one for one in (*made, *spread) if one not in typed]
    gone = {one for ones in left.values() for one in ones}
    kept = {name: value for name, value in saved.items() if name not in gone and name not in typed}
    if "settings" in saved and "settings" in typed and not _changes_settings(others):
        kept["settings"] = _merged(saved["settings"], typed["settings"])
    if others and "curve_points" in gone and (count := _evaluations(saved, left)):
        kept["curve_points"] = count
        for ones in left.values():
            ones[:] = [one for one in ones if one != "curve_points"]
    return kept, _once(left)


def _once(left: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return what is left out without what another option has taken along already."""
    seen, found = set[str](), dict[str, list[str]]()
    for name, ones in left.items():
        if new := [one for one in ones if one not in seen]:
            found[name] = new
        seen.update(ones)
    return found


def halvings(count: int, steps: int) -> list[int]:
    """Return the steps to evaluate after, so often, each twice the one before: 9, 18, 37, 75, 150, 300."""
    return sorted({max(1, steps >> number) for number in range(min(count, 64))})


def _following(name: str, saved: Mapping[str, Any], typed: Mapping[str, Any]) -> Sequence[str]:
    """Return the options whose saved values belong to the saved value of this one."""
    if name == "preset":
        return OF_PRESET
    if name in ("method", "task"):
        return ("preset", *OF_PRESET)
    if name == "supervision" and LABELS in (saved[name], typed[name]):
        return (LABELS, "preset", *OF_PRESET)
    if name == "auxiliary":
        return ("auxiliary_settings",)
    if name == "init":
        return () if typed[name] in ("random", "imagenet") else ("backbone",)
    if name == "steps":
        late = _number(saved.get("warmup_steps")) > _number(typed[name])
        return ("curve_points", "warmup_steps") if late else ("curve_points",)
    return ()


def _changes_settings(names: Sequence[str]) -> bool:
    return any(name in ("preset", "method", "task", "supervision") for name in names)


def _differs(name: str, one: Any, other: Any) -> bool:
    if name == "init":
        return os.path.abspath(str(one)) != os.path.abspath(str(other))
    return str(one) != str(other)


def _evaluations(saved: Mapping[str, Any], left: Mapping[str, Sequence[str]]) -> int | None:
    """Return how often was evaluated, where that is known and nothing but the steps is other."""
    holders = {name for name, ones in left.items() if "curve_points" in ones}
    points, steps = saved["curve_points"], _number(saved.get("steps"))
    if not holders <= {"steps", *DECIDERS} or not isinstance(points, list) or steps < 1:
        return None
    known = points == halvings(len(points), int(steps)) and points[0] > 1
    return len(points) if known else None


def _number(value: Any) -> float:
    """Return a number, 0 where it is none: what is typed wrong is said of its own option."""
    with suppress(TypeError, ValueError):
        return float(value)
    return 0.0


def _merged(saved: Any, typed: Any) -> Any:
    """Return settings with those typed in place of those saved; as typed where they cannot be read."""
    with suppress(TypeError, ValueError):
        return {**settings_of_text(saved), **settings_of_text(typed)}
    return typed
