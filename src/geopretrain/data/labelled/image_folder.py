"""Any folder of images: ``images:FOLDER``; names of sub-folders serve as classes of the images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from geopretrain.data.dataset import IMAGE_FOLDER
from geopretrain.data.file_names import is_clutter, natural_key
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.pairs import split_folder
from geopretrain.data.readers.images import IMAGE_SUFFIXES, image_size, read_image
from geopretrain.data.resize import apply_crop, central_crop
from geopretrain.data.sizes import check_original
from geopretrain.data.value_range import range_warning
from geopretrain.errors import DataError
from geopretrain.pictures import class_palette

HELD_OUT = 0.1
"""Fraction of the images kept for validation where the folder has no ``val/``."""
_SIZES_LOOKED_AT = 50


class ImageFolder(LabelledSource):
    """Images of any sizes at or below a folder, hidden ones left out.

    ``train/`` and ``val/`` are taken as they are; else a fixed random tenth is held out. Where every image
    lies in a sub-folder (of its split), the name of that folder is the class of the image. An image whose
    aspect differs by more than 10 % from the working size is cut to its centre, as frames of a store are.
    """

    kind = "image folder"

    def __init__(self, root: Path) -> None:
        """List the images (DataError where there are fewer than two)."""
        if not root.is_dir():
            raise DataError(f"{root} is not a folder; {IMAGE_FOLDER}FOLDER must name one with images.")
        self.root = root
        self.files = self._split(root)
        if warning := range_warning(self.files["train"]):
            self.warnings += (warning,)
        self.counts = {split: len(files) for split, files in self.files.items()}
        classes = {self._class_of(split, file) for split, files in self.files.items() for file in files}
        if "" in classes or len(classes) < 2:
            self.fields = ()
        else:
            self.fields = ("image_labels",)
            self.class_names = tuple(sorted(classes, key=natural_key))
            self.class_colours = class_palette(len(self.class_names))
        self._numbers = {name: number for number, name in enumerate(self.class_names)}

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the folder."""
        return self.files[split][index].relative_to(self.root).as_posix()

    def original_size(self) -> tuple[int, int]:
        """Return the middle height and the middle width of some of the images."""
        files = self.files["train"]
        chosen = np.unique(np.linspace(0, len(files) - 1, _SIZES_LOOKED_AT).astype(int))
        height, width = np.median([image_size(files[number]) for number in chosen], axis=0)
        return int(height), int(width)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode an image and cut it to the aspect of ``size``."""
        file = self.files[split][index]
        image = read_image(file)
        original = (image.shape[0], image.shape[1])
        check_original(original, file)
        label = self._numbers.get(self._class_of(split, file))
        return LabelledImage(apply_crop(image, central_crop(original, size)), image_label=label)

    def unread(self) -> object:
        """Return names, lengths and times of the files."""
        return [self.counts, unread_files(self.root, self._all())]

    def fingerprint(self) -> str:
        """Return a digest of splits, names and lengths of all files, and the content of some."""
        return digest_files(Digest().add(self.counts), self.root, self._all()).hex()

    def _split(self, root: Path) -> dict[str, list[Path]]:
        train, val = split_folder(root, "train"), split_folder(root, "val")
        if train is not None and val is not None:
            self._roots = {"train": train, "val": val}
            return {"train": image_tree(train), "val": image_tree(val)}
        self._roots = {"train": root, "val": root}
        files = image_tree(root)
        if len(files) < 2:
            raise DataError(f"{root} holds {len(files)} images; at least 2 are needed, one to train on.")
        order = np.random.default_rng(0).permutation(len(files))
        held_out = set(order[: max(1, round(HELD_OUT * len(files)))].tolist())
        self.warnings = ("val is a fixed tenth of the images",)
        return {
            "train": [file for number, file in enumerate(files) if number not in held_out],
            "val": [file for number, file in enumerate(files) if number in held_out],
        }

    def _class_of(self, split: str, file: Path) -> str:
        """Return the name of the sub-folder an image lies in, empty where it lies in none."""
        inside = file.relative_to(self._roots[split]).parts
        return inside[0] if len(inside) > 1 else ""

    def _all(self) -> list[Path]:
        return [file for files in self.files.values() for file in files]


def open_image_folder(spec: str) -> ImageFolder:
    """Open ``images:FOLDER`` (DataError where that holds no images)."""
    return ImageFolder(Path(spec.removeprefix(IMAGE_FOLDER)).expanduser())


def image_tree(root: Path) -> list[Path]:
    """Return the image files at and below a folder, hidden ones left out, in natural order."""
    return sorted(_images_below(str(root)), key=lambda file: [natural_key(part) for part in file.parts])


def _images_below(folder: str) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_clutter(entry.name):
                continue
            if entry.is_dir():
                yield from _images_below(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                yield Path(entry.path)
