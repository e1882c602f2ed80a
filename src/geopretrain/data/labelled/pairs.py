"""Image files with a class map each, and the layout most people have: folders."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import SPLITS, LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.class_maps import (
    colours_from,
    read_labels,
    refuse_mixed_palettes,
    some_transparent,
    unnamed_values,
    what_labels_hold,
)
from geopretrain.data.labelled.classes import ADE20K_LIST, ClassList, read_ade20k_classes, read_classes
from geopretrain.data.labelled.depth_pairs import DepthFiles
from geopretrain.data.labelled.pairing import Pair as Pair
from geopretrain.data.labelled.pairing import Pairing, pairing
from geopretrain.data.readers.images import image_size, on_its_side, read_image, turned_alone
from geopretrain.data.sizes import check_original
from geopretrain.data.value_range import range_warning
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

_TRIED = 20  # images whose headers are looked at until one can be read
_LABEL_FOLDERS = ("labels", "masks", "annotations")
Item = TypeVar("Item")


class LabelledPairs(LabelledSource):
    """Images and class maps of the same size, split by split."""

    def __init__(
        self,
        root: Path,
        kind: str,
        classes: ClassList,
        pairs: dict[str, list[Pair]],
        warnings: tuple[str, ...] = (),
        depth: DepthFiles | None = None,
    ) -> None:
        """Keep the pairs; raises DataError for an empty split, and for a picture that is listed twice."""
        self.depth, self.fields = depth, ("labels",) if depth is None else ("labels", "depth")
        self.root, self.kind, self.classes, self.pairs, self.warnings = root, kind, classes, pairs, warnings
        self.class_names, self.class_colours = classes.names, classes.colours
        self.class_ids = classes.ids_of_classes()
        self.counts = {split: len(pairs[split]) for split in SPLITS}
        for split, count in self.counts.items():
            if not count:
                raise DataError(f"The split '{split}' of {root} holds no labelled image.")
        self.warnings += _shared_pictures(root, pairs)
        if warning := range_warning([image for image, _ in pairs["train"]]):
            self.warnings += (warning,)

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the data set, the whole path where it lies elsewhere."""
        return shown(self.root, self.pairs[split][index][0])

    def original_size(self) -> tuple[int, int]:
        """Return the (height, width) of the first training image whose header can be read."""
        files = [image for image, _ in self.pairs["train"][:_TRIED]]
        for file in files[:-1]:
            with suppress(DataError):  # reading it will say what is wrong
                return image_size(file)
        return image_size(files[-1])

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode one pair (DataError names the file that is wrong)."""
        image_path, label_path = self.pairs[split][index]
        image, labels = read_image(image_path), self.labels_of(label_path)
        if image.shape[:2] != labels.shape:
            raise DataError(_other_size(label_path, labels.shape, image_path, image.shape))
        check_original(labels.shape, image_path)
        depth = None if self.depth is None else self.depth.of(image_path, labels.shape)
        return LabelledImage(image, labels, depth)

    def labels_of(self, path: Path) -> NDArray[np.uint8]:
        """Decode a class map ``H W``, 255 = ignore (DataError)."""
        return read_labels(path, self.classes)

    def unnamed(self, split: str, index: int) -> set[str]:
        """Return ``255``, ``black`` and ``white`` where they are ignored and no line of the list says so."""
        return unnamed_values(self.pairs[split][index][1], self.classes)

    def unread(self) -> object:
        """Return the class list, and names, lengths and times of the files."""
        return [self._listed_classes(), unread_files(self.root, self._files())]

    def fingerprint(self) -> str:
        """Return a digest of class list, splits, names and lengths of all files, and the content of some."""
        digest = Digest().add([self._listed_classes(), self.counts])
        return digest_files(digest, self.root, self._files()).hex()

    def _listed_classes(self) -> object:
        return [list(self.class_names), self.class_colours.tolist(), sorted(self.classes.ids.items())]

    def _files(self) -> list[Path]:
        pairs = [pair for split in SPLITS for pair in self.pairs[split]]
        depth = [] if self.depth is None else [self.depth.files[image] for image, _ in pairs]
        return [*(file for pair in pairs for file in pair), *depth]


def _other_size(label: Path, one: tuple[int, ...], image: Path, other: tuple[int, ...]) -> str:
    said = (
        f"The label {label} is {in_px(one)}, but its image {image.name} is {sides(other)}; they must have "
        "the same size."
    )
    if one[:2] != other[1::-1]:
        return said
    return said + on_its_side("the label")


def _shared_pictures(root: Path, pairs: dict[str, list[Pair]]) -> tuple[str, ...]:
    """Refuse a picture that is twice in a split, or in train and test; return what other splits share.

    Files are told apart by what they are, not by their names: links lead to the same picture.
    """
    files = {split: _by_identity(root, split, pairs[split]) for split in SPLITS}
    said = []
    for first, second in combinations(SPLITS, 2):
        shared = files[first].keys() & files[second].keys()
        if not shared:
            continue
        example = min(files[first][key] for key in shared)
        found = f"{first} and {second} share {len(shared)} of their pictures, {example} for example"
        if (first, second) == ("train", "test"):
            raise DataError(
                f"{root}: {found}. A score on what was learned by heart means nothing: take them out of one "
                "of the two."
            )
        said.append(found)
    return tuple(said)


def shown(root: Path, file: Path) -> str:
    """Return the name of a file within the data set; of one elsewhere, where a list names it, its path."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def _by_identity(root: Path, split: str, pairs: list[Pair]) -> dict[tuple[int, int], str]:
    """Return the name of each picture by what file it is; raises DataError where one is there twice."""
    found: dict[tuple[int, int], str] = {}
    for image, _ in pairs:
        stat, name = image.stat(), shown(root, image)
        key = (stat.st_dev, stat.st_ino)
        if key in found:
            raise DataError(
                f"The split '{split}' of {root} holds {name} twice (as {found[key]}). Keep one of them."
            )
        found[key] = name
    return found


# ---------------------------------------------------------------- folders


def has_folders(root: Path) -> bool:
    """Return whether there are ``images/`` and ``labels/``, on the top or in folders of splits."""
    if (root / "images").is_dir() and _label_folder(root) is not None:
        return True
    return any(_inside_split(root, split) is not None for split in SPLITS)


def open_folders(root: Path) -> LabelledPairs:
    """Read ``images/`` + ``labels/``, flat or with split folders on either level.

    Raises:
        DataError: ``classes.txt`` is missing, an image has no label, or there are too few.
    """
    classes = _folder_classes(root)
    matched = _matched(root)
    found = {split: one.pairs for split, one in matched.items()}
    if classes is None:
        raise no_list_of_classes(root / "classes.txt", found)
    said = tuple(dict.fromkeys(sentence for one in matched.values() for sentence in one.sentences()))
    pairs, warnings = with_all_splits(found, root)
    return LabelledPairs(root, "folder", classes, pairs, warnings + said + colours_said(pairs, classes))


def no_list_of_classes(listing: Path, found: dict[str, list[Pair]]) -> DataError:
    """Return the error for labels without a list of their classes; it says what the labels hold."""
    labels = [label for pairs in found.values() for _, label in pairs]
    said = f"{listing} is missing. It must list the classes, one name per line in the order of their ids."
    return DataError(f"{said} {what_labels_hold(labels)}".rstrip())


def colours_said(pairs: dict[str, list[Pair]], classes: ClassList) -> tuple[str, ...]:
    """Return sentences about colours that are taken because the class list has none, and transparent labels.

    Raises:
        DataError: the labels are palette pictures, of which each has ids of its own.
    """
    labels, said = [label for _, label in pairs["train"]], list[str]()
    refuse_mixed_palettes(labels, classes)
    if labels and (known := colours_from(labels[0], classes)) is not None:
        said.append(f"labels are colours, which classes.txt does not give: those of {known} are taken")
    if some_transparent(labels, classes):
        said.append("labels are of no class where they are transparent")
    if turned := turned_alone(pairs["train"], "labels"):
        said.append(turned.rstrip("."))
    return tuple(said)


def _folder_classes(root: Path) -> ClassList | None:
    """Return the classes that a file in the folder lists, None without one."""
    if (root / "classes.txt").exists():
        return read_classes(root / "classes.txt")
    return read_ade20k_classes(root / ADE20K_LIST) if (root / ADE20K_LIST).is_file() else None


def _matched(root: Path) -> dict[str, Pairing]:
    """Return the pairs of each split on disk; of ``all`` where there are no splits."""
    labels = _label_folder(root)
    if not (root / "images").is_dir() or labels is None:
        inside = {split: _inside_split(root, split) for split in SPLITS}
        return {split: pairing(*folders) for split, folders in inside.items() if folders is not None}
    folders = {split: split_folder(root / "images", split) for split in SPLITS}
    found = {split: pairing(f, labels / f.name) for split, f in folders.items() if f is not None}
    return found or {"all": pairing(root / "images", labels)}


def _label_folder(parent: Path) -> Path | None:
    return next((parent / name for name in _LABEL_FOLDERS if (parent / name).is_dir()), None)


def _inside_split(root: Path, split: str) -> tuple[Path, Path] | None:
    """Return ``train/images`` and ``train/labels``."""
    outer = split_folder(root, split)
    labels = None if outer is None else _label_folder(outer)
    if outer is None or labels is None or not (outer / "images").is_dir():
        return None
    return outer / "images", labels


def split_folder(parent: Path, split: str) -> Path | None:
    """Return ``parent/train`` and the like; years behind the name (train2017) are allowed."""
    if (parent / split).is_dir():
        return parent / split
    return next((p for p in sorted(parent.glob(f"{split}[0-9i]*")) if p.is_dir()), None)


def with_all_splits(
    found: dict[str, list[Item]], root: Path
) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """Make the splits that are absent, always in the same way, and say so."""
    if all(split in found for split in SPLITS):
        return found, ()
    if "train" in found and ("test" in found or "val" in found):
        train, val = _carve(found["train"], 0.1, root)
        test = found.get("test") or found["val"]
        which = "test" if "test" in found else "val, used as test"
        said = f"val is a fixed tenth of train; {which} as on disk"
        return {"train": train, "val": val, "test": test}, (said,)
    pairs = [pair for split in found.values() for pair in split]
    rest, test = _carve(pairs, 0.2, root)
    train, val = _carve(rest, 0.125, root)
    said = "fixed random split 70/10/20, as the folder has none"
    return {"train": train, "val": val, "test": test}, (said,)


def _carve(pairs: list[Item], fraction: float, root: Path) -> tuple[list[Item], list[Item]]:
    if len(pairs) < 2:
        raise DataError(
            f"{root} holds too few labelled images to make splits for training, validation and test: 3 at "
            "least are needed, one for each."
        )
    order = np.random.default_rng(0).permutation(len(pairs))
    taken = set(order[: max(1, round(fraction * len(pairs)))].tolist())
    rest = [pair for position, pair in enumerate(pairs) if position not in taken]
    return rest, [pairs[position] for position in sorted(taken)]
