"""The folder of a comparison: created, continued when the same command is repeated, refused in sentences."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from geopretrain.errors import RunFolderError
from geopretrain.files import write_yaml, writing
from geopretrain.runs.folder import MARKER
from geopretrain.version import __version__

_OWN_FOLDERS = ("trials", "cells", "search", "figures")
_OWN_FILES = ("comparison.json", "comparison.csv", "report.html", "workers.log", "config.yaml")
# These may change when a comparison is continued: they add trials, or only say how the work is done.
_MAY_DIFFER = frozenset({MARKER, "seeds", "modes", "inits", "device"})


def prepare_folder(out: Path, config: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make ``out`` ready for a comparison with these settings; completed trials in it stay.

    Raises:
        RunFolderError: it holds something else, a comparison with other settings, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"'{out}' is a file; --out needs the name of a folder.")
    there = _read(out)
    if out.is_dir() and any(out.iterdir()) and there.get("command") != "compare":
        raise RunFolderError(
            f"'{out}' is not empty and holds no comparison, so it is left alone. Choose another --out."
        )
    if there and overwrite:
        remove_own(out)
        there = {}
    if there:
        _check_same(out, there, config)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    inits = {**there.get("inits", {}), **config["inits"]}
    write_yaml(out / "config.yaml", {MARKER: __version__, "command": "compare", **config, "inits": inits})


def trials_folder(out: Path) -> Path:
    """Return where the trials are; a comparison begun by version 0.1 goes on in its ``cells``."""
    old = out / "cells"
    return old if old.is_dir() else out / "trials"


def remove_own(out: Path) -> None:
    """Remove what comparisons leave in ``out``, and nothing else."""
    with writing(out):
        for name in _OWN_FOLDERS:
            shutil.rmtree(out / name, ignore_errors=False) if (out / name).is_dir() else None
        for name in _OWN_FILES:
            (out / name).unlink(missing_ok=True)


def _check_same(out: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, weights in wanted["inits"].items():
        if there.get("inits", {}).get(name, weights) != weights:
            raise RunFolderError(
                f"The initialisation '{name}' has changed since the comparison in '{out}' was begun. "
                "Start again from nothing with --overwrite, or choose another --out."
            )
    for name in wanted:
        if name not in _MAY_DIFFER and there.get(name) != wanted[name]:
            raise RunFolderError(
                f"'{out}' holds a comparison with {name} = {there.get(name)!r}, not {wanted[name]!r}. "
                "Use the same settings to continue it, --overwrite to start again, or another --out."
            )


def _read(out: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) and MARKER in content else {}
