"""Image files with a class map each, and the two layouts they come in: lists, and folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import SPLITS, LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.classes import ClassList, camvid_classes, read_classes, read_labels
from geopretrain.data.readers.images import IMAGE_SUFFIXES, image_size, read_image
from geopretrain.data.sizes import check_original
from geopretrain.errors import DataError

_LABEL_FOLDERS = ("labels", "masks", "annotations")
Pair = tuple[Path, Path]


class LabelledPairs(LabelledSource):
    """Images and class maps of the same size, split by split."""

    def __init__(
        self,
        root: Path,
        kind: str,
        classes: ClassList,
        pairs: dict[str, list[Pair]],
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Keep the pairs; raises DataError for an empty split."""
        self.root, self.kind, self.classes, self.pairs, self.warnings = root, kind, classes, pairs, warnings
        self.class_names, self.class_colours = classes.names, classes.colours
        self.counts = {split: len(pairs[split]) for split in SPLITS}
        for split, count in self.counts.items():
            if not count:
                raise DataError(f"The split '{split}' of {root} holds no labelled image.")

    def name(self, split: str, index: int) -> str:
        """Return the path of the image relative to the data set."""
        return self.pairs[split][index][0].relative_to(self.root).as_posix()

    def original_size(self) -> tuple[int, int]:
        """Return the (height, width) of the first training image."""
        return image_size(self.pairs["train"][0][0])

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Decode one pair (DataError names the file that is wrong)."""
        image_path, label_path = self.pairs[split][index]
        image, labels = read_image(image_path), read_labels(label_path, self.classes)
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"The label {label_path} is {labels.shape[1]}x{labels.shape[0]} (w x h), but its image "
                f"{image_path.name} is {image.shape[1]}x{image.shape[0]}; they must have the same size."
            )
        check_original(labels.shape, image_path)
        return LabelledImage(image, labels)

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
        return [file for split in SPLITS for pair in self.pairs[split] for file in pair]


# ---------------------------------------------------------------- lists (SegNet's layout)


def has_lists(root: Path) -> bool:
    """Return whether ``train.txt``, ``val.txt`` and ``test.txt`` are there."""
    return all((root / f"{split}.txt").is_file() for split in SPLITS)


def open_lists(root: Path) -> LabelledPairs:
    """Read ``train.txt``, ``val.txt``, ``test.txt`` with ``image label`` lines; CamVid without classes.txt.

    Raises:
        DataError: a line, a file or the class list cannot be used.
    """
    own_classes = (root / "classes.txt").is_file()
    classes = read_classes(root / "classes.txt") if own_classes else camvid_classes()
    pairs = {split: _read_list(root, root / f"{split}.txt") for split in SPLITS}
    return LabelledPairs(root, "listed folder" if own_classes else "CamVid", classes, pairs)


def _read_list(root: Path, listing: Path) -> list[Pair]:
    pairs = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if parts and len(parts) != 2:
            raise DataError(f"{listing}, line {number}: expected 'image label', got '{line}'.")
        if parts:
            pairs.append((_resolve(root, parts[0], listing), _resolve(root, parts[1], listing)))
    return pairs


def _resolve(root: Path, text: str, listing: Path) -> Path:
    """Find a listed file; lists as released start with a foreign root, so the last two parts also do."""
    relative = Path(text.lstrip("/"))
    for candidate in (root / relative, root.joinpath(*relative.parts[-2:])):
        if candidate.is_file():
            return candidate
    raise DataError(f"{listing} names {text}, which does not exist under {root}.")


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
    has_classes = (root / "classes.txt").exists()
    classes = read_classes(root / "classes.txt") if has_classes else None
    found = _found_pairs(root)
    if classes is None:
        raise DataError(f"{root / 'classes.txt'} is missing. It must list the classes, one name per line.")
    pairs, warnings = _with_all_splits(found, root)
    return LabelledPairs(root, "folder", classes, pairs, warnings)


def _found_pairs(root: Path) -> dict[str, list[Pair]]:
    """Return the pairs of each split on disk; of ``all`` where there are no splits."""
    labels = _label_folder(root)
    if not (root / "images").is_dir() or labels is None:
        inside = {split: _inside_split(root, split) for split in SPLITS}
        return {split: _paired(*folders) for split, folders in inside.items() if folders is not None}
    folders = {split: split_folder(root / "images", split) for split in SPLITS}
    found = {split: _paired(f, labels / f.name) for split, f in folders.items() if f is not None}
    return found or {"all": _paired(root / "images", labels)}


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


def _with_all_splits(
    found: dict[str, list[Pair]], root: Path
) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
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


def _carve(pairs: list[Pair], fraction: float, root: Path) -> tuple[list[Pair], list[Pair]]:
    if len(pairs) < 2:
        raise DataError(
            f"{root} holds too few labelled images to make splits for training, validation and test."
        )
    order = np.random.default_rng(0).permutation(len(pairs))
    taken = set(order[: max(1, round(fraction * len(pairs)))].tolist())
    rest = [pair for position, pair in enumerate(pairs) if position not in taken]
    return rest, [pairs[position] for position in sorted(taken)]
