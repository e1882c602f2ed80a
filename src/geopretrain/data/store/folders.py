"""Folders that survive interruptions: atomic JSON, locks, fingerprints, storage errors in words."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geopretrain.data.readers.synthetic import PREFIX
from geopretrain.errors import DataError, RunFolderError
from geopretrain.files import replacing

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_json(path: Path, values: Any) -> None:
    """Write JSON so that at any moment the old or the new file is there, complete."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, an empty one where the file is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError):
        return {}
    return values if isinstance(values, dict) else {}


def fingerprint(inputs: Sequence[str | Path]) -> list[Any]:
    """Return what identifies inputs unread: paths, number, size and newest time of files (DataError)."""
    try:
        return [_fingerprint(spec) for spec in inputs]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}).") from error


def _fingerprint(spec: str | Path) -> Any:
    if str(spec).startswith(PREFIX):
        return str(spec)
    path = Path(spec).expanduser().resolve()
    if not path.exists():
        raise DataError(f"{spec} does not exist.")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    stats = [file.stat() for file in files]
    newest = max((s.st_mtime_ns for s in stats), default=0)
    return {"path": str(path), "files": len(files), "bytes": sum(s.st_size for s in stats), "newest": newest}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder which the operating system releases with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process is preparing {folder}; waiting for it.", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
