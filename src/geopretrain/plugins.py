"""Methods and readers of other packages: modules that add their rows to our tables when they are imported.

An installed package names such a module as an entry point of the group ``geopretrain.plugins``. Without
installing anything the environment variable ``GEOPRETRAIN_PLUGINS`` names modules, with commas between them;
processes that we start inherit it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable

from geopretrain.errors import ConfigError

GROUP = "geopretrain.plugins"
VARIABLE = "GEOPRETRAIN_PLUGINS"


def load_plugins() -> None:
    """Import the modules that are named as plugins.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        _import(point.module, f"installed as a plugin ({point.name})")
    for name in plugin_names():
        _import(name, f"named in {VARIABLE}")


def plugin_names() -> list[str]:
    """Return the modules that the environment names."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def with_plugins(names: Iterable[str]) -> str:
    """Return the environment's modules and these, none twice, as ``GEOPRETRAIN_PLUGINS`` wants them."""
    return ",".join(dict.fromkeys([*plugin_names(), *names]))


def _import(name: str, said: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"The module '{name}', {said}, cannot be imported: {type(error).__name__}: {error}. "
            "Is its folder on PYTHONPATH?"
        ) from error
