"""Which files of a folder are ours: a list in it, made as they are written, so that no other is ever removed.

A folder that commands write has a hidden folder ``.geopretrain`` with ``files.jsonl``: one name a line,
relative to the folder, noted before the file is there. A name with a slash at its end is a folder that has a
list of its own. Temporary files and hidden folders are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

BOOKS = ".geopretrain"
"""Hidden folder in which a folder of ours keeps what is known of it."""
LIST = "files.jsonl"
_known: dict[Path, tuple[int, set[str]]] = {}
"""What was read of each list, and the size that it had."""


def begin(root: Path, known: Iterable[str] = ()) -> None:
    """Keep a list in ``root`` from now on; where there was none, ``known`` names what is ours already."""
    if has_list(root):
        return
    (root / BOOKS).mkdir(parents=True, exist_ok=True)
    _append(root, list(known))


def has_list(root: Path) -> bool:
    """Return whether ``root`` has a list of our files."""
    return (root / BOOKS / LIST).is_file()


def note(path: Path) -> None:
    """List a file that is about to be written, in the nearest folder above it that keeps a list."""
    path = Path(os.path.abspath(path))
    for root in path.parents:
        if (root / BOOKS).is_dir():
            _note(root, path.relative_to(root).as_posix())
            return


def note_folder(path: Path) -> None:
    """List a folder that has, or will have, a list of its own, in the list of the one above it."""
    path = Path(os.path.abspath(path))
    root = next((root for root in path.parents if (root / BOOKS).is_dir()), None)
    if root is not None:
        _note(root, path.relative_to(root).as_posix() + "/")


def listed(root: Path) -> list[str]:
    """Return the names listed in ``root``, each once; lines that a kill has torn are left out."""
    try:
        text = (root / BOOKS / LIST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return list(dict.fromkeys(name for line in text.splitlines() if (name := _name(line))))


def is_listed(path: Path) -> bool:
    """Return whether a file is listed as ours in its own folder."""
    return path.name in listed(path.parent)


def behind_links(root: Path, names: Iterable[str]) -> list[str]:
    """Return those of our files that lie behind a link inside ``root``, and so somewhere else."""
    return [name for name in names if (root / name).exists() and _is_elsewhere(root, name)]


def remove(root: Path, names: Iterable[str]) -> None:
    """Remove files of ours from ``root`` and the folders that are empty then; links are never followed."""
    here = [name for name in names if not _is_elsewhere(root, name)]
    for name in here:
        path = root / name
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)
    folders = {parent for name in here for parent in Path(name).parents if parent.parts}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        remove_if_empty(root / folder)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder in which there is nothing."""
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def forget(root: Path) -> None:
    """Remove the list of ``root``; what is ours there now is known by other means, or gone."""
    (root / BOOKS / LIST).unlink(missing_ok=True)


def _note(root: Path, name: str) -> None:
    hidden = any(part.startswith(".") for part in name.split("/"))
    if not hidden and name not in _names(root):
        _append(root, [name])


def _names(root: Path) -> set[str]:
    """Return what is listed in ``root``, without reading again what has not grown."""
    path = root / BOOKS / LIST
    size = path.stat().st_size if path.is_file() else 0
    if _known.get(root, (-1,))[0] != size:
        _known[root] = size, set(listed(root))
    return _known[root][1]


def _append(root: Path, names: list[str]) -> None:
    path = root / BOOKS / LIST
    torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    text = "\n" * torn + "".join(json.dumps(name) + "\n" for name in names)
    size = path.stat().st_size if path.is_file() else 0
    before = _known.get(root)
    if before is not None and before[0] != size:  # another folder in the place of one that was removed
        before = None
        del _known[root]
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    if before is not None:
        before[1].update(names)
        _known[root] = path.stat().st_size, before[1]


def _name(line: str) -> str:
    """Return the name in a line, empty where it is torn or points out of the folder."""
    try:
        name = json.loads(line)
    except ValueError:
        return ""
    good = isinstance(name, str) and name and not os.path.isabs(name) and ".." not in name.split("/")
    return name if good else ""


def _is_elsewhere(root: Path, name: str) -> bool:
    return any((root / parent).is_symlink() for parent in Path(name).parents if parent.parts)
