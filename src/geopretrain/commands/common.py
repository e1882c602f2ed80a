"""What pretrain and finetune share: presets, settings, lineage, the first random state."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopretrain.console import say
from geopretrain.errors import ConfigError, nearest_name
from geopretrain.training.options import TrainOptions, one_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geopretrain.runs.folder import RunFolder
    from geopretrain.weights import Init

Size = tuple[int, int]


def choose_preset(name: str, device: str, *, progress: bool) -> str:
    """Return ``paper`` or ``short``; ``auto`` is the first on a GPU and the second elsewhere, and says so."""
    one_of("preset", name, ("auto", "short", "paper"))
    if name != "auto":
        return name
    if device == "cuda":
        say(
            "Preset 'paper' (there is a GPU): the settings of the paper. --preset short is quicker.",
            progress=progress,
        )
        return "paper"
    say(
        "Preset 'short' (there is no GPU): fewer steps than the paper's. --preset paper trains as long.",
        progress=progress,
    )
    return "short"


def choose_backbone(name: str | None, init: str | Path) -> str:
    """Return the backbone asked for, that of the run ``init``, or resnet18."""
    if name is not None:
        return name
    from geopretrain.weights import parse_init, read_lineage

    parsed = parse_init(init)
    return str(read_lineage(parsed.source)["backbone"]) if parsed.kind == "run" else "resnet18"


def parse_size(size: str | Sequence[int] | None) -> Size | None:
    """Return (height, width) of ``'96x320'``, ``(96, 320)`` or None.

    Raises:
        ConfigError: it is not HEIGHTxWIDTH in px.
    """
    if size is None or (isinstance(size, str) and size in ("auto", "")):
        return None
    parts = size.lower().replace("×", "x").split("x") if isinstance(size, str) else list(size)
    try:
        height, width = (int(part) for part in parts)
    except ValueError as error:
        raise ConfigError(
            f"size must be HEIGHTxWIDTH in pixels such as 96x320 (height first), not {size!r}."
        ) from error
    if min(height, width) < 32:
        raise ConfigError(f"size must be at least 32x32 pixels (height x width), not {height}x{width}.")
    return height, width


def parse_share(text: str | float | None, name: str) -> float | None:
    """Return a share in (0, 1] of ``'5%'``, ``'0.05'``, ``0.05`` or None.

    Raises:
        ConfigError: it is none of these; ``name`` is the option it was given with.
    """
    if text is None:
        return None
    words = str(text).strip()
    try:
        share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        share = float("nan")
    if not 0 < share <= 1:
        raise ConfigError(f"{name} must be a share such as 5% or 0.05, at most 100%, not {words!r}.")
    return share


def as_text(size: Size) -> str:
    """Return ``(96, 320)`` as ``'96x320'``, the way configurations keep it."""
    return f"{size[0]}x{size[1]}"


def plain(value: Any) -> Any:
    """Return ``value`` as config.yaml keeps it: paths that exist made absolute, sequences as lists."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        return str(Path(text).resolve()) if text and Path(text).exists() else text
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def required(value: Any, name: str, meaning: str) -> Any:
    """Return ``value``; raises ConfigError where it was not given."""
    if value is None or value == [] or value == "":
        raise ConfigError(f"--{name} is missing: {meaning}.")
    return value


def method_settings(
    config_class: type, settings: Mapping[str, Any] | Sequence[str] | None, taken: Sequence[str]
) -> dict[str, Any]:
    """Return ``settings`` (a dictionary or ``name=value`` texts) as arguments of a method's configuration.

    Args:
        config_class: dataclass of the method.
        settings: what the user gave.
        taken: fields that have an option of their own.

    Raises:
        ConfigError: an unknown name (the nearest is named) or a text without ``=``.
    """
    import yaml

    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        lines = [settings] if isinstance(settings, str) else settings
        pairs = [line.partition("=") for line in lines]
        bad = [line for line, (_, sign, _) in zip(lines, pairs, strict=True) if not sign]
        if bad:
            raise ConfigError(f"settings are given as name=value, not '{bad[0]}'.")
        settings = {name.strip(): yaml.safe_load(value) for name, _, value in pairs}
    known = [field.name for field in fields(config_class) if field.name not in taken]
    for name in settings:
        if name not in known:
            raise ConfigError(
                f"Unknown setting '{name}'.{nearest_name(name, known)} Known: {', '.join(known)}."
            )
    return dict(settings)


def train_options(config: Mapping[str, Any], steps: int, **more: Any) -> TrainOptions:
    """Return the options of the loop from a resolved configuration."""
    return TrainOptions(
        steps=steps,
        batch_size=config["batch_size"],
        learning_rate=config["lr"],
        **{
            name: config[name]
            for name in (
                *("schedule", "warmup_steps", "precision", "channels_last", "seed"),
                *("checkpoint_every", "log_every", "device", "threads"),
            )
        },
        **more,
    )


def spread_positions(length: int, count: int) -> list[int]:
    """Return ``count`` positions of ``length``, evenly spread from the first to the last, none twice."""
    if count >= length:
        return list(range(length))
    return sorted({round(i * (length - 1) / max(1, count - 1)) for i in range(count)})


def as_float(images: Tensor) -> Tensor:
    """Return uint8 images as floats in [0, 1]."""
    return images.float() / 255


def seed_start(seed: int) -> None:
    """Set torch's generators for building a network: a function of the seed alone."""
    import numpy as np
    import torch

    torch.manual_seed(int(np.random.SeedSequence([seed, 2]).generate_state(1, np.uint64)[0]))


def lineage(method: str, task: nn.Module, init: Init, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what lineage.json holds: where these weights come from and what they expect of their input."""
    import lightning
    import timm
    import torch

    from geopretrain import __version__
    from geopretrain.weights import ancestors, find_backbone

    backbone = find_backbone(task)
    return {
        "method": method,
        "backbone": None if backbone is None else backbone.name,
        "normalisation": None
        if backbone is None
        else {k: list(v) for k, v in backbone.normalisation.items()},
        "init": str(init),
        "chain": ancestors(init),
        "data": config["data"],
        "size": config["size"],
        "seed": config["seed"],
        "versions": {
            "geopretrain": __version__,
            "torch": torch.__version__,
            "timm": timm.__version__,
            "lightning": lightning.__version__,
            "python": platform.python_version(),
        },
    }


def lineage_sentence(lineage: Mapping[str, Any]) -> str:
    """Return the chain of a lineage in words: ``random -> geometric_flow (runs/flow) -> monodepth``."""
    steps = [
        f"{step['method']} ({step['init']})" if step["kind"] == "run" else step["init"]
        for step in lineage["chain"]
    ]
    return f"Lineage: {' -> '.join([*steps, lineage['method']])}."


def already_finished(run: RunFolder, resume: bool, *, progress: bool) -> bool:
    """Return whether there is nothing left to resume, and say so."""
    if not (resume and run.finished):
        return False
    say(f"The run in {run.path} is finished; there is nothing to resume.", progress=progress)
    return True
