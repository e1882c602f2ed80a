"""Tasks from what a user gave: class, options, first weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from geopretrain.schema import defaults
from geopretrain.seeding import seed_start
from geopretrain.tasks.base import Task
from geopretrain.tasks.known import check_settings
from geopretrain.tasks.registry import PRETEXTS, own_options, task_class
from geopretrain.weights import Init, LoadReport


def task_config(cls: type[Task], settings: Mapping[str, Any], **own: Any) -> Any:
    """Return the options of a task.

    Args:
        cls: of the task.
        settings: what the user gave as name=value.
        own: options that have a place of their own on the command line, or that the data decide.

    Raises:
        ConfigError: an unknown setting (the nearest is named), or an impossible value.
    """
    reserved = {*own, *own_options(cls.name)}
    known = [field.name for field in fields(cls.Config) if field.name not in reserved]
    check_settings(cls.name, settings, known)
    return cls.Config(**own, **settings)


def build_task(cls: type[Task], config: Any, init: Init, seed: int) -> tuple[Task, LoadReport]:
    """Return the task with its first weights, a function of options, initialisation and seed alone."""
    seed_start(seed)
    return cls.create(config, init)


def setting_defaults(method: str, among: Mapping[str, str] = PRETEXTS) -> dict[str, Any]:
    """Return the default of each option of a pre-training method, or of another one in ``among``."""
    return defaults(task_class(method, among).Config)
