"""Where the data of a recipe are below the user's root, and what can be made with those that are there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from geopretrain.config.options import ReproduceOptions
from geopretrain.data.catalogue.finding import VARIABLE, spec_of
from geopretrain.data.catalogue.finding import found as found_set
from geopretrain.data.catalogue.table import data_set, data_sets
from geopretrain.errors import ConfigError
from geopretrain.recipes.finding import Found
from geopretrain.recipes.parts import needed
from geopretrain.recipes.shapes import DataSet, Item, Recipe, Scale

ROOT = "DATA_ROOT"
"""Stands for the folder of the data where a plan is only shown."""


def possible_items(
    options: ReproduceOptions, found: Found, values: Mapping[str, Any], scale: Scale
) -> tuple[dict[str, Item], list[str]]:
    """Return the item that was asked for, or else all, as far as their data are there.

    Of a table rows may be left out. With no data at all, everything: what is expected is said later.

    Returns:
        The items, and sentences on what is left out.
    """
    shown = found.recipe.shown()
    wanted = {found.item: shown[found.item]} if found.item else shown
    used = needed(found.recipe, list(wanted.values()), values).data
    missing = _missing(options, {name: found.recipe.data[name] for name in used}, scale)
    possible: dict[str, Item] = {}
    reasons: dict[str, list[str]] = {}
    for name, item in wanted.items():
        lacking = _lacking(found.recipe, item, values, missing)
        rows = [row for row in item.rows if row not in lacking]
        if not lacking or (item.scored and len(rows) > 1):
            possible[name] = replace(item, rows=rows)
        for data, reason in missing.items():
            without = [row for row, names in lacking.items() if data in names]
            if without:
                what = f"{', '.join(without)} in {item.item}" if name in possible else item.item
                reasons.setdefault(reason, []).append(what)
    left_out = [f"Left out: {', '.join(names)}. {reason}" for reason, names in reasons.items()]
    return (possible, left_out) if possible else (wanted, [])


def _missing(options: ReproduceOptions, data: Mapping[str, DataSet], scale: Scale) -> dict[str, str]:
    """Return the data sets that are not there, and what is said of each."""
    found = {}
    for name, one in data.items():
        try:
            _there(options, name, one, scale)
        except ConfigError as error:
            found[name] = str(error)
    return found


def _lacking(
    recipe: Recipe, item: Item, values: Mapping[str, Any], missing: Iterable[str]
) -> dict[str, list[str]]:
    """Return the rows of an item whose data are not there, and which data these are."""
    used = {row: needed(recipe, [replace(item, rows=[row])], values).data for row in item.rows}
    without = {row: [name for name in names if name in missing] for row, names in used.items()}
    return {row: names for row, names in without.items() if names}


def not_found(
    options: ReproduceOptions, data: Mapping[str, DataSet], names: Iterable[str], scale: Scale
) -> list[str]:
    """Return sentences on the data sets that a plan stands for and that are not there."""
    missing = _missing(options, {name: data[name] for name in names}, scale)
    return [f"Not found: {sentence}" for sentence in missing.values()]


def place(options: ReproduceOptions, name: str, data: DataSet, scale: Scale) -> str:
    """Return what is given as the data of a command; where it would be, if a plan is only shown.

    Raises:
        ConfigError: they are not there; the message says what is expected, and where it is had.
    """
    try:
        return _there(options, name, data, scale)
    except ConfigError:
        if options.dry_run and scale != "tiny":
            return str(Path(str(_root(options) or ROOT), *data.folders_at(scale)[:1]))
        raise


def _there(options: ReproduceOptions, name: str, data: DataSet, scale: Scale) -> str:
    if scale == "tiny":
        if not data.tiny:
            raise ConfigError(f"{options.recipe} has no tiny form of its data '{name}'. Use --data-root.")
        return data.tiny
    root, folders = _root(options), data.folders_at(scale)
    found = [] if root is None else [place for one in folders if (place := _below(root, one))]
    if found:
        return found[0]
    expected = " or ".join(map(_in_words, folders))
    raise ConfigError(
        f"{options.recipe} needs the data '{name}' below --data-root: {expected}; {_of_root(root)}. The "
        f"paper took {data.paper}. {data.get} `--tiny` runs the recipe on synthetic worlds, without data."
    )


def _of_root(root: Path | None) -> str:
    """Return why nothing was found there."""
    if root is None:
        return "--data-root is not given"
    return f"'{root}' has none of it" if root.is_dir() else f"there is no folder '{root}'"


def _root(options: ReproduceOptions) -> Path | None:
    """Return where data sets lie, as every command has it."""
    given = options.data_root if options.data_root is not None else os.environ.get(VARIABLE) or None
    return None if given is None else Path(given).expanduser().absolute()


def _below(root: Path, name: str) -> str | None:
    """Return where a data set of `geopretrain data list`, with its options, or else a folder or file of this
    name, is below a root."""
    bare, _, options = name.partition("?")
    if bare in data_sets() and (place := found_set(bare, root)) is not None:
        return spec_of(bare, place, options).removeprefix(data_set(bare).prefix)
    there = root / name
    if not there.exists():
        return None
    return str(there.resolve() if name == "." else there)


def _in_words(name: str) -> str:
    is_set = name.partition("?")[0] in data_sets()
    return "the folder itself" if name == "." else name if is_set or Path(name).suffix else f"{name}/"
