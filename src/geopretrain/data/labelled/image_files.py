"""Single images, perhaps with a class each: what folders and lists of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geopretrain.data.file_names import natural_key
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import (
    LabelledImage,
    LabelledSource,
    digest_files,
    evenly_spread,
    unread_files,
)
from geopretrain.data.readers.foreign import unread_pictures
from geopretrain.data.readers.images import image_size, read_image
from geopretrain.data.resize import apply_crop, central_crop
from geopretrain.data.sizes import check_original
from geopretrain.data.value_range import range_warning
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

HELD_OUT = 0.1
"""Fraction of the images kept for validation where there is no ``val``."""
_LOOKED_AT = 50  # images whose size is looked at


class ImageFiles(LabelledSource):
    """Images of any sizes, by their names below a folder.

    An image whose aspect differs by more than 10 % from the working size is cut to its centre, as frames of a
    store are. Names are held in memory, about 100 bytes an image; nothing is opened before it is read.

    Args:
        root: folder that names are relative to.
        kind: of data, in a word or two.
        files: names of each split, ``/`` between their parts.
        classes: name of the class of each image, likewise; empty texts where it has none.
        warnings: sentences about assumptions made.
        absent: why images have no classes, as a clause, where more is known than that they have none.
        listed: digest of what says the classes, where names of files do not.
    """

    def __init__(
        self,
        root: Path,
        kind: str,
        files: Mapping[str, list[str]],
        classes: Mapping[str, Sequence[str]],
        *,
        warnings: tuple[str, ...] = (),
        absent: str = "",
        listed: str = "",
    ) -> None:
        self.root, self.kind, self.files = root, kind, files
        self.counts = {split: len(names) for split, names in files.items()}
        self.warnings, self._listed = warnings, [listed] if listed else []
        self.fields = ()
        self.labels: dict[str, np.ndarray] = {}
        if warning := range_warning([root / name for name in evenly_spread(files["train"], _LOOKED_AT)]):
            self.warnings += (warning,)
        absent = absent or _without_classes(files, classes)
        if absent:
            self.absent = {"image_labels": absent}
        else:
            self._number(classes)

    def _number(self, classes: Mapping[str, Sequence[str]]) -> None:
        """Give each class a number, in natural order of the names."""
        self.fields = ("image_labels",)
        self.class_names = tuple(sorted(set(classes["train"]), key=lambda name: (natural_key(name), name)))
        self.class_colours = class_palette(len(self.class_names))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        self.labels = {
            split: np.fromiter((numbers[name] for name in names), np.int32, len(names))
            for split, names in classes.items()
        }

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the folder."""
        return self.files[split][index]

    def image_classes(self, split: str) -> np.ndarray | None:
        """Return the class of each image of a split, from its folder or the list."""
        return self.labels.get(split)

    def original_size(self) -> tuple[int, int]:
        """Return the middle height and the middle width of some of the images that can be read."""
        sizes, reasons = [], []
        for name in evenly_spread(self.files["train"], _LOOKED_AT):
            try:
                sizes.append(image_size(self.root / name))
            except DataError as error:
                reasons.append(str(error))
        if not sizes:
            raise DataError(f"{self.root} holds no readable image. The first problem: {reasons[0]}")
        height, width = np.median(sizes, axis=0)
        return int(height), int(width)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode an image and cut it to the aspect of ``size``."""
        file = self.root / self.files[split][index]
        image = read_image(file)
        original = (image.shape[0], image.shape[1])
        check_original(original, file)
        label = int(self.labels[split][index]) if self.labels else None
        return LabelledImage(apply_crop(image, central_crop(original, size)), image_label=label)

    def unread(self) -> object:
        """Return names, lengths and times of the files, and what says their classes."""
        return [self.counts, unread_files(self.root, self._all()), *self._listed]

    def fingerprint(self) -> str:
        """Return a digest of splits, names and lengths of all files, and the content of some."""
        digest = Digest().add(self.counts)
        for listed in self._listed:
            digest.add(listed)
        return digest_files(digest, self.root, self._all()).hex()

    def _all(self) -> list[str]:
        return [name for names in self.files.values() for name in names]


def _without_classes(files: Mapping[str, list[str]], classes: Mapping[str, Sequence[str]]) -> str:
    """Return why the images cannot be told apart by classes, as a clause; empty where they can."""
    train, val = set(classes["train"]), set(classes["val"])
    if "" in train | val:
        loose = [
            name for split in files for name, c in zip(files[split], classes[split], strict=True) if not c
        ]
        return (
            f"{len(loose)} of the {sum(map(len, files.values()))} images have no class ({loose[0]} for one); "
            "a sub-folder for each class is expected"
        )
    if unknown := sorted(val - train):
        return f"'{unknown[0]}' occurs in val, but has no image in train to learn it from"
    if len(train) < 2:
        return f"all images are of one class, '{min(train)}', and two at least are needed to tell apart"
    return ""


def held_out(names: list[str], where: Path) -> np.ndarray:
    """Return which of the images are ``val``, a fixed random tenth (DataError where there are too few)."""
    if len(names) < 2:
        unread = unread_pictures(where)
        raise DataError(
            f"{where} holds {len(names)} images; at least 2 are needed, one to train on."
            f"{f' {unread}' if unread else ''}"
        )
    taken = np.zeros(len(names), dtype=bool)
    order = np.random.default_rng(0).permutation(len(names))
    taken[order[: max(1, round(HELD_OUT * len(names)))]] = True
    return taken
