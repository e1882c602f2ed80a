"""The pictures ``predict`` looks at: image files, folders of images, frames of videos and data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.console import console
from geopretrain.data.dataset import SYNTHETIC
from geopretrain.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from geopretrain.data.readers.base import SourceClip
    from geopretrain.data.value_range import Range

MOST_VIDEO_PICTURES = 50


@dataclass(frozen=True)
class Shot:
    """A picture to look at.

    Attributes:
        name: stem of the files written for it.
        image: ``H W 3`` uint8.
        next: the picture after it, ``H W 3`` uint8, for methods that look at pairs; None otherwise.
        intrinsics: ``3 3`` px of the picture, where its source knows them.
        size_known: whether they are known to be of pictures of this size.
        camera_problem: why the calibration that its source has cannot be used.
        pose: ``4 4`` from its camera to the world, m, where its source knows it.
        video: stem of the video it is from, None for image files.
        source: path of that video.
        fps: frames per second of the shots taken from that video.
    """

    name: str
    image: np.ndarray
    next: np.ndarray | None = None
    intrinsics: np.ndarray | None = None
    video: str | None = None
    source: str = ""
    fps: float = 10.0
    size_known: bool = False
    camera_problem: str | None = None
    pose: np.ndarray | None = None


def shots_of_all(
    sources: Sequence[Path], every: int | None, *, with_next: bool, value_range: Range | None = None
) -> Iterator[Shot]:
    """Yield the pictures of several sources, see `shots`; one that cannot be used does not cost the others.

    Raises:
        DataError: a path does not exist, or not one source can be used.
    """
    failed = []
    for source in sources:
        if not os.path.lexists(source) and not str(source).startswith(SYNTHETIC):
            raise DataError(f"'{source}' does not exist. Give a picture, a video, or a folder of them.")
    sources, stems = _without_depth_maps(sources), _Stems()
    for source in sources:
        try:
            found = shots(source, every, with_next=with_next, value_range=value_range)
            yield from (stems.own(shot) for shot in found)
        except DataError as error:
            failed.append(str(error))
            if len(sources) > 1:
                console.warn_left_out(f"Left out: {error}")
    if len(failed) == len(sources):
        raise DataError(failed[0] if len(failed) == 1 else f"No input can be used. The first: {failed[0]}")


def previews(
    sources: Sequence[Path], every: int | None, *, with_next: bool, value_range: Range | None = None
) -> Iterator[Shot]:
    """Yield what `shots_of_all` will, as far as it is known without looking at more than the first pictures.

    Names and cameras are right; the images are that of the first picture of each source. What cannot be read
    is left to `shots_of_all`.
    """
    stems = _Stems()
    for source in sources:
        try:
            first = next(shots(source, every, with_next=with_next, value_range=value_range), None)
            names = [] if first is None or first.video is not None else _file_names(source)
            names = names[:-1] if with_next else names  # the last one has no next
            others = [replace(first, name=name) for name in names if first and name != first.name]
        except DataError:
            continue
        yield from (stems.own(shot) for shot in (first, *others) if shot is not None)


def _file_names(source: Path) -> list[str]:
    return [file.stem for file in image_files(source)] if source.is_dir() else []


class _Stems:
    """Names of videos: two of one name in different folders must not become one."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def own(self, shot: Shot) -> Shot:
        """Return a frame under a name that no other video has: that of the second one is numbered."""
        if shot.video is None:
            return shot
        stem, count = shot.video, 1
        while self._taken.setdefault(stem, shot.source) != shot.source:
            count += 1
            stem = f"{shot.video}-{count}"
        return replace(shot, video=stem, name=stem + shot.name.removeprefix(shot.video))


def _without_depth_maps(sources: Sequence[Path]) -> list[Path]:
    """Return the sources without image files that are no pictures, and say so (`no_pictures`)."""
    from geopretrain.data.readers.no_pictures import without_depth_maps

    files = [source for source in sources if source.suffix.lower() in image_suffixes() and source.is_file()]
    kept, others = without_depth_maps(files)
    if others:
        console.warn(others)
    return [source for source in sources if source not in files or source in kept]


def shots(
    source: Path, every: int | None, *, with_next: bool, value_range: Range | None = None
) -> Iterator[Shot]:
    """Yield the pictures of an image file, a folder of images, a video or a data set.

    Args:
        source: what the user named.
        every: take every n-th frame of a video; None: so that about 50 are taken.
        with_next: also give the picture after each one; the last picture has none and is left out.
        value_range: values of pictures of more than 8 bits that become 0 and 255, see `read_image`.

    Raises:
        DataError: no readable picture there, or no pair where pairs are needed.
    """
    shown = 0
    for shot in _found(source, every, with_next, value_range):
        shown += 1
        yield shot
    if not shown:
        what = "pair of pictures, and this run looks at pairs" if with_next else "readable picture"
        raise DataError(f"'{source}' holds no {what}.")


def _found(source: Path, every: int | None, with_next: bool, value_range: Range | None) -> Iterator[Shot]:
    from geopretrain.data.readers.foreign import hint_for_folder, unread_pictures

    if hint := hint_for_folder(source):
        raise DataError(hint)
    if source.is_dir() and (files := image_files(source)):
        if unread := unread_pictures(source, image_suffixes()):
            console.warn_left_out(f"Left out: {unread}")
        return _pictures(files, with_next, value_range)
    if source.is_file() and source.suffix.lower() in image_suffixes():
        return _pictures([source], with_next, value_range)
    return _frames(source, every, with_next, value_range)


def image_files(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder in the order of time; what are none is said."""
    from geopretrain.data.file_names import in_order
    from geopretrain.data.readers.base import files_with

    return _without_depth_maps(in_order(files_with(folder, image_suffixes())))


def image_suffixes() -> set[str]:
    """Return the endings of file names that Pillow opens."""
    from PIL import Image

    return {suffix for suffix, name in Image.registered_extensions().items() if name not in ("MPEG", "MPO")}


def _pictures(files: list[Path], with_next: bool, value_range: Range | None) -> Iterator[Shot]:
    read = _readable(files, value_range)
    yield from _paired((shot, True) for shot in read) if with_next else read


def _readable(files: list[Path], value_range: Range | None) -> Iterator[Shot]:
    """Yield the pictures; of several, one that cannot be read is named and left out."""
    from geopretrain.data.readers.images import is_animation, read_image
    from geopretrain.data.value_range import range_warning

    if value_range is None and (warning := range_warning(files)):
        console.warn(warning)
    if moving := [file for file in files if is_animation(file)]:
        console.warn(
            f"Of animations, such as {moving[0]}, the first picture is taken. Convert them to .mp4 for all."
        )
    for file in files:
        try:
            yield Shot(file.stem, read_image(file, value_range))
        except DataError as error:
            if len(files) == 1:
                raise
            console.warn_left_out(f"Left out: {error}")


def _frames(source: Path, every: int | None, with_next: bool, value_range: Range | None) -> Iterator[Shot]:
    from geopretrain.data.readers.base import Unusable
    from geopretrain.data.readers.detect import open_source

    unusable: list[Unusable] = []
    clips = open_source(str(source), value_range=value_range, unusable=unusable)
    for one in unusable:
        console.warn_left_out(f"Left out: {one.reason}")
    for clip in clips:
        for warning in clip.warnings:
            console.warn(f"{clip.name}: {warning}")
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
            console.warn_left_out(f"Left out of {clip.name}: {frame.error}")
            continue
        shot = Shot(
            f"{stem}_{frame.index:06d}",
            frame.image,
            intrinsics=clip.intrinsics,
            video=stem,
            source=f"{clip.path}#{clip.name}",
            fps=(clip.fps or 10.0) / step,
            size_known=clip.calibrated_size is not None,
            camera_problem=clip.camera_problem,
            pose=clip.pose(frame.index) if clip.has_poses else None,
        )
        yield shot, frame.index % step == 0


def _paired(shots: Iterable[tuple[Shot, bool]]) -> Iterator[Shot]:
    """Yield the shots that are taken with the picture after each, where that has the same size."""
    before: Shot | None = None
    for shot, is_taken in shots:
        if before is not None and before.image.shape == shot.image.shape:
            yield replace(before, next=shot.image)
        before = shot if is_taken else None
