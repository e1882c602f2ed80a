"""The first reading of labelled images beside decoding and resizing alone: python benchmarks/labelled.py DATA
--images FOLDER --labels FOLDER [--size HxW]

The cache is filled in an empty folder, then read again as epochs do. Decoding alone is OpenCV's, of the same
files: the picture by area averages, the label map by the nearest pixel. Processor time is what counts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from geopretrain.console import console
from geopretrain.data.cache import VARIABLE
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.schema import parse_size

BATCH = 16


def decode_and_resize(files: Sequence[tuple[Path, Path]], size: tuple[int, int]) -> None:
    for image, labels in files:
        picture = cv2.cvtColor(cv2.imread(str(image), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        classes = cv2.imread(str(labels), cv2.IMREAD_UNCHANGED)
        cv2.resize(classes, size[::-1], interpolation=cv2.INTER_NEAREST)


def processor_time(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def measure(images: Path, labels: Path, data: str, size: tuple[int, int] | None) -> None:
    dataset = LabelledSet.open(data, size)
    everything = np.arange(len(dataset))
    by_stem = {path.stem: path for path in sorted(labels.iterdir())}
    files = [(path, by_stem[path.stem]) for path in sorted(images.iterdir()) if path.stem in by_stem]
    decode_and_resize(files[:BATCH], dataset.size)
    alone = processor_time(lambda: decode_and_resize(files, dataset.size)) / len(files)
    filling = processor_time(lambda: dataset.check(everything)) / len(dataset)
    batches = np.array_split(everything, -(-len(everything) // BATCH))
    reading = processor_time(lambda: [dataset.read(batch) for batch in batches])
    megabytes = sum(file.stat().st_size for file in Path(os.environ[VARIABLE]).rglob("rows.u8")) / 1e6
    print(
        f"{data}: {len(dataset)} images at {dataset.size[0]}x{dataset.size[1]}, {megabytes:.0f} MB. "
        f"An image: decoding alone {1e3 * alone:.2f} ms, filling {1e3 * filling:.2f} ms "
        f"({filling / alone:.2f} times), reading {1e3 * reading / len(dataset):.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--labels", type=Path, required=True, help="folder of label maps of the same names")
    parser.add_argument("--size")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, console.showing(False):
        os.environ[VARIABLE] = folder
        measure(options.images, options.labels, options.data, parse_size(options.size))


if __name__ == "__main__":
    main()
