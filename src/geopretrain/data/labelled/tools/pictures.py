"""What readers of annotation tools share: finding the pictures, their splits, and saying what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from geopretrain.data.file_names import without_clutter
from geopretrain.data.labelled.classes import read_classes
from geopretrain.data.labelled.objects import AnnotatedImage
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.text_lists import listed_path, read_lines
from geopretrain.errors import DataError

FOLDERS = ("", "images", "data", "JPEGImages")
SPLITS = {
    **dict.fromkeys(("train", "training", "train2017"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val2017"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
CLASS_LISTS = ("labels.txt", "classes.txt", "obj.names")


class Pictures:
    """The pictures of a folder, found by the names that an annotation file has for them.

    Attributes:
        missing: names that were asked for and are not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.missing: list[str] = []
        self.found = 0

    def find(self, name: str, beside: Path | None = None) -> Path | None:
        """Return a picture, None where it is not there (which is noted).

        Args:
            name: as the annotations have it: a path of whatever system, or a bare name.
            beside: folder that paths may be relative to besides the root.

        Raises:
            DataError: only its name is known, and several folders hold one.
        """
        path = PurePosixPath(unquote(listed_path(name)))
        for base in (*((beside,) if beside else ()), *(self.root / folder for folder in FOLDERS)):
            candidate = base / path.relative_to("/") if path.is_absolute() else base / path
            if candidate.is_file():
                self.found += 1
                return candidate.resolve() if ".." in path.parts else candidate
        same = self._by_name.get(path.name, [])
        if len(same) > 1:
            raise DataError(
                f"{name} may be {same[0]} or {same[1]}: give pictures different names, or export paths."
            )
        self.found += len(same)
        if not same:
            self.missing.append(name)
        return same[0] if same else None

    def knows(self, name: str) -> bool:
        """Return whether a picture of this bare name is anywhere in the folder."""
        return name in self._by_name

    def sentences(self, root: Path) -> tuple[str, ...]:
        """Return how many pictures are not there (DataError where not one is)."""
        if not self.missing:
            return ()
        total = len(self.missing) + self.found
        if not self.found:
            raise DataError(
                f"{root}: none of the {total} pictures is there that the annotations name, "
                f"{self.missing[0]} for example. Put them into {root / 'images'}."
            )
        return (f"{len(self.missing)} of {total} pictures are not there ({self.missing[0]}, for one)",)

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in without_clutter(self.root.rglob("*"), self.root):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                found[path.name].append(path)
        return found


def listed_names(root: Path, left_out: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of classes that a list in the folder gives, () without one."""
    for name in CLASS_LISTS:
        if (root / name).is_file():
            if name == "classes.txt":
                return read_classes(root / name, fewest=1).names
            return tuple(line.text for line in read_lines(root / name) if line.text not in left_out)
    return ()


def by_folder(root: Path, images: Sequence[AnnotatedImage]) -> dict[str, list[AnnotatedImage]]:
    """Return the images by the split that a folder above them is called after; ``all`` where one has none."""
    found: dict[str, list[AnnotatedImage]] = {}
    for image in images:
        parts = image.file.relative_to(root).parts[:-1] if image.file.is_relative_to(root) else ()
        split = next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), "all")
        found.setdefault(split, []).append(image)
    return {"all": list(images)} if "all" in found else found


def class_number(names: Mapping[str, int], name: str, where: str) -> int:
    """Return the number of a class (DataError where the list does not have it)."""
    if name not in names:
        raise DataError(
            f"{where} has the class '{name}', which is not in the list of classes "
            f"({', '.join(list(names)[:8])}). Add it there, or rename it."
        )
    return names[name]
