"""The original CamVid: 701 frames (``701_StillsRaw_full``), labels in 32 colours (``LabeledApproved_full``).

Splits are the usual 367/101/233: the frames 7959 to 8159 of sequence 0016E5 are val; Seq05VD and 0001TP from
frame 8550 on are test; all others are train.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.classes import ClassList, camvid_classes
from geopretrain.data.labelled.pairs import LabelledPairs, Pair
from geopretrain.data.labelled.palettes import CAMVID_32
from geopretrain.data.readers.base import files_with
from geopretrain.data.readers.images import IMAGE_SUFFIXES
from geopretrain.data.spec import one_of_these, place_of
from geopretrain.data.text_lists import read_lines
from geopretrain.errors import DataError
from geopretrain.wording import those

PICTURES = ("701_StillsRaw_full", "701_StillsRaw", "images")
LABELS = ("LabeledApproved_full", "LabeledApproved", "labels")
COLOURS = "label_colors.txt"
VOID = "Void"
GROUPS_11 = {
    "Sky": ("Sky",),
    "Building": ("Building", "Archway", "Bridge", "Tunnel", "Wall"),
    "Pole": ("Column_Pole", "TrafficCone"),
    "Road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "Pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "Tree": ("Tree", "VegetationMisc"),
    "SignSymbol": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "Fence": ("Fence",),
    "Car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "Pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "Bicyclist": ("Bicyclist", "MotorcycleScooter"),
}
"""What the 11 classes of the SegNet layout were made of."""


class CamVidStills(LabelledPairs):
    """The original frames; colours are brought to the classes, which may be groups of them."""

    def labels_of(self, path: Path) -> np.ndarray:
        """Decode a map of colours ``H W``, 255 = ignore (DataError)."""
        labels = super().labels_of(path)
        return labels if self._groups is None else self._groups[labels]

    _groups: np.ndarray | None = None

    def group(self, classes: ClassList, groups: np.ndarray) -> None:
        """Hand out classes that are groups: the number of each colour's group, 255 for none."""
        self.class_names, self.class_colours, self._groups = classes.names, classes.colours, groups
        self.class_ids = ()

    def _listed_classes(self) -> object:
        return [super()._listed_classes(), list(self.class_names)]


def has_stills(root: Path) -> bool:
    """Return whether there are pictures and labels of the original CamVid."""
    folders = _folders(root)
    return folders is not None and next(folders[1].glob("*_L.png"), None) is not None


def open_stills(spec: str) -> CamVidStills:
    """Read the 701 frames; ``PATH?classes=11`` groups the 32 colours into the classes of the SegNet layout.

    Raises:
        DataError: the list of colours cannot be read, or no frame has a label.
    """
    root, count = place_of(spec), one_of_these(spec, "classes", ("11", "32"))
    found = _folders(root)
    if found is None:
        raise DataError(f"{root} holds no {PICTURES[0]}/ with {LABELS[0]}/ beside it.")
    pictures, labels = found
    pairs: dict[str, list[Pair]] = {"train": [], "val": [], "test": []}
    missing = []
    for picture in sorted(files_with(pictures, IMAGE_SUFFIXES)):
        label = labels / f"{picture.stem}_L.png"
        if label.is_file():
            pairs[split_of(picture.stem)].append((picture, label))
        else:
            missing.append(picture.name)
    warnings = (
        (f"{those(len(missing), 'frame', 'has', 'have')} no label: left out, {missing[0]} for example",)
        if missing
        else ()
    )
    source = CamVidStills(root, "CamVid, original", _classes(root), pairs, warnings)
    if count == "11":
        source.group(camvid_classes(), _grouping(source.classes.names))
    return source


def split_of(stem: str) -> str:
    """Return the usual split of a frame by its name, such as ``0001TP_006690``."""
    sequence, _, frame = stem.partition("_")
    number = int(re.sub(r"\D", "", frame) or 0)
    if sequence == "Seq05VD" or (sequence == "0001TP" and number >= 8550):
        return "test"
    return "val" if sequence == "0016E5" and 7959 <= number <= 8159 else "train"


def _folders(root: Path) -> tuple[Path, Path] | None:
    pictures = next((root / name for name in PICTURES if (root / name).is_dir()), None)
    labels = next((root / name for name in LABELS if (root / name).is_dir()), None)
    return None if pictures is None or labels is None else (pictures, labels)


def _classes(root: Path) -> ClassList:
    """Return the classes with their colours: those of ``label_colors.txt``, else the 32 of the data set."""
    colours = _read_colours(root / COLOURS) if (root / COLOURS).is_file() else CAMVID_32
    kept = {name: colour for name, colour in colours.items() if name.lower() != VOID.lower()}
    ignored = tuple(colour for name, colour in colours.items() if name not in kept)
    ids = {number: number for number in range(len(kept))}
    return ClassList(tuple(kept), np.array(list(kept.values()), np.uint8), True, ids, ignored)


def _read_colours(path: Path) -> dict[str, tuple[int, int, int]]:
    """Read lines ``64 128 64<tab>Animal`` (DataError)."""
    found: dict[str, tuple[int, int, int]] = {}
    for number, text in read_lines(path, errors="replace"):
        parts = text.split()
        values = [int(part) for part in parts[:3] if part.isdecimal() and int(part) <= 255]
        if len(parts) < 4 or len(values) != 3:
            raise DataError(f"{path}, line {number}: '{text}' is not 'R G B name'.")
        found[" ".join(parts[3:])] = (values[0], values[1], values[2])
    return found


def _grouping(names: tuple[str, ...]) -> np.ndarray:
    """Return the number of the group of each class, 255 for none and for what is ignored."""
    groups = {name: number for number, group in enumerate(GROUPS_11.values()) for name in group}
    table = np.full(IGNORE + 1, IGNORE, np.uint8)
    for number, name in enumerate(names):
        table[number] = groups.get(name, IGNORE)
    return table
