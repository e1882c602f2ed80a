"""Sentences about a preparation: what was assumed, skipped, looks odd, or why a clip gave nothing."""

from __future__ import annotations

import numpy as np

from geopretrain.data.prepare.decode import Decoded
from geopretrain.data.prepare.intrinsics import FROM_FOV, GIVEN, Camera, camera_warning
from geopretrain.data.prepare.segments import Segment, is_coarse
from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.folder import MIN_BASELINE
from geopretrain.errors import DataError
from geopretrain.wording import in_px


def mostly_broken(decoded: Decoded, name: str) -> str | None:
    """Return the sentence about a clip of which more than half is broken, None for all others."""
    broken = [entry.error for entry in decoded.entries if entry.error is not None]
    if not broken or len(broken) <= len(decoded.frames):
        return None
    return f"{name}: {len(broken)} of {len(decoded.entries)} frames cannot be used. The first: {broken[0]}"


def clip_warnings(
    clip: SourceClip,
    camera: Camera,
    decoded: Decoded,
    segments: list[Segment],
    crop: tuple[int, int, int, int],
) -> list[str]:
    """Return sentences about what was assumed, skipped or looks odd."""
    warnings = list(clip.warnings)
    usable = [segment for segment in segments if segment.targets]
    if not camera.known:
        better = "" if camera.origin.startswith(FROM_FOV) else " or --fov"
        warnings.append(
            f"Intrinsics {camera.origin}. Pass --intrinsics fx,fy,cx,cy{better} if you know better."
        )
    size_known = camera.origin != GIVEN and clip.calibrated_size is not None
    warning = camera_warning(camera.intrinsics, clip.size, size_known)
    if warning:
        warnings.append(warning)
    if crop[2:] != tuple(clip.size):
        warnings.append(f"Cut to the central {in_px(crop[2:])} to match the shape of the store's frames.")
    broken = [entry.error for entry in decoded.entries if entry.error is not None]
    if broken:
        warnings.append(
            f"{len(broken)} broken frame{'s' * (len(broken) > 1)} skipped. The first: {broken[0]}"
        )
    warnings += skipped_parts(decoded) + _depth_warnings(decoded)
    if len(segments) > 1:
        usable_segments = f"{len(usable)} of them usable"
        warnings.append(
            f"Split into {len(segments)} segments at scene cuts or missing frames, {usable_segments}."
        )
    if any(is_coarse(segment) for segment in usable):
        warnings.append(
            "Neighbouring frames are far apart; video with more frames per second would serve better."
        )
    static_camera = sum(segment.static_camera for segment in segments)
    if static_camera and usable:
        warnings.append(f"{static_camera} frames are left out where things move but the camera is static.")
    return warnings


def _depth_warnings(decoded: Decoded) -> list[str]:
    """Return sentences about depth maps which hold what is no depth, or have an odd unit."""
    return _counted("depth map", "cleaned", [entry.depth_cleaned for entry in decoded.entries]) + _counted(
        "depth map", "suspicious", [entry.depth_unit for entry in decoded.entries]
    )


def skipped_parts(decoded: Decoded) -> list[str]:
    """Return sentences about depth maps and right images which are there but cannot be used."""
    return _counted("depth map", "skipped", [entry.depth_error for entry in decoded.entries]) + _counted(
        "right image", "skipped", [entry.stereo_error for entry in decoded.entries]
    )


def _counted(what: str, fate: str, sentences: list[str | None]) -> list[str]:
    said = [sentence for sentence in sentences if sentence is not None]
    return [f"{len(said)} {what}{'s' * (len(said) > 1)} {fate}. The first: {said[0]}"] if said else []


def check_stereo(clip: SourceClip) -> None:
    """Raise the DataError for a stereo clip whose camera says that both eyes are in one place."""
    if not clip.has_stereo:
        return
    motion = None if clip.T_to_stereo is None else np.asarray(clip.T_to_stereo, dtype=np.float64)
    if motion is None or motion.shape != (4, 4) or not np.isfinite(motion).all():
        raise DataError(f"{clip.name}: the baseline of the stereo pair is unknown. Give it with --baseline.")
    if np.linalg.norm(motion[:3, 3]) < MIN_BASELINE:
        raise DataError(
            f"{clip.name}: the baseline of the stereo pair is {np.linalg.norm(motion[:3, 3]):g} m. Depth "
            "needs two cameras apart: correct the calibration (the baseline is in metres), or leave the "
            "second camera's frames away."
        )


def why_nothing(
    clip: SourceClip, name: str, decoded: Decoded, segments: list[Segment], min_motion: float
) -> str:
    """Return the sentence which says why a clip gives no sample."""
    if not clip.ordered:
        return (
            f"{name} holds single images, of which no three show one place from a moving camera. Take each "
            f"as a sample with --still-images, for methods that look at one frame.{instead(clip)}"
        )
    if any(segment.unlisted for segment in segments):
        return f"{name}: none of its frames that could be samples is in the list of the split."
    static = sum(segment.static for segment in segments)
    static_camera = sum(segment.static_camera for segment in segments)
    if static_camera:
        return (
            f"{name}: the camera is static while things move (at least half of the picture hardly moves "
            f"in nearly all of {static_camera} candidate frames). Depth is learned from a moving camera: use "
            "other video, or --min-motion 0 to keep it for a method that does not need one."
        )
    if static:
        return (
            f"{name}: the picture hardly moves (mean flow under {min_motion:g} px at every one of "
            f"{static} candidate frames). Depth is learned from a moving camera: use other video, a larger "
            "--size, or a smaller --min-motion."
        )
    count = len(decoded.frames)
    broken = [entry.error for entry in decoded.entries if entry.error is not None]
    why = f" {broken[-1]}" if broken else ""
    return (
        f"{name}: too few frames ({count} readable); at least 3 neighbouring frames without a cut are "
        f"needed.{why}"
    )


def doubted_order(clip: SourceClip) -> list[str]:
    """Return the sentence on images with depth whose neighbours are taken for those of a video."""
    if clip.ordered or not clip.has_depth:
        return []
    return [
        "These may be single images: that neighbours show one place from a moving camera is taken for "
        f"granted, in the order of their names.{instead(clip)}"
    ]


def instead(clip: SourceClip) -> str:
    """Return the sentence on what images with depth are good for that are no video, '' of others."""
    if not clip.has_depth:
        return ""
    return " Their measured depth is learned from with `finetune depth --supervision labels`."


def grouped(warnings: list[tuple[str, str]]) -> list[str]:
    """Return each sentence once, with the clips it is about."""
    about: dict[str, list[str]] = {}
    for name, sentence in warnings:
        about.setdefault(sentence, []).append(name)
    return [
        f"{', '.join(names) if len(names) <= 4 else f'{len(names)} clips'}: {sentence}"
        for sentence, names in about.items()
    ]
