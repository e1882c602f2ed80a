"""Folders that survive interruptions: atomic JSON, working folders, storage errors in words."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geopretrain.errors import DataError, RunFolderError
from geopretrain.files import replacing, write_json

DISCARDED = ".discarded"
"""What the name of a working folder begins with when it is about to be removed."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def save_json(path: Path, values: Any) -> None:
    """Write JSON atomically; errors of the disk are left to `storage_errors`."""
    write_json(path, values, indent=None, place=replacing)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, an empty one where the file is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def discard(folder: Path) -> None:
    """Remove a working folder: all of it or nothing is there at any moment; links are not followed."""
    aside = folder.with_name(f"{DISCARDED}{folder.name}")
    for path in (aside, folder):
        if path.is_symlink():
            path.unlink()
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def storage_errors(out: Path) -> Iterator[None]:
    """Turn errors of the disk into the RunFolderError (or DataError, for a source) which says what to do."""
    try:
        yield
    except OSError as error:
        if error.filename and not Path(error.filename).absolute().is_relative_to(out.absolute()):
            raise DataError(f"{error.filename} cannot be read ({error.strerror}).") from error
        if error.errno in _FULL:
            raise RunFolderError(
                f"The disk holding {out} is full. Nothing is lost: free some space and repeat the command, "
                "it continues."
            ) from error
        if error.errno in _FORBIDDEN:
            raise RunFolderError(
                f"{out} is not writable ({error.strerror}). Choose another folder for --out."
            ) from error
        if error.errno in {errno.ENOTDIR, errno.EEXIST}:
            raise RunFolderError(
                f"{out} cannot be a folder: a file is in the way. Choose another --out."
            ) from error
        raise RunFolderError(
            f"{out} cannot be written ({error}). Choose another folder for --out."
        ) from error
