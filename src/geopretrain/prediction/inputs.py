"""The pictures ``predict`` looks at: image files, folders of images, frames of videos and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.console import console
from geopretrain.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from geopretrain.data.readers.base import SourceClip

MOST_VIDEO_PICTURES = 50


@dataclass(frozen=True)
class Shot:
    """A picture to look at.

    Attributes:
        name: stem of the files written for it.
        image: ``H W 3`` uint8.
        next: the picture after it, ``H W 3`` uint8, for methods that look at pairs; None otherwise.
        intrinsics: ``3 3`` px of the picture, where its source knows them.
        video: stem of the video it is from, None for image files.
        fps: frames per second of the shots taken from that video.
    """

    name: str
    image: np.ndarray
    next: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    video: str | None = None
    fps: float = 10.0


def shots(source: Path, every: int | None, *, with_next: bool) -> Iterator[Shot]:
    """Yield the pictures of an image file, a folder of images, a video or a data set.

    Args:
        source: what the user named.
        every: take every n-th frame of a video; None: so that about 50 are taken.
        with_next: also give the picture after each one; the last picture has none and is left out.

    Raises:
        DataError: no readable picture there, or no pair where pairs are needed.
    """
    shown = 0
    if source.is_dir() and (files := _image_files(source)):
        found = _pictures(files, with_next)
    elif source.is_file() and source.suffix.lower() in image_suffixes():
        found = _pictures([source], with_next)
    else:
        found = _frames(source, every, with_next)
    for shot in found:
        shown += 1
        yield shot
    if not shown:
        what = "pair of pictures, and this run looks at pairs" if with_next else "readable picture"
        raise DataError(f"'{source}' holds no {what}.")


def image_suffixes() -> set[str]:
    """Return the endings of file names that Pillow opens."""
    from PIL import Image

    return {suffix for suffix, name in Image.registered_extensions().items() if name not in ("MPEG", "MPO")}


def _image_files(folder: Path) -> list[Path]:
    suffixes = image_suffixes()
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file())


def _pictures(files: list[Path], with_next: bool) -> Iterator[Shot]:
    from geopretrain.data.readers.images import read_image

    read = (Shot(file.stem, read_image(file)) for file in files)
    yield from _paired((shot, True) for shot in read) if with_next else read


def _frames(source: Path, every: int | None, with_next: bool) -> Iterator[Shot]:
    from geopretrain.data.readers.detect import open_source

    for clip in open_source(str(source)):
        step = every or max(1, round((clip.length or 0) / MOST_VIDEO_PICTURES))
        if step > 1:
            console.say(f"{clip.name}: every {step}. frame is taken (--every 1 takes all).")
        taken = _of_clip(clip, step)
        yield from _paired(taken) if with_next else (shot for shot, is_taken in taken if is_taken)


def _of_clip(clip: SourceClip, step: int) -> Iterator[tuple[Shot, bool]]:
    """Yield the readable frames of a clip, and whether they are among the ones taken."""
    stem = Path(clip.name).stem
    for frame in clip.frames():
        if frame.image is None:
            console.say(f"{clip.name}: {frame.error}")
            continue
        name = f"{stem}_{frame.index:06d}"
        shot = Shot(name, frame.image, None, clip.intrinsics, stem, (clip.fps or 10.0) / step)
        yield shot, frame.index % step == 0


def _paired(shots: Iterable[tuple[Shot, bool]]) -> Iterator[Shot]:
    """Yield the shots that are taken with the picture after each, where that has the same size."""
    before: Shot | None = None
    for shot, is_taken in shots:
        if before is not None and before.image.shape == shot.image.shape:
            yield replace(before, next=shot.image)
        before = shot if is_taken else None
