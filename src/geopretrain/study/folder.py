"""The folder of a comparison: created, continued when the same command is repeated, refused in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from geopretrain import manifest
from geopretrain.config.launching import LauncherOptions
from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import MARKER, as_saved, migrated, write_saved
from geopretrain.console import console
from geopretrain.errors import RunFolderError, UserError
from geopretrain.files import remove_leftovers, write_json, writing
from geopretrain.folders import check_free, check_marker, foreign, mark_begun
from geopretrain.records import Text, mapping, read_json, read_yaml
from geopretrain.schema import given
from geopretrain.study.inits import VARIED

INITS_FILE = "inits.json"
"""What each initialisation is recognised by."""
DATA_FILE = "data.json"
"""What the labelled images are recognised by."""
LOG = "workers.log"
"""File for what processes print, of a comparison and of a recipe."""
_OWN_FILES = ("comparison.json", "comparison.csv", "report.html", LOG, INITS_FILE, DATA_FILE)
_TRIALS = ("trials", "cells", "search")
JOBS = "slurm"
"""Folder for what jobs of a queue are told and print, beside the trials."""
_TRIAL = re.compile(r".+-(full|encoder|frozen)(-labels\d+-(subset\d+|chosen))?(-lr.+)?-seed\d+")
_OLD_PICTURE = re.compile(r"(test\d+-.+|(confusion|inits)-(full|encoder|frozen))\.png")
_MAY_DIFFER = frozenset(
    {"seeds", "seed_per_set", "modes", "inits", "variants", "label_list", "keep_networks"}
    | {"device", "threads", "out"}
    | {one.name for one in fields(LauncherOptions)}
)
"""Options that may change when a comparison is continued: they add trials, or say how the work is done."""
_OF_SETS = ("labels", "subsets")
"""Options that add trials where there are several sets of labelled images, before and now."""


def prepare_folder(
    out: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, str],
    data: str,
    *,
    overwrite: bool,
    chosen: Sequence[str] = (),
) -> None:
    """Make ``out`` ready for a comparison with these settings; completed trials in it stay.

    Args:
        out: folder of the comparison.
        config: what config.yaml keeps.
        weights: what each initialisation is recognised by.
        data: what the labelled images are recognised by.
        overwrite: remove an earlier comparison first.
        chosen: names of the images of a list; empty without one.

    Raises:
        RunFolderError: it holds something else, a comparison with other settings, or cannot be written.
    """
    check_folder(out, overwrite=overwrite)
    there = _read(out)
    if overwrite and (there or manifest.has_list(out)):
        remove_own(out)
        there = {}
    known = _known_weights(out)
    if there:
        _check_weights(out, known, weights)
        _check_same(out, there, config)
        chosen = _check_data(out, data, chosen)
    with writing(out):
        manifest.begin(out, _pictures(out))
    write_saved(out, config, own=True)  # the marker first: without it the folder would not be known as ours
    write_json(out / INITS_FILE, {**known, **weights})
    write_json(out / DATA_FILE, {"fingerprint": data, **({"chosen": list(chosen)} if chosen else {})})
    mark_begun(out)


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than a comparison, changing nothing.

    Raises:
        RunFolderError: it is a file, not empty and no comparison, one whose settings cannot be read, or
            written by another process.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"'{out}' is a file; --out needs the name of a folder.")
    if foreign(out) and _read(out).get("command") != "compare":
        raise RunFolderError(
            f"'{out}' is not empty and holds no comparison, so it is left alone. Choose another --out."
        )
    check_marker(out, bool(_content(out)), "a comparison", overwrite=overwrite)
    check_free(out)


_ADVICE = "Start the comparison again from nothing with --overwrite, or choose another --out."


def _known_weights(out: Path) -> dict[str, str]:
    """Return what the initialisations of an earlier call were recognised by."""
    if (out / INITS_FILE).is_file():
        known: dict[str, str] = read_json(
            out / INITS_FILE,
            dict[str, Text],
            error=RunFolderError,
            advice=f"Remove it to continue: trainings keep what they started from. Else s{_ADVICE[1:]}",
        )
        return known
    old = _content(out).get("inits")  # version 0.1 kept them in config.yaml
    return {str(name): str(value) for name, value in old.items()} if isinstance(old, dict) else {}


@dataclass(frozen=True)
class _Data:
    """What ``data.json`` holds."""

    fingerprint: Text
    chosen: list[Text] = field(default_factory=list)


def _check_data(out: Path, fingerprint: str, chosen: Sequence[str]) -> Sequence[str]:
    """Refuse data and a list of images that have changed; return the names of the list, as far as known."""
    if not (out / DATA_FILE).is_file():
        return chosen  # begun by an earlier version, which did not keep it
    file = out / DATA_FILE
    same = "If the labelled images are those of its trainings, remove it and repeat the command."
    kept = f"{same} Else s{_ADVICE[1:]}"
    known: _Data = read_json(file, _Data, error=RunFolderError, advice=kept)
    if known.fingerprint != fingerprint:
        raise RunFolderError(
            f"The labelled images have changed since the comparison in '{out}' was begun, or what is learned "
            f"from beside them has, so that its trainings would be of two data sets. {_ADVICE}"
        )
    if any(now != before for now, before in zip(chosen, known.chosen, strict=False)):
        raise RunFolderError(
            f"The list of images has changed since the comparison in '{out}' was begun, so that its "
            f"trainings would be of two lists. {_ADVICE}"
        )
    return max(chosen, known.chosen, key=len)


def trials_folder(out: Path) -> Path:
    """Return where the trials are; a comparison begun by version 0.1 goes on in its ``cells``."""
    old = out / "cells"
    return old if old.is_dir() else out / "trials"


def remove_own(out: Path) -> None:
    """Remove what comparisons leave in ``out`` apart from its settings, and nothing else; follow no links.

    Raises:
        RunFolderError: its trials lie behind a link, or something cannot be removed.
    """
    from geopretrain.runs.folder import RunFolder

    for name in _TRIALS:
        if (out / name).is_symlink():
            raise RunFolderError(
                f"'{out / name}' is a link, and what is behind it is never removed. Remove the link, "
                "or choose another --out."
            )
    with writing(out):
        for trial in _own_trials(out):
            RunFolder(out / trial).remove_own()
            manifest.remove_if_empty(out / trial / manifest.BOOKS)
            manifest.remove_if_empty(out / trial)
            manifest.remove(out, [f"{trial}.json", f"{trial}.npz"])
        of_jobs = [name for name in manifest.listed(out) if name.startswith(f"{JOBS}/")]
        manifest.remove(out, [*_pictures(out), *_OWN_FILES, *of_jobs])
        for name in (*_TRIALS, "figures", JOBS):
            remove_leftovers(out / name)
            manifest.remove_if_empty(out / name)
        manifest.forget(out)


def _own_trials(out: Path) -> list[str]:
    """Return the run folders of trials: those listed, and those of the names that trials have."""
    listed = [name.rstrip("/") for name in manifest.listed(out) if name.endswith("/")]
    there = [path for name in _TRIALS for path in sorted((out / name).glob("*"))]
    stems = [path.with_suffix("") if path.suffix in (".json", ".npz") else path for path in there]
    named = [path.relative_to(out).as_posix() for path in stems if _TRIAL.fullmatch(path.name)]
    return list(dict.fromkeys([*listed, *named]))


def _pictures(out: Path) -> list[str]:
    if manifest.has_list(out):
        return [name for name in manifest.listed(out) if name.startswith("figures/")]
    there = [path.name for path in (out / "figures").glob("*.png")]
    return [f"figures/{name}" for name in there if _OLD_PICTURE.fullmatch(name)]


def _check_weights(out: Path, known: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name, weights in wanted.items():
        before = known.get(name, weights)
        if before in ("run", "file") and weights != before:  # earlier versions knew some by their kind only
            console.warn(
                f"The comparison in '{out}' did not keep which weights '{name}' had: that they are the same "
                "cannot be checked."
            )
        elif before != weights:
            start = weights.partition(VARIED)[0]
            what = "its own options" if before.partition(VARIED)[0] == start else "its weights"
            raise RunFolderError(
                f"The initialisation '{name}' has changed since the comparison in '{out}' was begun: {what} "
                f"are others. {_ADVICE}"
            )


def _check_same(out: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    try:
        before = as_saved("compare", CompareOptions(**_complete(there)))
    except UserError as error:
        raise RunFolderError(f"'{out / 'config.yaml'}' is damaged: {error} {_ADVICE}") from error
    for name in sorted(wanted, key=lambda name: name == "curve_points"):  # which follow from the steps
        if name in _OF_SETS and _names_sets(before) and _names_sets(wanted):
            continue  # each of several sets has trials of its own
        if name not in _MAY_DIFFER and before[name] != wanted[name]:
            raise RunFolderError(
                f"'{out}' holds a comparison with {name} = {before[name]!r}, not {wanted[name]!r}. "
                "Use the same settings to continue it, --overwrite to start again, or another --out."
            )


def _names_sets(config: Mapping[str, Any]) -> bool:
    """Return whether a comparison has several sets of labelled images, so that its trials name theirs."""
    return isinstance(config["labels"], list) or config["subsets"] > 1


def as_begun(options: CompareOptions) -> CompareOptions:
    """Return the options of a comparison with what they leave open as it is in the folder, where it is begun.

    ``preset`` else follows from the machine, and ``subset_by`` from the number of sets.
    """
    there = {} if options.overwrite else _read(Path(options.out or ""))
    if there.get("command") != "compare" or there.get("task") != options.task:
        return options
    left = {"preset": options.preset == "auto", "subset_by": options.subset_by is None}
    found = {
        name: there[name] for name, is_open in left.items() if is_open and isinstance(there.get(name), str)
    }
    return CompareOptions(**{**given(options), **found}) if found else options


def _complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of any version with what options must have; the rest is left to their defaults."""
    given = {name: value for name, value in settings.items() if value is not None and name != "command"}
    return {"inits": ("random", "imagenet"), "out": ".", "subset_by": "chance", **given}


def _read(out: Path) -> dict[str, Any]:
    """Return the settings of the comparison in ``out``, in the names of today; empty where there is none."""
    content = _content(out)
    return migrated({n: v for n, v in mapping(content).items() if n != MARKER}) if content else {}


def _content(out: Path) -> dict[str, Any]:
    try:
        content = read_yaml(out / "config.yaml", error=RunFolderError, advice=_ADVICE)
    except RunFolderError:
        return {}
    return content if isinstance(content, dict) and MARKER in content else {}
