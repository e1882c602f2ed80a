"""Which labelled images are looked at, and parts of them that know nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.dataset import Fields
from geopretrain.data.file_names import sequences_of
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.store.frame_store import FrameStore

LEAST = 4
"""Parts that images are divided into, where there are so many images."""


def train_rows(data: LabelledSet | FrameStore, fields: Fields) -> NDArray[np.int64]:
    """Return the training images with labels, without those that labels were only propagated to."""
    rows = data.splits(fields)["train"]
    return rows[: data.labelled_by_hand] if isinstance(data, LabelledSet) else rows


def parts_of(names: Sequence[str]) -> list[str]:
    """Return the part of each image: its sequence; where these are few, a stretch of it.

    Args:
        names: of the images, in order.
    """
    sequences = sequences_of(names)
    members: dict[str, list[int]] = {}
    for place, sequence in enumerate(sequences):
        members.setdefault(sequence, []).append(place)
    if len(members) >= LEAST:
        return sequences
    pieces, found = -(-LEAST // max(1, len(members))), list(sequences)
    for sequence, places in members.items():
        for rank, place in enumerate(places):
            found[place] = f"{sequence}#{rank * min(pieces, len(places)) // len(places)}"
    return found
