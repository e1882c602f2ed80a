"""The settings of a method, as they are written in its own file."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geopretrain.errors import plain_text
from geopretrain.schema import choices_of, defaults, descriptions, hints
from geopretrain.tasks.registry import own_options

if TYPE_CHECKING:
    from geopretrain.tasks.base import Task


@dataclass(frozen=True)
class Setting:
    """One setting of a method."""

    name: str
    """As in ``--settings NAME=VALUE``."""
    default: Any
    """What it is when left away."""
    description: str
    """What stands below the field."""
    choices: tuple[str, ...]
    """The values possible, empty where there are too many to list."""


def settings_of(task: type[Task]) -> list[Setting]:
    """Return the settings of a method from the class of its configuration."""
    config, own = task.Config, own_options(task.name)
    values, types = defaults(config), hints(config)
    return [
        Setting(name, values[name], words, tuple(choices_of(types[name])))
        for name, words in descriptions(config).items()
        if name not in own
    ]


def settings_help(method: str, among: Mapping[str, str]) -> str:
    """Return the settings of a method, each with its default and description, for a help.

    Args:
        method: its name.
        among: the table it is in: that of pre-training methods, or of transfers.
    """
    from geopretrain.tasks.registry import task_class

    task = task_class(method, among)
    lines = [f"Settings of {method} (--settings NAME=VALUE...):"]
    for setting in settings_of(task):
        default = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default
        text = plain_text(setting.description)
        lines.append(f"  {setting.name}={default}")
        lines += textwrap.wrap(text, 90, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
