"""How near a video is to labelled images: their features by an ImageNet network, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from geopretrain.advice.groups import parts_of, train_rows
from geopretrain.data.dataset import IMAGES, Fields
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import spread_positions
from geopretrain.evaluation.frames import features_of
from geopretrain.metrics.likeness import Likeness, likeness
from geopretrain.networks import Backbone
from geopretrain.wording import sides

Kind = Literal["same", "related", "other", "unknown"]
MAX_PICTURES = 256
"""Frames, and labelled images, that are compared, evenly spread."""
BATCH = 8
NAMED = 5
MIN_FRAMES = 8
"""Frames of a source without which it is not compared on its own."""
SAME, RELATED = 0.5, 0.1
"""Parts of the share that is expected from which on a video counts to be of the same, or a related kind."""
APART = 0.1
"""Distance beyond that of the farthest part of the labelled images up to which it counts to be related."""
ORDER: tuple[Kind, ...] = ("same", "related", "other")
WORDS: dict[Kind, str] = {
    "same": "of the same kind as the labelled images",
    "related": "related to the labelled images, and not of their kind",
    "other": "of another kind than the labelled images",
    "unknown": "not compared with the labelled images",
}


@dataclass(frozen=True)
class Domain:
    """How like the labelled images a video is.

    Attributes:
        kind: same, related or other; unknown where there are too few images.
        likeness: the numbers behind it.
        sources: kind of each source of the video on its own.
        size: (height, width) at which both were looked at, px.
        network: whose features were compared.
    """

    kind: Kind
    likeness: Likeness | None
    sources: dict[str, Kind]
    size: tuple[int, int]
    network: str


def compare(
    store: FrameStore, labelled: LabelledSet | FrameStore, fields: Fields, backbone: Backbone
) -> Domain:
    """Compare frames of the training samples with labelled training images.

    Args:
        store: the video.
        labelled: images, which are read at the size of the frames; frames of a store are as they are.
        fields: of the labels.
        backbone: with ImageNet's weights, in evaluation mode, on its device.
    """
    if isinstance(labelled, LabelledSet):
        labelled = LabelledSet.open(labelled.path, size=store.size, names=fields.names)
    frames, images = _some(store.splits(IMAGES)["train"]), _some(train_rows(labelled, fields))
    labelled.check(images, IMAGES)
    of_video = features_of(store, frames, backbone, BATCH)
    of_labelled = features_of(labelled, images, backbone, BATCH)
    parts = parts_of(labelled.names(images))
    found = likeness(of_labelled, parts, of_video)
    sources: dict[str, Kind] = {}
    named = np.array([_source(store, int(frame)) for frame in frames])
    for name in dict.fromkeys(named.tolist()) if len(set(named)) > 1 else ():
        if (own := named == name).sum() >= MIN_FRAMES:
            sources[name] = kind_of(likeness(of_labelled, parts, of_video[own]))
    return Domain(kind_of(found), found, sources, store.size, backbone.name)


def _some(rows: np.ndarray) -> np.ndarray:
    return rows[spread_positions(len(rows), MAX_PICTURES)]


def _source(store: FrameStore, sample: int) -> str:
    """Return the name of what a frame was read from: that of its clip without the number of the piece."""
    source = store.clips[store.sample(sample)[0]].source
    return next(clip.name for clip in store.clips if clip.source == source)


def kind_of(found: Likeness | None) -> Kind:
    """Return how like the labelled images a video is, by its share or its distance, whichever is worse."""
    if found is None:
        return "unknown"
    by_share = (found.share < SAME * found.expected) + (found.share < RELATED * found.expected)
    farthest = max(found.part_distances)
    by_distance = (found.distance > farthest) + (found.distance > farthest + APART)
    return ORDER[max(by_share, by_distance)]


def in_words(domain: Domain) -> list[str]:
    """Return it as sentences."""
    if domain.likeness is None:
        return ["There are too few labelled images to tell how like them the video is."]
    found = domain.likeness
    low, high = min(found.part_distances), max(found.part_distances)
    said = [
        f"The video is {WORDS[domain.kind]}: {found.share:.0%} of these look more like a frame of the video "
        "than like any of them from another place or drive; a part of the labelled set in the place of the "
        f"video gets {found.expected:.0%}. All in all they are {found.distance:.2f} apart (0: spread alike, "
        f"1: nothing in common); parts of the labelled set are {low:.2f} to {high:.2f} from the rest of it.",
        f"Told by features of {domain.network} (ImageNet) at {sides(domain.size)}, {found.pictures} labelled "
        f"images and {found.frames} frames.",
    ]
    if domain.sources:
        listed = {kind: [name for name, one in domain.sources.items() if one == kind] for kind in ORDER}
        words = {"same": "of the same kind", "related": "related", "other": "of another kind"}
        each = [f"{words[kind]}: {_some_names(names)}" for kind, names in listed.items() if names]
        said.append(f"Its sources, each alone, are {'; '.join(each)}.")
    return said


def _some_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
