"""``config.yaml``: what repeats a run. Written from a command and its options, read back as these options."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from geopretrain import manifest
from geopretrain.config.describe import options_of
from geopretrain.errors import ConfigError, OptionError, RunFolderError, nearest_name, short
from geopretrain.files import write_yaml
from geopretrain.records import read_yaml
from geopretrain.schema import RENAMED, defaults, hints, path_text, plain, words_of
from geopretrain.version import __version__

MARKER = "geopretrain"
"""Key of a saved configuration, and by it a folder is known to be ours; its value is our version."""
FILE = "config.yaml"
NOT_SAVED = ("resume", "overwrite", "progress", "open_report")
"""Options of one call, not of what came out of it."""

WORDS = ("random", "imagenet")
"""Initialisations that are no paths, also where a folder is called so."""

Settings = dict[str, Any]


def as_saved(command: str, options: Any, **resolved: Any) -> Settings:
    """Return what is saved of a run: its command and every option, in plain values.

    Args:
        command: as it is typed.
        options: of the class of the command.
        resolved: what became of options that were left to a preset, the data or the machine.
    """
    types = hints(type(options))
    names = [option.name for option in options_of(type(options)) if option.name not in NOT_SAVED]
    values = {name: getattr(options, name) for name in names} | resolved
    if values.get("out"):
        values["out"] = Path(values["out"]).absolute()
    saved = {name: _plain(name, value, types.get(name)) for name, value in values.items()}
    return {"command": command, **saved}


def _plain(name: str, value: Any, hint: Any) -> Any:
    """Return the value of an option as text, number or list; sizes as HEIGHTxWIDTH, paths that exist
    absolute."""
    words = words_of(hint)
    metavar = words.metavar if words else ""
    if metavar == "HEIGHTxWIDTH" and isinstance(value, (list, tuple)):
        return "x".join(str(side) for side in value)
    value = plain(value)
    if metavar == "PATH":
        kept = WORDS if name in ("init", "inits") else ()
        return (
            [_absolute(part, kept) for part in value] if isinstance(value, list) else _absolute(value, kept)
        )
    return value


def _absolute(value: Any, kept: Collection[str]) -> Any:
    if not isinstance(value, str) or not value or value in kept:
        return value
    if os.path.exists(value):
        return os.path.abspath(value)
    path, mark, options = value.rpartition("?")  # data with options: PATH?classes=13, PATH?split=LIST
    if not path or not os.path.exists(path):
        return value
    parts = (part.partition("=") for part in options.split("&"))
    found = [f"{name}{is_}{os.path.abspath(one) if os.path.isfile(one) else one}" for name, is_, one in parts]
    return f"{os.path.abspath(path)}{mark}{'&'.join(found)}"


def command_line(options: type, settings: Mapping[str, Any]) -> str:
    """Return what is typed to repeat what was saved: the command and every option that is not the default.

    Args:
        options: class of the command's options.
        settings: as ``as_saved`` returns them.
    """
    types, standard = hints(options), defaults(options)
    words = ["geopretrain", str(settings["command"])]
    for option in options_of(options):
        value = settings.get(option.name)
        if value is None or value == _plain(option.name, standard[option.name], types[option.name]):
            continue
        words += ([] if option.positional else [option.typed]) + [shlex.quote(word) for word in _words(value)]
    return " ".join(words)


def _words(value: Any) -> list[str]:
    """Return how a value is typed."""
    if isinstance(value, Mapping):
        return [
            f"{name}={yaml.safe_dump(part, default_flow_style=True, width=sys.maxsize).split(chr(10))[0]}"
            for name, part in value.items()
        ]
    if isinstance(value, list):
        return (
            [f"{value[0]},"]
            if len(value) == 1 and isinstance(value[0], int)
            else [str(part) for part in value]
        )
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def write_saved(folder: Path, settings: Mapping[str, Any], *, own: bool = False) -> Path:
    """Write a configuration into ``folder`` and return its file.

    It is config.yaml; where that belongs to another command (a run in whose folder pictures are written) or
    is not ours, it is named by its own command.

    Args:
        folder: receives it.
        settings: as ``as_saved`` returns them.
        own: the folder is the command's own; whatever config.yaml is there is replaced.

    Raises:
        RunFolderError: it cannot be written, or both names are taken by files that are not ours.
    """
    path = folder / FILE if own else _place(folder, str(settings["command"]))
    write_yaml(path, {MARKER: __version__, **settings})
    return path


def check_saved(folder: Path, command: str) -> None:
    """Make sure that the configuration of a command can be written, changing nothing (see `write_saved`)."""
    _place(folder, command)


def reserve_saved(folder: Path, command: str) -> None:
    """Make sure, before anything is computed, that the configuration of a command can be written.

    What an earlier version has written, which kept no list of its files, is listed as ours.

    Raises:
        RunFolderError: both of its names are taken by files that are not ours.
    """
    path = _place(folder, command)
    if os.path.lexists(path) and not manifest.has_list(folder):
        manifest.begin(folder, [path.name])


def _place(folder: Path, command: str) -> Path:
    """Return the file that the configuration of a command is written to."""
    for path in (folder / FILE, folder / _own_name(command)):
        if not os.path.lexists(path) or (_is_ours(path) and command == _command_of(path)):
            return path
    raise RunFolderError(
        f"'{folder}' holds a {FILE} and a {_own_name(command)} that are not of this command, or not "
        "written by geopretrain, so they are left alone. Choose another folder, or move them away."
    )


def _is_ours(path: Path) -> bool:
    """Return whether a file is listed as ours; where no list is kept, whether it bears our mark."""
    if manifest.has_list(path.parent):
        return manifest.is_listed(path)
    try:
        content = read_yaml(path, error=ConfigError, advice="")
    except ConfigError:
        return False
    return not path.is_symlink() and isinstance(content, dict) and MARKER in content


def _own_name(command: str) -> str:
    return f"{command.replace(' ', '-')}.yaml"


def is_own(folder: Path, *, but: str) -> bool:
    """Return whether a folder is that of a command: a run, a comparison, a store; not of ``but``."""
    if (folder / "lineage.json").is_file():
        return True
    path = folder / FILE
    return path.is_file() and _is_ours(path) and _command_of(path) not in ("", but)


def check_replaces(out: Path, kept: str, what: str, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else than a command writes, or its earlier work unasked.

    Args:
        out: that is going to be written; nothing, or an empty folder, is free.
        kept: file by which earlier work of the command is known.
        what: it is, in words.
        overwrite: it may go.

    Raises:
        RunFolderError: the folder is not free.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not is_own(out, but="") or kept not in manifest.listed(out):
        raise RunFolderError(f"'{out}' holds something else, which is left alone. Choose another --out.")
    if not overwrite:
        raise RunFolderError(f"'{out}' holds {what}. Choose another --out, or replace that: --overwrite.")


def _command_of(path: Path) -> str:
    try:
        return str(load(path).get("command", ""))
    except ConfigError:
        return ""


def load(path: Path) -> Settings:
    """Return what a saved configuration holds, in the names of today, with ``command``.

    Raises:
        ConfigError: it cannot be read or holds no settings.
    """
    content = read_yaml(path, error=ConfigError, advice="Give the config.yaml of a run, or its folder.")
    if not isinstance(content, dict):
        raise ConfigError(f"'{path}' is not a list of settings (name: value).")
    return migrated({str(name): value for name, value in content.items() if name != MARKER})


def read_saved(path: str | os.PathLike[str], command: str, options: type) -> Settings:
    """Return the options that a saved configuration gives, for ``command``.

    Args:
        path: a file, or the folder that holds it.
        command: as it is typed.
        options: class of its options.

    Raises:
        ConfigError: it cannot be read, belongs to another command, or holds what is no option.
    """
    try:
        file = _file(Path(path_text(os.fspath(path))), command)
    except ValueError as error:
        raise OptionError("config", f"must be {error}, not {short(os.fspath(path))}.") from error
    settings = load(file)
    of = settings.pop("command", command)
    if of != command and (of, command) in ADOPTED:
        settings, of = ADOPTED[of, command](settings), command
    if of != command:
        raise ConfigError(f"'{file}' is of a {of} run, not of {command}: it belongs to `geopretrain {of}`.")
    known = [one.name for one in fields(options)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"Unknown setting '{name}' in '{file}'.{nearest_name(name, known)}")
    found = {name: value for name, value in settings.items() if value is not None}
    try:
        options(**found)
    except OptionError as error:
        if error.name in found:  # what is absent, the command line may give
            raise ConfigError(f"'{file}' cannot be used: {error}") from error
    return found


def _file(path: Path, command: str) -> Path:
    """Return the file meant by a path, which may be a folder."""
    if not path.is_dir():
        return path
    own = path / _own_name(command)
    return own if own.is_file() else path / FILE


# ---- what earlier versions wrote
COMMANDS = {"finetune": "finetune segmentation"}
RENAMED_SETTINGS = {"still": "static"}
OPTIONS_NOW = ("backbone_lr",)
"""Settings of a method that every training command has as an option now."""
DROPPED = ("compile_loss", "task")
"""The fast form of a loss is chosen by torch's dispatch now; the task of a transfer is in its command (but
for ``compare``, which has that option)."""


def migrated(settings: Mapping[str, Any]) -> Settings:
    """Return settings of any earlier version in the names of today."""
    dropped = DROPPED[:1] if settings.get("command") == "compare" else DROPPED
    found = {RENAMED.get(name, name): value for name, value in settings.items() if name not in dropped}
    if isinstance(own := found.get("settings"), dict):
        found["settings"] = {RENAMED_SETTINGS.get(name, name): value for name, value in own.items()}
        found |= {name: found["settings"].pop(name) for name in OPTIONS_NOW if name in own}
    if "command" in found:
        found["command"] = COMMANDS.get(str(found["command"]), str(found["command"]))
    if found.get("command") == "finetune depth":
        return _mode_of_decoder(found)
    return _comparison(found) if found.get("command") == "compare" else found


def _mode_of_decoder(settings: Settings) -> Settings:
    """Before 0.2 was released, a fresh decoder of a transfer with labels was a setting."""
    own = dict(settings.get("settings") or {})
    if settings.get("supervision") != "labels" or "decoder" not in own:
        return settings
    mode = "encoder" if own.pop("decoder") == "fresh" else "full"
    return {**settings, "mode": mode, "settings": own}


def _comparison(settings: Settings) -> Settings:
    """Version 0.1 kept names with fingerprints of initialisations, and lists of what was counted."""
    if isinstance(settings.get("inits"), dict):
        settings["inits"] = None
    for name in ("search_seeds", "pictures"):
        if isinstance(settings.get(name), list):
            settings[name] = len(settings[name]) or None
    return settings


def _as_finetune_depth(settings: Settings) -> Settings:
    """Version 0.1 kept the pre-training run that ``finetune depth`` was."""
    if settings.get("method") != "monodepth":
        return settings
    own = dict(settings.get("settings") or {})
    rest = {name: value for name, value in settings.items() if name != "method"}
    return {**rest, "supervision": own.pop("supervision", "mono"), "settings": own}


ADOPTED: dict[tuple[str, str], Callable[[Settings], Settings]] = {
    ("pretrain", "finetune depth"): _as_finetune_depth
}
"""Configurations of one command that another one understands."""
