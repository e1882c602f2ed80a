"""Which class map belongs to which picture, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geopretrain.data.file_names import without_clutter
from geopretrain.data.readers.foreign import unread_pictures
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.errors import DataError

LABEL_SUFFIXES = IMAGE_SUFFIXES | {".gif"}
_JOINTS = "_-. "  # what may follow the name of a picture in the name of its label
Pair = tuple[Path, Path]


@dataclass(frozen=True)
class Pairing:
    """Pictures with their class maps.

    Attributes:
        pairs: in the order of the names of the pictures.
        ending: what names of labels have behind those of the pictures, '' where they are equal.
        orphans: labels without a picture.
        unread: a sentence about pictures whose kind is not read.
    """

    pairs: list[Pair]
    ending: str = ""
    orphans: tuple[Path, ...] = ()
    unread: str | None = None

    def sentences(self) -> tuple[str, ...]:
        """Return what may not be meant."""
        said = [f"labels have '{self.ending}' behind the name of their image"] if self.ending else []
        count = len(self.orphans)
        if count == 1:
            said.append(f"1 label has no image ({self.orphans[0].name})")
        elif count:
            said.append(f"{count} labels have no image ({self.orphans[0].name}, for one)")
        if self.unread:
            said.append(self.unread.rstrip("."))
        return tuple(said)


def pairing(images: Path, labels: Path) -> Pairing:
    """Match the pictures of a folder with the labels of the same names in another, in sub-folders as well.

    Where no label has the name of its picture, labels that all have the same word behind it will do.

    Raises:
        DataError: there is no folder of labels, no picture that is read, two files share a name, or pictures
            have no label.
    """
    if not labels.is_dir():
        raise DataError(f"{images} has no folder of labels beside it: {labels} does not exist.")
    maps, pictures = _by_name(labels, LABEL_SUFFIXES), _by_name(images, IMAGE_SUFFIXES)
    unread = unread_pictures(images)
    if not pictures and unread:
        raise DataError(f"{images} holds no picture that is read. {unread}")
    ending = "" if any(name in maps for name in pictures) else _ending(images, pictures, maps)
    missing = [name for name in pictures if f"{name}{ending}" not in maps]
    if missing:
        raise DataError(_without_label(images, labels, pictures, maps, missing, ending))
    taken = {f"{name}{ending}" for name in pictures}
    orphans = tuple(path for name, path in maps.items() if name not in taken)
    return Pairing(
        [(path, maps[f"{name}{ending}"]) for name, path in pictures.items()], ending, orphans, unread
    )


def paired(images: Path, labels: Path) -> list[Pair]:
    """Return the pictures of a folder with the labels of the same names in another (see `pairing`)."""
    return pairing(images, labels).pairs


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Return the pictures of a folder by their names in it without ending (DataError where two share one).

    In the order of their names as text: the splits made by chance hang on it, and stay what they were.
    """
    found: dict[str, Path] = {}
    for path in sorted(without_clutter(folder.rglob("*"), folder)):
        if path.suffix.lower() not in suffixes or path.is_dir():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(
                f"{folder} holds {found[name].name} and {path.name}: images and labels belong together "
                "by their names without ending, so each may be there once. Keep one of them."
            )
        found[name] = path
    return found


def _ending(images: Path, pictures: Mapping[str, Path], maps: Mapping[str, Path]) -> str:
    """Return what the labels of most pictures have behind their names, '' where there is nothing of the kind.

    Raises:
        DataError: several labels belong to each picture.
    """
    first = next(iter(pictures), "")
    tried = [name[len(first) :] for name in maps if name.startswith(first)]
    fitting = [
        ending
        for ending in tried
        if ending[:1] in [*_JOINTS]
        and 2 * sum(f"{name}{ending}" in maps for name in pictures) > len(pictures)
    ]
    if len(fitting) > 1:
        listed = " and ".join(maps[f"{first}{ending}"].name for ending in fitting[:3])
        raise DataError(
            f"{pictures[first].name} in {images} has several labels: {listed}. Keep those of one kind in the "
            "folder of labels."
        )
    return fitting[0] if fitting else ""


def _without_label(
    images: Path,
    labels: Path,
    pictures: Mapping[str, Path],
    maps: Mapping[str, Path],
    missing: list[str],
    ending: str,
) -> str:
    """Return what to say of pictures without a label: how many, and how names would have to be."""
    example = pictures[missing[0]].relative_to(images).as_posix()
    said = (
        f"{len(missing)} of {len(pictures)} images in {images} have no label there ({labels}), {example} for "
        "example."
    )
    if len(missing) < len(pictures):
        return f"{said} Label them or take them out."
    if not maps:
        return f"{said} No picture is in it: labels are PNG (or TIFF, GIF, BMP) files of ids or colours."
    file = next(iter(maps.values())).relative_to(labels).as_posix()
    return (
        f"{said} The labels have other names, such as {file}: an image and its label belong together by "
        f"their names without ending ({missing[0]}.png). Or write a list with lines of 'image label'."
    )
