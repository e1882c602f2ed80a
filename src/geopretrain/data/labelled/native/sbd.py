"""SBD, the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011): class maps of 11 355 pictures of VOC.

``benchmark_RELEASE/dataset`` with ``img/*.jpg``, ``cls/*.mat`` (MATLAB 5: ``GTcls.Segmentation``, ids of
VOC), ``train.txt`` (8498) and ``val.txt`` (2857). Some of these pictures are in VOC's val list, so that
whoever is scored there learns from ``voc2012?train=aug``, which leaves them out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.classes import ClassList
from geopretrain.data.labelled.pairs import LabelledPairs, Pair, with_all_splits
from geopretrain.data.labelled.palettes import VOC_NAMES as NAMES
from geopretrain.data.labelled.palettes import voc_palette
from geopretrain.data.readers.mat import AGAIN, read_mat
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError

MAPS, PICTURES = "cls", "img"
FOLDERS = (
    *("", "dataset", "benchmark_RELEASE/dataset", "benchmark/benchmark_RELEASE/dataset"),
    *("sbd", "sbd/dataset", "sbd/benchmark_RELEASE/dataset"),
    *("SBD", "SBD/dataset", "SBD/benchmark_RELEASE/dataset"),
)
"""Where SBD may lie, seen from a folder that the user named or that holds VOC."""


def sbd_folder(root: Path) -> Path | None:
    """Return the folder of SBD's ``cls/*.mat`` at or below a place, None without it."""
    places = (root / name for name in FOLDERS)
    return next((one for one in places if next((one / MAPS).glob("*.mat"), None) is not None), None)


def open_sbd(root: Path) -> SbdMaps:
    """Read SBD by its own lists.

    Raises:
        DataError: a list or a file that it names is not there.
    """
    folder = sbd_folder(root)
    if folder is None:
        raise DataError(f"{root} holds no {MAPS}/*.mat of SBD.")
    found = {split: pairs for split in ("train", "val") if (pairs := _listed(folder, split))}
    if not found:
        raise DataError(f"{folder} holds no train.txt and val.txt that name pictures.")
    splits, said = with_all_splits(found, folder)
    return SbdMaps(folder, "SBD", voc_classes(), splits, said)


class SbdMaps(LabelledPairs):
    """Pictures with class maps as PNG or in SBD's files of MATLAB."""

    def labels_of(self, path: Path) -> NDArray[np.uint8]:
        """Decode a class map ``H W``, 255 = ignore (DataError)."""
        return read_map(path) if path.suffix == ".mat" else super().labels_of(path)

    def unnamed(self, split: str, index: int) -> set[str]:
        """Return what is ignored although no line of the list says so: nothing in SBD's files."""
        return set() if self.pairs[split][index][1].suffix == ".mat" else super().unnamed(split, index)


def voc_classes() -> ClassList:
    """Return VOC's 21 classes; labels of colours are read, too."""
    ids = {number: number for number in range(len(NAMES))}
    return ClassList(NAMES, voc_palette(len(NAMES)), True, ids, (BORDER,))


BORDER = (224, 224, 192)
"""Colour of the border around objects, 255 in the palette: of no class."""


def read_map(file: Path) -> NDArray[np.uint8]:
    """Return the class map of a file of SBD, ``H W``, 0 to 20 and 255 = ignore (DataError)."""
    content = read_mat(file).get("GTcls")
    values = np.asarray(content.get("Segmentation")) if isinstance(content, dict) else np.zeros(0)
    if values.ndim != 2 or values.dtype.kind not in "ui":
        raise DataError(f"{file} holds no GTcls.Segmentation of whole numbers, H W. {AGAIN}")
    if odd := sorted(set(np.unique(values).tolist()) - {*range(len(NAMES)), IGNORE}):
        raise DataError(f"{file}: the class {odd[0]} is none of VOC's, 0 to {len(NAMES) - 1}. {AGAIN}")
    return values.astype(np.uint8)


def augmented(folder: Path, sbd: Path, own: list[Pair], val: list[Pair]) -> list[Pair]:
    """Return the pictures of SBD and of VOC's train list that are not in VOC's val list: 10 582 of all.

    Args:
        folder: pictures of VOC.
        sbd: folder of SBD.
        own: VOC's pairs for training, whose maps are preferred.
        val: VOC's pairs for validation.

    Raises:
        DataError: a picture or a map is not there.
    """
    taken = {image.stem: (image, label) for image, label in own}
    scored = {image.stem for image, _ in val}
    for stem in [stem for split in ("train", "val") for stem in _stems(sbd, split)]:
        if stem not in scored:
            beside, of_sbd = folder / f"{stem}.jpg", sbd / PICTURES / f"{stem}.jpg"
            image = beside if beside.is_file() or not of_sbd.is_file() else of_sbd
            taken.setdefault(stem, (image, sbd / MAPS / f"{stem}.mat"))
    pairs = [taken[stem] for stem in sorted(taken)]
    _refuse_missing(sbd, pairs)
    return pairs


def _listed(folder: Path, split: str) -> list[Pair]:
    pairs = [
        (folder / PICTURES / f"{stem}.jpg", folder / MAPS / f"{stem}.mat") for stem in _stems(folder, split)
    ]
    _refuse_missing(folder, pairs)
    return pairs


def _stems(folder: Path, split: str) -> list[str]:
    listing = folder / f"{split}.txt"
    return [Path(line.text.split()[0]).stem for line in read_lines(listing)] if listing.is_file() else []


def _refuse_missing(folder: Path, pairs: list[Pair]) -> None:
    if missing := [file for pair in pairs for file in pair if not file.is_file()]:
        raise DataError(
            f"The lists of {folder} name {len(pairs)} pictures, but {missing[0]} and {len(missing) - 1} "
            "other files are not there. Unpack benchmark.tgz again."
        )
