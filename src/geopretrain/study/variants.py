"""Variants: rows of a comparison that are trained in another way than the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from geopretrain.config.auxiliary import AuxiliaryOptions, MixingOptions
from geopretrain.config.groups import (
    AverageOptions,
    PreservingOptions,
    RecipeOptions,
    SettingsOptions,
)
from geopretrain.config.labels import PropagatedOptions, ReleasedOptions
from geopretrain.config.saved import as_saved
from geopretrain.errors import ConfigError, OptionError, UserError, nearest_name

_GROUPS = (
    SettingsOptions,
    AverageOptions,
    PreservingOptions,
    MixingOptions,
    AuxiliaryOptions,
    RecipeOptions,
    PropagatedOptions,
    ReleasedOptions,
)
_OF_ALL = {"preset", "steps", "batch_size"}
"""Options that curves are told at: all trainings of a comparison share them."""
OPTIONS = ("lr", *(one.name for group in _GROUPS for one in fields(group) if one.name not in _OF_ALL))
"""Options of a fine-tuning that a variant may have of its own."""


def checked_variants(
    variants: Mapping[str, Mapping[str, Any]], command: type[Any]
) -> dict[str, dict[str, Any]]:
    """Return the variants as configurations keep them, each with ``init`` first.

    Args:
        variants: options by name of the variant.
        command: class of the options of the command that trains.

    Raises:
        ConfigError: one has no initialisation, or an option that is unknown, of all trainings, or wrong.
    """
    return {str(name): _checked(str(name), one, command) for name, one in variants.items()}


@contextmanager
def naming_variant(name: str) -> Iterator[None]:
    """Say in an error of the user which variant it is of; ``name`` is empty where it is of none."""
    try:
        yield
    except UserError as error:
        if not name:
            raise
        raise ConfigError(f"The variant '{name}': {error}") from error


def _checked(name: str, variant: Mapping[str, Any], command: type[Any]) -> dict[str, Any]:
    options = {str(one): value for one, value in variant.items()}
    init = options.pop("init", None)
    known = [one.name for one in fields(command) if one.name in OPTIONS]
    if not isinstance(init, str) or not init:
        raise ConfigError(
            f"The variant '{name}' does not say what it starts from: 'init: imagenet', or a run or file."
        )
    for one in options:
        if one in _OF_ALL:
            raise ConfigError(f"The variant '{name}' has {one}, which all trainings of a comparison share.")
        if one not in known:
            near = nearest_name(one, known)
            raise ConfigError(
                f"The variant '{name}' has {one}, which is none of its options.{near} It may have init, "
                f"{', '.join(known)}."
            )
    try:
        saved = as_saved("", command(data=".", out=".", init=init, **options))
    except OptionError as error:
        raise ConfigError(f"The variant '{name}': {error}") from error
    return {"init": init, **{one: saved[one] for one in options}}
