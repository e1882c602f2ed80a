"""Parts of labelled images that know nothing of each other, as far as their names tell."""

from __future__ import annotations

from collections.abc import Sequence

from geopretrain.data.file_names import sequences_of

LEAST = 4
"""Parts that images are divided into, where there are so many images."""


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
