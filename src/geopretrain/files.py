"""Atomic writing: a file is either the old one or the new one, also when the machine stops in between."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import yaml

from geopretrain import manifest
from geopretrain.errors import RunFolderError

PARTIAL_SUFFIX = ".partial"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn operating-system errors while writing ``path`` into one sentence.

    Raises:
        RunFolderError: the place is read-only, full, or not writable for another reason.
    """
    try:
        yield
    except OSError as error:
        raise RunFolderError(_sentence(path, error)) from error


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full: '{path}' could not be written. What was there before is unharmed; "
            "free some space, then repeat the command with --resume."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"'{path}' cannot be written: the folder is read-only. Choose another --out or allow writing."
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return f"'{path}' cannot be written: a file of another kind is in the way. Choose another --out."
    return f"'{path}' cannot be written: {error.strerror or error}. Choose another --out or mend the disk."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path; on leaving without an error it is flushed to disk and renamed to ``path``.

    Raises:
        RunFolderError: it cannot be written; the old file is unharmed, the temporary one removed.
    """
    with writing(path), replacing(path) as temporary:
        yield temporary


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """As ``atomic_path``, leaving operating-system errors as they are."""
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        flush_to_disk(temporary)
        manifest.note(path)
        os.replace(temporary, path)
        flush_to_disk(path.parent)
    finally:
        if temporary.exists():
            temporary.unlink()


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe from a machine that stops."""
    if path.is_dir() and os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Put a finished file of ours in its place by one rename; what was there is replaced.

    Raises:
        RunFolderError: that is impossible; the old file is unharmed.
    """
    with writing(target):
        manifest.note(target)
        os.replace(source, target)
        flush_to_disk(target.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically; raises RunFolderError where that is impossible.

    Names of files may hold bytes that are no text, which stand as ``\\udcff`` then.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(
    path: Path,
    value: Any,
    *,
    indent: int | None = 2,
    place: Callable[[Path], AbstractContextManager[Path]] = atomic_path,
) -> None:
    """Write ``value`` as JSON, atomically.

    Args:
        path: of the file.
        value: what JSON can hold, NaN and infinity included.
        indent: of nested values; None writes one line.
        place: ``atomic_path``, or ``replacing`` where the caller puts errors of the disk into words.
    """
    with place(path) as temporary:
        temporary.write_text(json.dumps(value, indent=indent, allow_nan=True) + "\n", encoding="utf-8")


def write_yaml(path: Path, value: Any) -> None:
    """Write ``value`` as YAML in the given order, atomically."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def write_picture(path: Path, picture: Any) -> None:
    """Write an ``H W 3`` uint8 RGB array as PNG, atomically."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files a killed process left in ``folder`` (and nothing else)."""
    if folder.is_dir():
        with writing(folder):
            for leftover in leftovers(folder):
                leftover.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files of this module in ``folder``."""
    return [path for path in temporaries(folder) if path.is_file()]


def temporaries(folder: Path, name: str | None = None) -> list[Path]:
    """Return temporary files and folders in ``folder``, all of them or those of one ``name``."""
    of = ".+" if name is None else re.escape(name)
    made = re.compile(rf"\.{of}\.\d+{re.escape(PARTIAL_SUFFIX)}")
    return [path for path in folder.glob(f".*{PARTIAL_SUFFIX}") if made.fullmatch(path.name)]


def temporary_name(path: Path) -> Path:
    """Return the name beside ``path`` that this process writes first."""
    return path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
