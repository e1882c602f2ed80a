"""Folders that commands write: held by one process, their files listed, everything else left alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from geopretrain import locks, manifest
from geopretrain.errors import RunFolderError
from geopretrain.files import leftovers, move, remove_leftovers, temporaries, temporary_name, writing

MARKER_FILE = "config.yaml"
"""What says what a folder holds."""
_begun: set[str] = set()


@contextmanager
def owned(folder: str | Path, *, patience: float | None = 0) -> Iterator[None]:
    """Hold a folder while it is written; it is made where it is not there, and goes again if it stays empty.

    Args:
        folder: what is going to be written.
        patience: seconds to wait for another process, None: as long as it takes.

    Raises:
        RunFolderError: another process writes it, or it cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"'{folder}' is a file; --out needs the name of a folder.")
    made = not folder.exists()
    try:
        with ExitStack() as stack:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.held(folder, patience=patience))
                _tidy(folder)
            yield
    finally:
        if made:
            with suppress(OSError):
                manifest.remove_if_empty(folder)


def tidy_finished(folder: str | Path) -> None:
    """Remove what a process left that was killed when everything in a folder was written, its lock above all.

    Nothing is done where another process holds the folder, or it cannot be written.
    """
    if (Path(folder) / manifest.BOOKS / locks.LOCK).exists():
        with suppress(RunFolderError, OSError), owned(folder):
            pass


def _tidy(folder: Path) -> None:
    """Remove the temporary files of a killed process, also from folders inside that nobody else may hold."""
    remove_leftovers(folder)
    for inside in folder.iterdir():
        if inside.is_dir() and not (inside.is_symlink() or (inside / manifest.BOOKS).exists()):
            remove_leftovers(inside)


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Give a folder beside ``target`` to write into first (see `owned`); it is gone at the end.

    What killed processes have left of such folders for this target is removed.
    """
    for left in temporaries(target.parent, target.name):
        with suppress(RunFolderError):  # of another process that is still at it
            if left.is_dir() and not left.is_symlink():
                locks.check_free(left)
                shutil.rmtree(left, ignore_errors=True)
    temporary = temporary_name(target)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def renewed(out: Path) -> Iterator[Path]:
    """Give a folder to write everything into that ``out`` shall hold: afterwards all is there, or nothing.

    What earlier work of ours has left in ``out`` goes, and nothing else (see `config.saved.check_replaces`).
    """
    with staging(out) as aside:
        with owned(aside):
            manifest.begin(aside)
            yield aside
        if out.is_dir():
            with owned(out):
                manifest.remove(out, manifest.listed(out))
                manifest.forget(out)
                manifest.remove_if_empty(out / manifest.BOOKS)
        publish(aside, out, sorted(path for path in aside.rglob("*") if path.is_file()))


def publish(source: Path, target: Path, files: Iterable[Path]) -> None:
    """Put files from ``source``, a folder that was staged, into ``target``: by one rename where that is new.

    Args:
        source: where they are.
        target: folder that receives them; other files in it stay.
        files: in the order in which they are moved.

    Raises:
        RunFolderError: that is impossible.
    """
    with writing(target):
        if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
            target.rmdir()
    if not target.exists():
        with writing(target):
            source.rename(target)
        return
    with owned(target):
        for file in files:
            move(file, target / file.relative_to(source))


def owner_of(folder: Path) -> Path | None:
    """Return the folder above that this one is a part of, because files of its list lie here; else None."""
    folder = Path(os.path.realpath(folder))
    for above in folder.parents:
        inside = f"{folder.relative_to(above).as_posix()}/"
        if any(name.startswith(inside) for name in manifest.listed(above)):
            return above
    return None


def check_free(folder: Path) -> None:
    """Raise RunFolderError where another process is writing the folder."""
    locks.check_free(folder)


def foreign(folder: Path) -> list[str]:
    """Return what lies in a folder and is not ours: neither listed nor left by a killed process.

    Empty folders of ours count as nothing.
    """
    if not folder.is_dir():
        return []
    ours = {name.split("/")[0] for name in manifest.listed(folder)} | {manifest.BOOKS}
    with writing(folder):
        ours |= {path.name for path in leftovers(folder)}
        return sorted(path.name for path in folder.iterdir() if path.name not in ours)


def check_marker(folder: Path, marked: bool, what: str, *, overwrite: bool) -> None:
    """Refuse a folder that holds files of ours, and nothing that says what they are.

    Args:
        folder: that is about to be written.
        marked: whether its ``config.yaml`` can be read and is ours.
        what: it would hold, e.g. ``a run``.
        overwrite: what is there may go.

    Raises:
        RunFolderError: its config.yaml is damaged or missing.
    """
    if marked or overwrite:
        return
    there = [name for name in manifest.listed(folder) if name != MARKER_FILE and (folder / name).exists()]
    if there:
        raise RunFolderError(
            f"'{folder}' holds {what} whose {MARKER_FILE} is damaged or missing ({there[0]} is there): "
            "it cannot be continued. Start again from nothing with --overwrite, or choose another --out."
        )


def check_replaceable(path: Path, option: str = "--out") -> None:
    """Refuse to replace a file that is there and that we did not write.

    Raises:
        RunFolderError: it is not listed in its folder as ours.
    """
    if os.path.lexists(path) and not manifest.is_listed(path):
        raise RunFolderError(
            f"'{path}' exists and was not written by geopretrain, so it is left alone. "
            f"Choose another {option}."
        )


def mark_begun(folder: str | Path) -> None:
    """Remember that this process has begun what ``folder`` is for, so that there is something to continue."""
    _begun.add(os.path.realpath(folder))


def has_begun(folder: str | Path) -> bool:
    """Return whether this process has begun what ``folder`` is for."""
    return os.path.realpath(folder) in _begun
