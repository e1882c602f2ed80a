"""Images with a depth map each, which is read as the data set says, and may be smaller than its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.readers.depth_maps import as_large_as
from geopretrain.data.readers.images import image_size, read_image
from geopretrain.data.sizes import check_original
from geopretrain.errors import DataError

_TRIED = 20  # images whose headers are looked at until one can be read


@dataclass(frozen=True)
class DepthFiles:
    """Where the depth of each picture is, and how a file of it is read.

    Attributes:
        files: of depth or disparity, by picture.
        read: returns ``H W`` float32 m, 0 = no measurement, of such a file (DataError).
    """

    files: Mapping[Path, Path]
    read: Callable[[Path], NDArray[np.float32]]

    def of(self, picture: Path, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the depth of a picture at its (height, width), px (DataError)."""
        file = self.files[picture]
        return as_large_as(self.read(file), size, file, picture)


class LabelledDepth(LabelledSource):
    """Images with depth and nothing else, split by split; a split may be empty."""

    fields = ("depth",)

    def __init__(
        self,
        root: Path,
        kind: str,
        images: Mapping[str, Sequence[Path]],
        depth: DepthFiles,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.root, self.kind, self.images, self.depth, self.warnings = root, kind, images, depth, warnings
        self.counts = {split: len(files) for split, files in images.items()}

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the data set."""
        return self.images[split][index].relative_to(self.root).as_posix()

    def original_size(self) -> tuple[int, int]:
        """Return the (height, width) of the first image whose header can be read."""
        files = self._pictures()[:_TRIED]
        for file in files[:-1]:
            with suppress(DataError):  # reading it will say what is wrong
                return image_size(file)
        return image_size(files[-1])

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode an image and its depth (DataError names the file that is wrong)."""
        file = self.images[split][index]
        image = read_image(file)
        full = (image.shape[0], image.shape[1])
        check_original(full, file)
        return LabelledImage(image, depth=self.depth.of(file, full))

    def unread(self) -> object:
        """Return names, lengths and times of the files."""
        return unread_files(self.root, self._files())

    def fingerprint(self) -> str:
        """Return a digest of splits, names and lengths of all files, and the content of some."""
        return digest_files(Digest().add(self.counts), self.root, self._files()).hex()

    def _pictures(self) -> list[Path]:
        return [file for files in self.images.values() for file in files]

    def _files(self) -> list[Path]:
        pictures = self._pictures()
        return [*pictures, *(self.depth.files[picture] for picture in pictures)]
