"""The images that networks are looked into with: whatever holds images, evenly from all of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopretrain.data.batches import as_float
from geopretrain.data.dataset import IMAGES
from geopretrain.data.labelled.detect import is_labelled
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.labelled.synthetic import names_split
from geopretrain.data.opening import open_dataset
from geopretrain.data.prepare.resolve import is_store
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError
from geopretrain.wording import counted

if TYPE_CHECKING:
    from geopretrain.data.store.frame_store import FrameStore

ALL = "all"


def open_images(data: str | os.PathLike[str], size: tuple[int, int] | None) -> FrameStore | LabelledSet:
    """Open a store, labelled images, ``images:FOLDER`` or a video for its images alone.

    Synthetic worlds are labelled images where the number of images of a split is given.

    Args:
        data: what the user named.
        size: (height, width) px to read them at; None: that of the store, or what is usual.

    Raises:
        DataError: nothing usable is there.
        ConfigError: a store of another size.
    """
    spec = os.fspath(data)
    if (is_labelled(spec) or names_split(spec)) and not is_store(spec):
        return LabelledSet.open(spec, size=size, names=())
    return open_dataset(spec, IMAGES, size=size)


def spread_images(
    data: FrameStore | LabelledSet, split: str, count: int, least: int = 1
) -> NDArray[np.int64]:
    """Return positions of at most ``count`` images, evenly spread.

    Args:
        data: that holds them.
        split: ``train``, ``val``, ``test`` or ``all``.
        count: at most.
        least: number that is needed.

    Raises:
        DataError: there are fewer than needed.
    """
    splits = data.splits(IMAGES)
    names = list(splits) if split == ALL else [split]
    parts = [np.asarray(splits[name], np.int64) for name in names if name in splits]
    there = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    if len(there) < least:
        listed = ", ".join(f"{name} {len(part)}" for name, part in splits.items())
        raise DataError(
            f"{data.path} has {counted(len(there), 'image')} in '{split}', and at least {least} are needed. "
            f"There are: {listed}."
        )
    return there[spread_positions(len(there), count)]


def pixels(data: FrameStore | LabelledSet, positions: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return images ``B 3 H W`` in [0, 1] on a device."""
    if isinstance(data, LabelledSet):
        data.check(positions, IMAGES)
    images = data.read(positions, IMAGES).images
    return as_float(images[:, 0] if images.ndim == 5 else images).to(device)
