"""What each method is known to take, from a table that is read before a method, and torch, is imported.

``known.json`` is written from the methods by ``python docs/write_options.py``; a test holds that it is what
they say. Methods of plugins are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from geopretrain.errors import ConfigError, nearest_name
from geopretrain.records import Text, read_json
from geopretrain.tasks.presets import Preset
from geopretrain.tasks.registry import own_options

OF_TRAINING = frozenset(one.name for one in fields(Preset)) - {
    *("crop", "epochs", "lr_batch", "lr_of", "settings", "warmup_fraction")
} | {"curve_points", "device", "ema", "labels", "precision", "seed"}
"""Options of trainings that may be taken for settings of what is trained."""
TABLE = Path(__file__).with_name("known.json")


@dataclass(frozen=True)
class Known:
    """Names that a method knows.

    Attributes:
        presets: of its training.
        settings: of the method, see ``--settings``.
    """

    presets: list[Text]
    settings: list[Text]


@cache
def known_methods() -> dict[str, dict[str, Known]]:
    """Return what is known of the methods of ``pretext`` and ``transfer``, by their names."""
    found: dict[str, dict[str, Known]] = read_json(
        TABLE, dict[str, dict[str, Known]], error=ConfigError, advice="Install geopretrain again."
    )
    return found


def check_settings(method: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are no settings of a method.

    Raises:
        ConfigError: one is unknown (the nearest is named), or has an option of its own.
    """
    known = list(known)
    for name in names:
        if name in own_options(method):
            raise ConfigError(
                f"'{name}' is no setting of {method}: it has an option of its own, or the data decide it."
            )
        if name not in known and name in OF_TRAINING:
            raise ConfigError(
                f"'{name}' is no setting of {method}, but an option of the training: "
                f"--{name.replace('_', '-')} (in Python {name}=...)."
            )
        if name not in known:
            hint = nearest_name(name, known)
            raise ConfigError(f"Unknown setting '{name}' of {method}.{hint} Known: {', '.join(known)}.")
