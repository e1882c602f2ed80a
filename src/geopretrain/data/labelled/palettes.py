"""Colours that data sets draw their classes in, by the names of these."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Palette = dict[str, Colour]

CAMVID_11: Palette = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
CAMVID_32: Palette = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}
VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)


def voc_palette(count: int) -> np.ndarray:
    """Return the colours of the first ids, ``K 3`` uint8: bits 0, 1, 2 are the top bits of R, G, B."""
    ids = np.arange(count)
    colours = np.zeros((count, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            colours[:, channel] |= ((ids >> (3 * level + channel)) & 1).astype(np.uint8) << (7 - level)
    return colours


def cityscapes_palette() -> Palette:
    """Return the colours of the 19 classes that are learned, and of the others under their own names."""
    from torchvision.datasets import Cityscapes

    learned_last = sorted(Cityscapes.classes, key=lambda one: not one.ignore_in_eval)
    return {one.name: one.color for one in learned_last}


@lru_cache
def palettes() -> dict[str, Palette]:
    """Return the palettes by the names of their data sets, names of classes in small letters."""
    voc = zip(VOC_NAMES, voc_palette(len(VOC_NAMES)).tolist(), strict=True)
    found: dict[str, Palette] = {
        "CamVid": CAMVID_32 | CAMVID_11,
        "PASCAL VOC": {name: (r, g, b) for name, (r, g, b) in voc},
        "Cityscapes": cityscapes_palette(),
    }
    return {title: {name.lower(): one for name, one in each.items()} for title, each in found.items()}


def known_colours(names: Sequence[str], present: Collection[Colour]) -> tuple[str, NDArray[np.uint8]] | None:
    """Return the data set that has classes of all the names and draws in the colours that are present.

    Returns:
        Its name, and the colours ``K 3`` of the classes; None where there is none.
    """
    for title, palette in palettes().items():
        colours = [palette[name.lower()] for name in names if name.lower() in palette]
        if len(set(colours)) == len(names) and set(present) <= {*palette.values()}:
            return title, np.array(colours, np.uint8)
    return None
