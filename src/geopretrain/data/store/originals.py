"""The frames of a store as they were in the video: whole, and as large as there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.readers.base import SourceClip
from geopretrain.data.readers.detect import open_source
from geopretrain.data.resize import resize
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import UserError
from geopretrain.wording import counted

Picture = NDArray[np.uint8]
Place = tuple[int, int]
"""Clip and frame."""
SAME = 2.0
"""Mean difference of 8-bit values up to which a picture is taken for the one that was stored."""


def original_frames(store: FrameStore, samples: Sequence[int] | NDArray[np.int64]) -> list[Picture]:
    """Return the frame of each sample, ``H W 3`` uint8, from its source.

    Where the source is gone, or holds another picture now, the frame is the stored one, which is said.
    """
    places = [store.sample(int(sample)) for sample in samples]
    found = read_again(store, places)
    say_stored(store, sum(place not in found for place in places))
    return [found[place] if place in found else store.frame_image(*place) for place in places]


def read_again(store: FrameStore, places: Sequence[Place]) -> dict[Place, Picture]:
    """Return those frames (clip, frame) that their source still has, ``H W 3`` uint8, from there."""
    found: dict[Place, Picture] = {}
    for number in sorted({clip for clip, _ in places}):
        clip, wanted = store.clips[number], {frame for one, frame in places if one == number}
        for frame, picture in _read(clip, wanted).items():
            if _is_same(picture, store.frame_image(number, frame), clip):
                found[number, frame] = picture
    return found


def say_stored(store: FrameStore, missing: int) -> None:
    """Say that so many frames are as in the store, where there are any."""
    if missing:
        height, width = store.size
        console.warn(
            f"Note: {counted(missing, 'frame')} could not be read from the video again, and "
            f"{'is' if missing == 1 else 'are'} as in the store, {height}x{width} px (height x width)."
        )


def _read(clip: ClipInfo, wanted: set[int]) -> dict[int, Picture]:
    """Return frames of the clip's source by their numbers, as far as they can be read."""
    try:
        sources = open_source(clip.source, unusable=[])
    except (UserError, OSError):
        return {}
    fitting = [one for one in sources if tuple(one.size) == tuple(clip.original_size)]
    for source in sorted(fitting, key=lambda one: one.name not in clip.name):
        try:
            return _frames(source, wanted)
        except (UserError, OSError):
            continue
    return {}


def _frames(source: SourceClip, wanted: set[int]) -> dict[int, Picture]:
    last, found = max(wanted), {}
    in_turn = source.kind == "video"  # files of images are read by themselves
    for frame in source.frames(min(wanted)) if in_turn else map(source.frame, sorted(wanted)):
        if frame.index in wanted and frame.image is not None:
            found[frame.index] = frame.image
        if frame.index >= last:
            break
    return found


def _is_same(picture: Picture, stored: Picture, clip: ClipInfo) -> bool:
    if picture.shape[:2] != tuple(clip.original_size):
        return False
    small = resize(picture, clip.crop, (stored.shape[0], stored.shape[1]))
    return float(np.abs(small.astype(np.float32) - stored.astype(np.float32)).mean()) <= SAME
