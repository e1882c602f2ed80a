"""A labelled reader of one's own: stripes of two classes, one text file per image (``toy:FOLDER``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.detect import LabelledLayout


class ToyStripes(LabelledSource):
    """``NN.txt`` holds the width of the left stripe, px."""

    kind = "toy stripes"
    class_names = ("left", "right")
    class_colours = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)

    def __init__(self, spec: str) -> None:
        self.root = Path(spec.removeprefix("toy:"))
        self.files = sorted(self.root.glob("*.txt"))
        self.counts = {"train": len(self.files) - 4, "val": 2, "test": 2}

    def _file(self, split: str, index: int) -> Path:
        return self.files[index + {"train": 0, "val": self.counts["train"], "test": -2}[split]]

    def name(self, split: str, index: int) -> str:
        return self._file(split, index).name

    def original_size(self) -> tuple[int, int]:
        return (64, 96)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        labels = np.broadcast_to(np.arange(96) >= int(self._file(split, index).read_text()), (64, 96))
        image = np.repeat((200 * labels[..., None]).astype(np.uint8), 3, axis=2)
        return LabelledImage(image, labels.astype(np.uint8))

    def unread(self) -> object:
        return unread_files(self.root, self.files)

    def fingerprint(self) -> str:
        return digest_files(Digest(), self.root, self.files).hex()


TOY = LabelledLayout("toy stripes", "toy:FOLDER", lambda spec: spec.startswith("toy:"), ToyStripes)


def write_stripes(folder: Path, count: int = 12) -> str:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:02d}.txt").write_text(str(20 + 5 * number))
    return f"toy:{folder}"
