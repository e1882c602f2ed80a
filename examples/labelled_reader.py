"""A reader for labelled images in a layout of one's own: one class, and one row in the table of layouts.

The layout: a text file for each image, which holds the width of its left stripe in px; both stripes are drawn
and labelled. Then every command that takes labelled images takes these:

    python examples/labelled_reader.py finetune segmentation --data toy:FOLDER --out runs/stripes --steps 20
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from geopretrain import cli
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.detect import LAYOUTS, LabelledLayout


class ToyStripes(LabelledSource):
    """Stripes ``left`` and ``right``; the last two files are for testing, the two before for validation."""

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
        """Return the name of the file."""
        return self._file(split, index).name

    def original_size(self) -> tuple[int, int]:
        """Return (height, width) px."""
        return (64, 96)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Draw the stripes."""
        labels = np.broadcast_to(np.arange(96) >= int(self._file(split, index).read_text()), (64, 96))
        image = np.repeat((200 * labels[..., None]).astype(np.uint8), 3, axis=2)
        return LabelledImage(image, labels.astype(np.uint8))

    def unread(self) -> object:
        """Return what tells, without reading the files, whether they have changed."""
        return unread_files(self.root, self.files)

    def fingerprint(self) -> str:
        """Return 16 digits for the content."""
        return digest_files(Digest(), self.root, self.files).hex()


TOY = LabelledLayout("toy stripes", "toy:FOLDER", lambda spec: spec.startswith("toy:"), ToyStripes)
"""In the project: a row of the table in data/labelled/detect.py."""


def write_stripes(folder: Path, count: int = 12) -> str:
    """Write a set of ``count`` images and return what ``--data`` calls it."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:02d}.txt").write_text(str(20 + 5 * number))
    return f"toy:{folder}"


LAYOUTS.append(TOY)  # when this module is imported, so that the processes of `compare` know it, too

if __name__ == "__main__":
    sys.exit(cli.main(sys.argv[1:]))
