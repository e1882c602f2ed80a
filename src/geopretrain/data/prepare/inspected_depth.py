"""Depth maps that are only looked at: whether they hold measurements, and what is odd about these."""

from __future__ import annotations

import numpy as np

from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.depth_maps import clean_depth, unit_warning
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError

_LOOKED_AT = 3


def depth_in_words(clip: SourceClip) -> tuple[bool, list[str]]:
    """Return whether some depth maps of a clip can be used, and what is to be said of them.

    Also true where a clip has none.
    """
    indices = clip.depth_indices()
    looked_at = [indices[place] for place in spread_positions(len(indices), _LOOKED_AT)]
    found = [_one_in_words(clip, index) for index in looked_at]
    useless = [words for usable, words in found if not usable]
    if found and len(useless) == len(found):
        return False, [f"No depth map can be used ({len(found)} were looked at). {useless[0]}"]
    return True, [words for _, words in found if words][:1]


def _one_in_words(clip: SourceClip, index: int) -> tuple[bool, str]:
    try:
        depth = clip.depth(index)
    except DataError as error:
        return False, str(error)
    if depth is None or not (np.isfinite(depth) & (depth > 0)).any():
        return False, f"Depth of frame {index}: nothing is measured, all of it is 0 or no number."
    said = [words for words in (clean_depth(depth)[1], unit_warning(depth)) if words]
    return True, f"Depth of frame {index}: {' '.join(said)}" if said else ""
