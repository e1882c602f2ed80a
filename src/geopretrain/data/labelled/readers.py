"""Where labelled images come from: folders in the common layouts, and synthetic worlds."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.classes import ClassList, camvid_classes, read_classes, read_labels
from geopretrain.data.readers.images import IMAGE_SUFFIXES, image_size, read_image
from geopretrain.errors import ConfigError, DataError, nearest_name

SPLITS = ("train", "val", "test")
MIN_SIDE = 64
FINGERPRINTED = 64
"""Pairs whose content goes into the fingerprint, evenly spread; of all others names and lengths."""
_LABEL_FOLDERS = ("labels", "masks", "annotations")
Pair = tuple[Path, Path]


class LabelledSource:
    """Base of all sources: named splits of image and label at native size."""

    kind: str
    notes: list[str]
    class_names: tuple[str, ...]
    class_colours: NDArray[np.uint8]

    def length(self, split: str) -> int:
        """Return the number of images in a split."""
        raise NotImplementedError

    def name(self, split: str, index: int) -> str:
        """Return a name that identifies the image within the data set."""
        raise NotImplementedError

    def native_size(self) -> tuple[int, int]:
        """Return (h, w) of the first training image."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits for the content, not the place."""
        raise NotImplementedError

    def read(
        self, split: str, index: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image ``H W 3`` and class numbers ``H W``; ``size`` is a wish that only renderers fulfil."""
        raise NotImplementedError


def open_labelled_source(spec: str) -> LabelledSource:
    """Recognise a labelled data set (DataError says what was expected)."""
    if spec.startswith("synthetic:"):
        return SyntheticLabels(spec)
    root = Path(spec).expanduser()
    if not root.is_dir():
        raise DataError(f"The labelled data set {root} is not a folder.")
    if all((root / f"{split}.txt").is_file() for split in SPLITS):
        return FolderLabels(root, *_listed(root))
    return FolderLabels(root, *_foldered(root))


class FolderLabels(LabelledSource):
    """Image files and label files paired by list or by name."""

    def __init__(
        self, root: Path, kind: str, classes: ClassList, pairs: dict[str, list[Pair]], notes: list[str]
    ) -> None:
        """Keep the pairs; nothing is decoded yet."""
        self.root, self.kind, self.classes, self.pairs, self.notes = root, kind, classes, pairs, notes
        self.class_names, self.class_colours = classes.names, classes.colours
        for split in SPLITS:
            if not pairs[split]:
                raise DataError(f"The split '{split}' of {root} holds no labelled image.")

    def length(self, split: str) -> int:
        """Return the number of images in a split."""
        return len(self.pairs[split])

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the data set."""
        return self.pairs[split][index][0].relative_to(self.root).as_posix()

    def native_size(self) -> tuple[int, int]:
        """Return (h, w) of the first training image."""
        return image_size(self.pairs["train"][0][0])

    def fingerprint(self) -> str:
        """Return a digest of class list, names and lengths of all files, and the content of some."""
        digest = Digest().add([list(self.classes.names), sorted(self.classes.ids.items())])
        pairs = [(split, *pair) for split in SPLITS for pair in self.pairs[split]]
        for split, image, label in pairs:
            names = [file.relative_to(self.root).as_posix() for file in (image, label)]
            digest.add([split, names, image.stat().st_size, label.stat().st_size])
        for number in np.unique(np.linspace(0, len(pairs) - 1, FINGERPRINTED).astype(int)):
            digest.add_file(pairs[number][1]).add_file(pairs[number][2])
        return digest.hex()

    def read(
        self, split: str, index: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Decode one pair (DataError names the file that is wrong)."""
        image_path, label_path = self.pairs[split][index]
        image, labels = read_image(image_path), read_labels(label_path, self.classes)
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"The label {label_path} is {labels.shape[1]}x{labels.shape[0]} (w x h), but its image "
                f"{image_path.name} is {image.shape[1]}x{image.shape[0]}; they must have the same size."
            )
        if min(image.shape[:2]) < MIN_SIDE:
            raise DataError(
                f"{image_path} is {image.shape[1]}x{image.shape[0]}; the least is {MIN_SIDE} pixels a side."
            )
        return image, labels


def _listed(root: Path) -> tuple[str, ClassList, dict[str, list[Pair]], list[str]]:
    """Read ``train.txt``, ``val.txt``, ``test.txt`` with ``image label`` lines (SegNet layout)."""
    own_classes = (root / "classes.txt").is_file()
    classes = read_classes(root / "classes.txt") if own_classes else camvid_classes()
    pairs: dict[str, list[Pair]] = {}
    for split in SPLITS:
        listing = root / f"{split}.txt"
        pairs[split] = []
        for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
            parts = line.split()
            if parts and len(parts) != 2:
                raise DataError(f"{listing}, line {number}: expected 'image label', got '{line}'.")
            if parts:
                pairs[split].append((_resolve(root, parts[0], listing), _resolve(root, parts[1], listing)))
    return "listed folder" if own_classes else "CamVid", classes, pairs, []


def _resolve(root: Path, text: str, listing: Path) -> Path:
    """Find a listed file; lists as released start with a foreign root, so the last two parts also do."""
    relative = Path(text.lstrip("/"))
    for candidate in (root / relative, root.joinpath(*relative.parts[-2:])):
        if candidate.is_file():
            return candidate
    raise DataError(f"{listing} names {text}, which does not exist under {root}.")


def _foldered(root: Path) -> tuple[str, ClassList, dict[str, list[Pair]], list[str]]:
    """Read ``images/`` + ``labels/``, flat or with split folders on either level."""
    classes = read_classes(root / "classes.txt") if (root / "classes.txt").exists() else None
    found: dict[str, list[Pair]] = {}
    labels = next((name for name in _LABEL_FOLDERS if (root / name).is_dir()), None)
    if (root / "images").is_dir() and labels is not None:
        folders = {split: _split_folder(root / "images", split) for split in SPLITS}
        for split, folder in folders.items():
            if folder is not None:
                found[split] = _paired(folder, root / labels / folder.name)
        if not found:
            found["all"] = _paired(root / "images", root / labels)
    else:
        for split in SPLITS:
            outer = _split_folder(root, split)
            inner = next((n for n in _LABEL_FOLDERS if outer is not None and (outer / n).is_dir()), None)
            if outer is not None and inner is not None and (outer / "images").is_dir():
                found[split] = _paired(outer / "images", outer / inner)
    if not found:
        raise DataError(
            f"{root} is no known labelled data set. Expected: train.txt, val.txt, test.txt (CamVid), or "
            "images/ and labels/ (also under train/, val/, test/) with classes.txt."
        )
    if classes is None:
        raise DataError(f"{root / 'classes.txt'} is missing. It must list the classes, one name per line.")
    pairs, notes = _with_all_splits(found, root)
    return "folder", classes, pairs, notes


def _split_folder(parent: Path, split: str) -> Path | None:
    """Return ``parent/train`` and the like; years behind the name (train2017) are allowed."""
    if (parent / split).is_dir():
        return parent / split
    return next((p for p in sorted(parent.glob(f"{split}[0-9i]*")) if p.is_dir()), None)


def _paired(images: Path, labels: Path) -> list[Pair]:
    if not labels.is_dir():
        raise DataError(f"{images} has no folder of labels beside it: {labels} does not exist.")
    by_stem = {p.stem: p for p in sorted(labels.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES | {".gif"}}
    pictures = [p for p in sorted(images.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES]
    missing = [p for p in pictures if p.stem not in by_stem]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(pictures)} images in {images} have no label there ({labels}), "
            f"{missing[0].name} for example. Label them or take them out."
        )
    return [(p, by_stem[p.stem]) for p in pictures]


def _with_all_splits(found: dict[str, list[Pair]], root: Path) -> tuple[dict[str, list[Pair]], list[str]]:
    """Make the splits that are absent, always in the same way, and say so."""
    if "test" in found and "train" in found and "val" in found:
        return found, []
    if "train" in found and ("test" in found or "val" in found):
        train, val = _carve(found["train"], 0.1, root)
        test = found.get("test") or found["val"]
        which = "test" if "test" in found else "val, used as test"
        return {"train": train, "val": val, "test": test}, [
            f"val is a fixed tenth of train; {which} as on disk"
        ]
    pairs = [pair for split in found.values() for pair in split]
    rest, test = _carve(pairs, 0.2, root)
    train, val = _carve(rest, 0.125, root)
    return {"train": train, "val": val, "test": test}, ["fixed random split 70/10/20, as the folder has none"]


def _carve(pairs: list[Pair], share: float, root: Path) -> tuple[list[Pair], list[Pair]]:
    if len(pairs) < 2:
        raise DataError(
            f"{root} holds too few labelled images to make splits for training, validation and test."
        )
    order = np.random.default_rng(0).permutation(len(pairs))
    taken = set(order[: max(1, round(share * len(pairs)))].tolist())
    rest = [pair for position, pair in enumerate(pairs) if position not in taken]
    return rest, [pairs[position] for position in sorted(taken)]


class SyntheticLabels(LabelledSource):
    """Frames of procedural worlds; train, val and test are different worlds.

    ``synthetic:street?train=64&val=24&test=48&seed=0``. Frames lie ``SPACING`` apart, ``PER_WORLD`` from
    each world.
    """

    PER_WORLD = 8
    SPACING = 12

    def __init__(self, spec: str) -> None:
        """Parse the specification (ConfigError for an unknown option or a value that is no number)."""
        kind, _, query = spec.removeprefix("synthetic:").partition("?")
        options: dict[str, int] = {"train": 64, "val": 24, "test": 48, "seed": 0}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in options:
                raise ConfigError(f"'{spec}': unknown option '{name}'.{nearest_name(name, options)}")
            if not value.isdigit() or (name != "seed" and int(value) < 1):
                raise ConfigError(f"'{spec}': {name} must be a positive whole number, not '{value}'.")
            options[name] = int(value)
        self.kind, self.world_kind, self.notes = (
            f"synthetic {kind}",
            kind,
            ["each split from worlds of its own"],
        )
        self.counts, self.seed = {split: options[split] for split in SPLITS}, options["seed"]
        world = _world(kind, self._place("train", 0)[0], self.SPACING * self.PER_WORLD, self.native_size())
        self.class_names = tuple(world.class_names)
        self.class_colours = np.asarray(world.class_colours, dtype=np.uint8)

    def length(self, split: str) -> int:
        """Return the number of images in a split."""
        return self.counts[split]

    def name(self, split: str, index: int) -> str:
        """Return world and frame."""
        seed, frame = self._place(split, index)
        return f"{self.world_kind}-world{seed}-frame{frame}"

    def native_size(self) -> tuple[int, int]:
        """Return the size worlds are rendered at unless another is wanted."""
        return (96, 320)

    def fingerprint(self) -> str:
        """Return a digest of the worlds; their pictures follow from it."""
        return Digest().add([self.world_kind, self.counts, self.seed]).hex()

    def read(
        self, split: str, index: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Render one frame at ``size``."""
        seed, frame = self._place(split, index)
        return _render(self.world_kind, seed, self.SPACING * self.PER_WORLD, frame, size)

    def _place(self, split: str, index: int) -> tuple[int, int]:
        # Far from the small seeds people give to pre-training worlds, and a range of its own for each split.
        first = 10_000 * (self.seed + 1) + 3_000 * SPLITS.index(split)
        world, position = divmod(index, self.PER_WORLD)
        return first + world, position * self.SPACING


@lru_cache(maxsize=16)
def _world(kind: str, seed: int, frames: int, size: tuple[int, int]) -> Any:
    from geopretrain.synthetic import make_world

    return make_world(kind, seed, frames, size=size)


@lru_cache(maxsize=1024)
def _render(
    kind: str, seed: int, frames: int, frame: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render once per process: the cells of a comparison share the pictures."""
    rendered = _world(kind, seed, frames, size).frame(frame)
    return np.asarray(rendered.image), np.asarray(rendered.semantic).astype(np.uint8)
