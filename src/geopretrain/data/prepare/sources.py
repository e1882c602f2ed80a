"""What a preparation is made from: the clips of all inputs with their cameras, and what cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.intrinsics import Camera, choose_camera, parse_intrinsics
from geopretrain.data.prepare.resample import resampled
from geopretrain.data.prepare.warnings import check_stereo
from geopretrain.data.readers import SourceClip, open_source
from geopretrain.data.readers.base import Role, Unusable
from geopretrain.data.readers.detect import none_usable
from geopretrain.data.sizes import check_original
from geopretrain.errors import DataError

HELD_OUT: tuple[Role, ...] = ("val", "test")
"""What data may be given for besides training, each an option."""


@dataclass(frozen=True)
class Sources:
    """Clips and the camera of each, in the order of the inputs, and what cannot be opened."""

    clips: list[SourceClip]
    cameras: list[Camera]
    unusable: list[Unusable]


def open_sources(
    inputs: Sequence[str | Path],
    options: PreparationOptions,
    calibrated: Callable[[list[SourceClip]], list[SourceClip]] = list,
) -> Sources:
    """Open all inputs; a file or folder that cannot be used does not cost the others.

    Args:
        inputs: paths or ``synthetic:...``.
        options: of the preparation.
        calibrated: returns the clips with the cameras that their frames tell (`calibrate.clips`).

    Raises:
        DataError: not one can be used, or the intrinsics that the user gave do not fit to a clip.
    """
    unusable: list[Unusable] = []
    clips: list[SourceClip] = []
    cameras: list[Camera] = []
    opened = [
        clip
        for role, several in inputs_by_role(inputs, options).items()
        for clip in _opened(several, options, unusable, role)
    ]
    for clip in calibrated(opened):
        try:
            ready, camera = _with_camera(clip, options)
        except DataError as error:
            if options.intrinsics is not None:
                raise
            unusable.append(Unusable(clip.path, str(error)))
            continue
        clips.append(ready)
        cameras.append(camera)
    if not clips and unusable:
        raise DataError(none_usable(unusable))
    return Sources(clips, cameras, unusable)


def inputs_by_role(
    inputs: Sequence[str | Path], options: PreparationOptions
) -> dict[Role | None, list[str | Path]]:
    """Return the inputs, and what else is given for validation and testing, by what it is for."""
    first: Role | None = None if options.val is None else "train"
    return {first: list(inputs), "val": _several(options.val), "test": _several(options.test)}


def _several(paths: str | PathLike[str] | Sequence[str | PathLike[str]] | None) -> list[str | Path]:
    if paths is None:
        return []
    return [fspath(one) for one in ([paths] if isinstance(paths, str | PathLike) else paths)]


def _opened(
    inputs: Sequence[str | Path],
    options: PreparationOptions,
    unusable: list[Unusable],
    role: Role | None,
) -> list[SourceClip]:
    clips: list[SourceClip] = []
    for spec in inputs:
        try:
            clips += open_source(
                spec,
                baseline=options.baseline,
                depth_unit=options.depth_unit,
                value_range=options.range,
                camera_file=options.camera_file,
                intrinsics=parse_intrinsics(options.intrinsics) if options.intrinsics else None,
                unusable=unusable,
            )
        except DataError as error:
            unusable.append(Unusable(str(spec), str(error)))
    for clip in clips:
        clip.role = role
    return clips


def _with_camera(clip: SourceClip, options: PreparationOptions) -> tuple[SourceClip, Camera]:
    """Return a clip at the frame rate wanted, and its camera."""
    clip = resampled(clip, options.fps)
    check_original(clip.size, clip.name)
    camera = choose_camera(
        clip.size,
        clip.intrinsics,
        given=parse_intrinsics(options.intrinsics) if options.intrinsics else None,
        given_size=options.intrinsics_size,
        fov=options.fov,
        problem=clip.camera_problem and f"{clip.name}: {clip.camera_problem}",
        origin=clip.camera_origin,
    )
    clip.set_intrinsics(camera.intrinsics)
    check_stereo(clip)
    return clip, camera
