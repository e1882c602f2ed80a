"""How alike a video and labelled pictures are, told by features of a network, and what would be much.

Two numbers, because each alone is fooled. *Share*: is the nearest frame of the video nearer to a labelled
picture than the nearest labelled picture of another part (sequence, place), among as many of the one as of
the other? It is the nearest-neighbour form of a two-sample test (Schilling, *Multivariate two-sample tests
based on nearest neighbors*, 1986), and says whether the video shows what the labels show; of photographs that
have nothing in common any video wins some. *Distance*: the energy distance between both, normalised (Székely
and Rizzo, *Energy statistics*, 2013), says whether they are spread alike; a broad video is near everything.

Our choice: neighbours within a part do not count, because frames of one drive repeat each other and any other
would look foreign beside them; and what is much is told by the parts of the labelled pictures, each taken for
the video once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.data.subsets import spread_positions

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
MIN_PARTS = 3
"""Parts of two pictures at least without which nothing says what would be much."""


@dataclass(frozen=True)
class Likeness:
    """How like labelled pictures a video is.

    Attributes:
        share: of the labelled pictures that have a nearer one in the video than in other parts, 0 to 1.
        distance: energy distance between both, from 0 (spread alike) to 1.
        part_shares: the same share for each part of the labelled pictures, beside the others.
        part_distances: the distance of each part from the others.
        pictures: labelled ones that were compared.
        frames: of the video that were.
    """

    share: float
    distance: float
    part_shares: tuple[float, ...]
    part_distances: tuple[float, ...]
    pictures: int
    frames: int

    @property
    def expected(self) -> float:
        """Share that the parts reach on average."""
        return float(np.mean(self.part_shares))


def likeness(labelled: Floats, parts: Sequence[Hashable], video: Floats) -> Likeness | None:
    """Compare features of labelled pictures with those of a video; their lengths do not count.

    Args:
        labelled: ``N D``.
        parts: the part that each labelled picture is of, ``N``.
        video: ``M D``, in the order of time.

    Returns:
        None where there are fewer than three parts of two pictures, or fewer than two frames.
    """
    members = [np.flatnonzero([one == part for one in parts]) for part in dict.fromkeys(parts)]
    large = [own for own in members if len(own) > 1]
    if len(large) < MIN_PARTS or len(video) < 2:
        return None
    pairs = (labelled, labelled), (labelled, video), (video, video)
    within, across, of_video = (_distances(*pair) for pair in pairs)
    every = np.arange(len(labelled))
    rest = [np.setdiff1d(every, own) for own in members]
    won = [_wins(across[own], within[np.ix_(own, others)]) for own, others in zip(members, rest, strict=True)]
    return Likeness(
        share=float(np.concatenate(won).mean()),
        distance=_energy(across, within, of_video),
        part_shares=tuple(_share_of_part(within, members, own) for own in large),
        part_distances=tuple(_distance_of_part(within, own, np.setdiff1d(every, own)) for own in large),
        pictures=len(labelled),
        frames=len(video),
    )


def _share_of_part(within: Floats, members: Sequence[Rows], part: Rows) -> float:
    """Return the share that one part wins among the pictures of the others."""
    others = [own for own in members if own is not part]
    won = []
    for own in others:
        rest = np.sort(np.concatenate([one for one in others if one is not own]))
        won.append(_wins(within[np.ix_(own, part)], within[np.ix_(own, rest)]))
    return float(np.concatenate(won).mean())


def _distance_of_part(within: Floats, part: Rows, rest: Rows) -> float:
    return _energy(*(within[np.ix_(a, b)] for a, b in ((rest, part), (rest, rest), (part, part))))


def _wins(candidates: Floats, rivals: Floats) -> Floats:
    """Return of each row whether its nearest candidate is nearer than its nearest rival (a tie is half).

    As many are looked at of the one as of the other, evenly spread.
    """
    count = min(candidates.shape[1], rivals.shape[1])
    nearest = [one[:, spread_positions(one.shape[1], count)].min(1) for one in (candidates, rivals)]
    return np.where(nearest[0] == nearest[1], 0.5, nearest[0] < nearest[1])


def _energy(across: Floats, first: Floats, second: Floats) -> float:
    """Return the normalised energy distance of two sets by their distances; their number does not bias it."""
    between = float(across.mean())
    inside = [float(one.sum()) / (len(one) * (len(one) - 1)) for one in (first, second)]
    return max(0.0, 1 - sum(inside) / (2 * between)) if between > 0 else 0.0


def _distances(first: Floats, second: Floats) -> Floats:
    """Return the distances of unit features, ``N M``; those of one to itself are 0."""
    units = [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12) for one in (first, second)]
    found = np.sqrt(np.maximum(2 - 2 * units[0] @ units[1].T, 0.0)).round(6)  # equal ones are a tie
    if first is second:
        np.fill_diagonal(found, 0.0)
    return found
