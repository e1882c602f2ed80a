"""Times how many triplets a second one core delivers to the training step, from the store and from image
files.

    python benchmarks/loader.py --data ../shared/data/kitti_raw --official ../monodepth2

Ours is one indexed read of the memory-mapped store, flips and colour jitter for the whole batch. The baseline
in this file decodes each image, resizes it (Lanczos) and jitters it with torchvision. With --official the
data set class of an unchanged Monodepth2 checkout is timed as well; it also builds a pyramid of every image,
jittered and not, which the training step here does not use, and jitters exactly where ours uses one affine
colour map per sample: the ratio is that of a replacement, not of an identical function. All take turns in one
process with one thread; the page cache is warm.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import transforms
from torchvision.transforms import functional as tf

from geopretrain.data.augment.batches import augment_clip
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source

SETTINGS = ("640x192:12", "320x96:8")
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
FRAMES = (0, -1, 1)
RANGES = ((0.8, 1.2), (0.8, 1.2), (0.8, 1.2), (-0.1, 0.1))  # brightness, contrast, saturation, hue

Loader = Callable[[list[int]], Any]


def main() -> None:
    arguments = read_arguments()
    torch.set_num_threads(1)
    images = source_images(arguments.data, arguments.frames)
    for setting in arguments.settings:
        size, batch = parse_setting(setting)
        with tempfile.TemporaryDirectory() as folder:
            loaders = make_loaders(Path(folder), images, size, arguments)
            rates = take_turns(loaders, len(images), batch, arguments.rounds, arguments.seconds)
        report(setting, rates)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, help="video or image folder to take frames from; default: a texture"
    )
    parser.add_argument("--official", type=Path, help="checkout of Monodepth2")
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help="WIDTHxHEIGHT:BATCH")
    parser.add_argument("--formats", nargs="+", default=["jpg", "png"], choices=["jpg", "png"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="time per loader and round")
    return parser.parse_args()


def parse_setting(text: str) -> tuple[tuple[int, int], int]:
    size, batch = text.split(":")
    width, height = (int(side) for side in size.split("x"))
    return (height, width), int(batch)


def source_images(data: Path | None, count: int) -> list[np.ndarray]:
    """Return full-size frames: of the first clip of ``data``, or a sliding texture of KITTI's size."""
    if data is not None:
        frames = (frame.image for frame in open_source(data)[0].frames())
        return [image for _, image in zip(range(count), frames, strict=False) if image is not None]
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (48, 240, 3), dtype=np.uint8))
    wide = np.asarray(small.resize((1242 + 8 * count, 375), Image.Resampling.BICUBIC))
    return [wide[:, 8 * i : 8 * i + 1242] for i in range(count)]


def make_loaders(
    folder: Path, images: list[np.ndarray], size: tuple[int, int], arguments: argparse.Namespace
) -> dict[str, Loader]:
    """Write the images in KITTI's layout and return one function per way of loading them."""
    loaders: dict[str, Loader] = {"store": store_loader(folder, images, size)}
    for suffix in arguments.formats:
        root = folder / suffix
        files = write_files(root, images, suffix)
        loaders[f"files, {suffix}"] = lambda numbers, files=files: from_files(files, numbers, size)
        if arguments.official:
            lines = [f"{DRIVE} {i} l" for i in range(1, len(images) - 1)]
            dataset = official_dataset(arguments.official, root, lines, size, suffix)
            loaders[f"official, {suffix}"] = lambda numbers, d=dataset: official_batch(d, numbers)
    return loaders


def write_files(root: Path, images: list[np.ndarray], suffix: str) -> list[Path]:
    folder = root / DRIVE / "image_02" / "data"
    folder.mkdir(parents=True)
    files = [folder / f"{i:010d}.{suffix}" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file, quality=92)
    return files


def store_loader(folder: Path, images: list[np.ndarray], size: tuple[int, int]) -> Loader:
    write_files(folder / "for_store", images, "png")
    frames = folder / "for_store" / DRIVE / "image_02" / "data"
    store = prepare(frames, folder / "store", size=size, min_motion=0.0, progress=False)
    return lambda numbers: augment_clip(store.read([n % len(store) for n in numbers]))


def from_files(
    files: list[Path], numbers: list[int], size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The straightforward way: decode, flip, resize and jitter every image on its own."""
    plain, jittered = [], []
    for number in numbers:
        jitter, flip = old_jitter() if random.random() < 0.5 else None, random.random() < 0.5
        for offset in FRAMES:
            with Image.open(files[min(max(number + offset, 0), len(files) - 1)]) as picture:
                image = picture.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)
            image = tf.hflip(image) if flip else image
            plain.append(tf.to_tensor(image))
            jittered.append(tf.to_tensor(jitter(image)) if jitter else plain[-1])
    shape = (len(numbers), len(FRAMES), 3, *size)
    return torch.stack(plain).view(shape), torch.stack(jittered).view(shape)


def old_jitter(*_: Any) -> Callable[[Any], Any]:
    """What ``ColorJitter.get_params`` used to return: one jitter with fixed factors in a random order."""
    adjust = (tf.adjust_brightness, tf.adjust_contrast, tf.adjust_saturation, tf.adjust_hue)
    steps = [(f, random.uniform(*limits)) for f, limits in zip(adjust, RANGES, strict=True)]
    random.shuffle(steps)

    def apply(image: Any) -> Any:
        for function, factor in steps:
            image = function(image, factor)
        return image

    return apply


def official_dataset(checkout: Path, root: Path, lines: list[str], size: tuple[int, int], suffix: str) -> Any:
    """Return the released data set class, with what current libraries lack put in its place.

    Args:
        checkout: folder of the released code.
        root: folder in KITTI's layout.
        lines: its samples, ``date/drive frame side``.
        size: (height, width).
        suffix: of the image files, without the dot.
    """
    if not (checkout / "datasets" / "kitti_dataset.py").is_file():
        raise SystemExit(f"{checkout} is no checkout of Monodepth2 (no datasets/kitti_dataset.py).")
    absent = {name: types.ModuleType(name) for name in ("skimage", "skimage.transform")}
    absent["skimage"].transform = absent["skimage.transform"]  # type: ignore[attr-defined]
    if not hasattr(Image, "ANTIALIAS"):
        Image.ANTIALIAS = transforms.InterpolationMode.LANCZOS  # type: ignore[attr-defined]
    transforms.ColorJitter.get_params = staticmethod(old_jitter)  # type: ignore[assignment,method-assign]
    sys.path.insert(0, str(checkout))
    try:
        with mock.patch.dict(sys.modules, absent), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("datasets.kitti_dataset")
    finally:
        sys.path.remove(str(checkout))
    dataset = module.KITTIRAWDataset(root, lines, *size, list(FRAMES), 4, is_train=True, img_ext=f".{suffix}")
    dataset.load_depth = False  # read for its logs only; it would make it slower
    return dataset


def official_batch(dataset: Any, numbers: list[int]) -> Any:
    return default_collate([dataset[n % len(dataset)] for n in numbers])


def take_turns(
    loaders: dict[str, Loader], count: int, batch: int, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Return triplets per second of each loader in each round."""
    rng = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for turn in range(rounds + 1):
        for name, load in loaders.items():
            done, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                load(rng.integers(1, count - 1, batch).tolist())
                done += batch
            if turn:  # the first round warms up
                rates[name].append(done / elapsed)
    return rates


def report(setting: str, rates: dict[str, list[float]]) -> None:
    ours = rates["store"]
    print(f"\n{setting}, one thread, median of {len(ours)} rounds")
    print(f"{'':18}{'triplets/s':>12}{'images/s':>12}{'store is':>12}{'per round':>16}")
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        middle = statistics.median(values)
        spread = f"{min(ratios):.1f}-{max(ratios):.1f}" if name != "store" else ""
        faster = f"{statistics.median(ratios):.1f}x" if name != "store" else ""
        print(f"{name:18}{middle:12.1f}{3 * middle:12.1f}{faster:>12}{spread:>16}")


if __name__ == "__main__":
    main()
