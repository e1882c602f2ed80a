"""Libraries that only some methods need, and how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from geopretrain.errors import ConfigError


def require_extra(module: str, extra: str, what: str) -> None:
    """Make sure that an optional library is installed.

    Args:
        module: that is about to be imported.
        extra: of this package that brings it.
        what: needs it, in the plural, e.g. ``Teachers from transformers``.

    Raises:
        ConfigError: it is not; the message says how to get it.
    """
    if find_spec(module) is None:
        raise ConfigError(
            f"{what} need the package {module.replace('_', '-')}: pip install 'geopretrain[{extra}]'."
        )
