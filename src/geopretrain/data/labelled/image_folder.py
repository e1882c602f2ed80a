"""Any folder of images: ``images:FOLDER``; names of sub-folders serve as classes of the images.

Folders may hold a million images: their names are listed, and no file is opened or asked for its length.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from geopretrain.data.dataset import IMAGE_FOLDER
from geopretrain.data.file_names import is_clutter, natural_text
from geopretrain.data.labelled.image_files import ImageFiles, held_out
from geopretrain.data.labelled.image_list import open_image_list
from geopretrain.data.labelled.pairs import split_folder
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.errors import DataError

_NAMED = 3  # folders named in one sentence


def open_image_folder(spec: str) -> ImageFiles:
    """Open ``images:FOLDER``, or ``images:LIST`` where it is a file.

    Images of any sizes at or below the folder, hidden ones left out. ``train/`` and ``val/`` are taken as
    they are; of ``train/`` beside nothing but ``test/``, or of a folder without these, a fixed random tenth
    is held out. Where every image lies in a sub-folder (of its split), the name of that folder is the class
    of the image.

    Raises:
        DataError: there are no images, or too few.
    """
    if not (named := spec.removeprefix(IMAGE_FOLDER).strip()):
        raise DataError(f"'{spec}' names no folder; {IMAGE_FOLDER}FOLDER must name one with images.")
    root = Path(named).expanduser()
    if root.is_file():
        return open_image_list(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; {IMAGE_FOLDER}FOLDER must name one with images.")
    train, val = split_folder(root, "train"), split_folder(root, "val")
    if train is not None and val is not None:
        return _from_splits(root, {"train": train, "val": val})
    top = train if train is not None and _stands_alone(root, train) else root
    names, depth = _names(root, top), int(top != root)
    taken = held_out(names, top)
    files = {
        split: [name for name, is_val in zip(names, taken, strict=True) if is_val == (split == "val")]
        for split in ("train", "val")
    }
    said = ("val is a fixed tenth of the images", *_empty_folders([top], names, depth))
    return ImageFiles(
        root,
        "image folder",
        files,
        _classes(files, depth),
        warnings=said,
        absent=_only(top, names, depth),
    )


def _from_splits(root: Path, tops: Mapping[str, Path]) -> ImageFiles:
    files = {split: _names(root, top) for split, top in tops.items()}
    for split, names in files.items():
        if not names:
            raise DataError(f"{tops[split]} holds no images. Put some there, or remove the folder.")
    everything = [name for names in files.values() for name in names]
    return ImageFiles(
        root,
        "image folder",
        files,
        _classes(files, depth=1),
        warnings=_empty_folders(list(tops.values()), everything, depth=1),
        absent=_only(tops["train"], everything, depth=1),
    )


def image_names(root: Path) -> Iterator[str]:
    """Yield the images at and below a folder by their names in it (``a/b.png``), in natural order.

    Hidden files and folders are left out, and links that lead back to a folder above them.
    """
    inside, open_folders = [""], [iter(_listed(str(root)))]
    while open_folders:
        name, is_folder = next(open_folders[-1], ("", False))
        if not name:
            open_folders.pop()
            inside.pop()
        elif is_folder:
            inside.append(f"{inside[-1]}{name}/")
            open_folders.append(iter(_listed(os.path.join(root, inside[-1]))))
        else:
            yield inside[-1] + name


def _listed(folder: str) -> list[tuple[str, bool]]:
    """Return images and sub-folders of a folder in natural order, and whether each is a folder."""
    with os.scandir(folder) as entries:
        found = [
            (entry.name, is_folder)
            for entry in entries
            if not is_clutter(entry.name)
            and (
                (is_folder := _is_folder(entry)) or os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            )
            and not _leads_back(entry, folder)
        ]
    found.sort()  # for names whose natural order is the same
    found.sort(key=lambda entry: natural_text(entry[0]))
    return found


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: what is called like an image is named when it is read
        return False


def _leads_back(entry: os.DirEntry[str], folder: str) -> bool:
    if not entry.is_symlink():
        return False
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(entry.path))


def _folders(folder: Path) -> list[str]:
    return [name for name, is_folder in _listed(str(folder)) if is_folder]


def _names(root: Path, top: Path) -> list[str]:
    """Return the images below ``top``, by their names below ``root``."""
    prefix = "" if top == root else f"{top.name}/"
    return [prefix + name for name in image_names(top)]


def _stands_alone(root: Path, train: Path) -> bool:
    """Return whether ``train/`` is a split, and not a class beside others (a train is one)."""
    splits = {train, split_folder(root, "test")}
    return all(root / name in splits for name, _ in _listed(str(root)))


def _classes(files: Mapping[str, list[str]], depth: int) -> dict[str, list[str]]:
    return {split: [_folder_of(name, depth) for name in names] for split, names in files.items()}


def _folder_of(name: str, depth: int) -> str:
    """Return the folder at a depth that an image lies in, empty where it lies in none."""
    parts = name.split("/", depth + 1)
    return sys.intern(parts[depth]) if len(parts) > depth + 1 else ""


def _only(top: Path, names: Sequence[str], depth: int) -> str:
    """Return a clause on images that all lie in one folder, and what may be meant; empty for others."""
    found = {_folder_of(name, depth) for name in names}
    if len(found) > 1 or "" in found:
        return ""
    inner = top / min(found)
    hint = (
        f"; if its {len(_folders(inner))} folders are the classes, give {inner}"
        if len(_folders(inner)) > 1
        else ""
    )
    return f"all images lie in one sub-folder, '{inner.name}', and two classes at least are needed{hint}"


def _empty_folders(tops: Sequence[Path], names: Sequence[str], depth: int) -> tuple[str, ...]:
    """Return a sentence on folders of classes without any image."""
    found = {_folder_of(name, depth) for name in names}
    if "" in found:
        return ()
    empty = sorted({name for top in tops for name in _folders(top)} - found)
    if not empty:
        return ()
    more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    return (f"no image lies in {', '.join(empty[:_NAMED])}{more}: no class is made of it",)
