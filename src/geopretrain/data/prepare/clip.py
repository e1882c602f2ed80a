"""One decoded source clip into a store: choose samples, append frames, right images and depth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.console import ProgressLine
from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.decode import Decoded
from geopretrain.data.prepare.decoding import Decoding
from geopretrain.data.prepare.intrinsics import stored_intrinsics
from geopretrain.data.prepare.points import read_points
from geopretrain.data.prepare.poses import Poses, read_poses
from geopretrain.data.prepare.segments import Segment, analyse_segment, find_segments, split
from geopretrain.data.prepare.source_summary import ReadStatistics, read_statistics, without_old_names
from geopretrain.data.prepare.warnings import (
    clip_warnings,
    doubted_order,
    mostly_broken,
    skipped_parts,
    why_nothing,
)
from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.video import CUT_OFF
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.index import (
    DEPTH_FILE,
    FRAMES_FILE,
    MAX_POINTS,
    POINTS_FILE,
    POSES_FILE,
    STEREO_FILE,
    clips_from_json,
)
from geopretrain.errors import DataError
from geopretrain.records import as_type

_NAMED_BROKEN = 20  # broken frames named in the index; all are counted


@dataclass(frozen=True)
class PreparedClip:
    """What became of one source clip.

    Attributes:
        clips: what is in the store of it, one for each segment.
        statistics: of what was read.
        warnings, problems: sentences; problems say why there is nothing.
        skipped: sentences about damaged depth maps and right images.
    """

    clips: list[ClipInfo]
    statistics: ReadStatistics
    warnings: list[str]
    problems: list[str]
    skipped: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        """Whether it has broken frames and nothing of it is in the store."""
        return not self.clips and self.statistics.broken > 0

    @property
    def left_out(self) -> list[str]:
        """Sentences about what is not in the store because of damage; single broken frames aside."""
        if self.damaged:
            return self.problems
        cut_off = [error for clip in self.clips for error in clip.broken if error.endswith(CUT_OFF)]
        return cut_off + (self.skipped if self.clips else [])

    def as_json(self) -> dict[str, Any]:
        """Return it as an interrupted preparation keeps it."""
        return {
            "clips": [clip.as_json() for clip in self.clips],
            "statistics": asdict(self.statistics),
            "warnings": self.warnings,
            "problems": self.problems,
            "skipped": self.skipped,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], file: Path) -> PreparedClip:
        """Rebuild it from a file, also as version 0.1 kept it (DataError where it is damaged)."""
        statistics = values.get("statistics") or values.get("facts")
        found = {
            "clips": clips_from_json(values.get("clips")),
            "statistics": without_old_names(statistics) if isinstance(statistics, dict) else statistics,
            "warnings": values["notes"] if "notes" in values else values.get("warnings"),
            "problems": values.get("problems"),
            "skipped": values.get("skipped", []),
        }
        advice = f"Remove the folder {file.parent} and repeat the command."
        prepared: PreparedClip = as_type(cls, found, file, error=DataError, advice=advice)
        return prepared


def prepare_clip(
    source: Decoding,
    decoded: Decoded,
    before: list[ClipInfo],
    options: PreparationOptions,
    work: Path,
    line: ProgressLine,
) -> PreparedClip:
    """Choose the samples of a decoded source clip and append what they need to the store's files.

    Args:
        source: what was read.
        decoded: of it.
        before: the clips which are in the store already.
        options: of the preparation.
        work: working folder.
        line: shows the progress.
    """
    clip, name, camera, size = source.clip, source.name, source.camera, source.size
    crop = source.crop(options)
    problem = mostly_broken(decoded, name)
    segments = [] if problem else _analyse(clip, decoded, name, options, line)
    usable = [segment for segment in segments if segment.targets]
    common: dict[str, Any] = {
        "crop": crop,
        "intrinsics": stored_intrinsics(camera.intrinsics, crop, size).tolist(),
        "intrinsics_known": camera.known,
        "camera": camera.origin,
        "depth_folder": source.depth_folder if clip.has_depth else "",
        **_stereo_camera(clip, crop, size),
    }
    poses = read_poses(clip, decoded.frames)
    points = read_points(clip, poses, crop, size)
    found = _clip_infos(clip, name, usable, decoded, poses, points, options, before)
    infos = [ClipInfo(**common, **info) for info in found]
    doubts = doubted_order(clip) if usable and not options.still_images else []
    _append(work, decoded, poses, points, infos, size)
    _drop_depth_of_others(clip, work / source.depth_folder, infos)
    return PreparedClip(
        clips=infos,
        statistics=read_statistics(clip, name, decoded, segments),
        warnings=clip_warnings(clip, camera, decoded, segments, crop) + doubts + poses.problems,
        problems=[]
        if usable
        else [problem or why_nothing(clip, name, decoded, segments, options.min_motion)],
        skipped=[f"{name}: {sentence}" for sentence in skipped_parts(decoded)],
    )


def _analyse(
    clip: SourceClip, decoded: Decoded, name: str, options: PreparationOptions, line: ProgressLine
) -> list[Segment]:
    """Return the segments of a clip with the samples in them."""
    if options.still_images:
        frames = decoded.frames
        chosen = [frame for frame in frames if clip.listed is None or frame in clip.listed]
        still = [(0.0, 0.0)] * len(chosen)
        return [Segment(frames, targets=chosen, target_motion=still, unlisted=len(frames) - len(chosen))]
    segments = find_segments(decoded)
    line.begin(f"{name}: measuring motion", len(decoded.frames))
    return [
        analyse_segment(
            decoded,
            segment,
            options.target_motion,
            options.min_motion,
            line.advance,
            fixed_stride=clip.listed_stride,
            listed=clip.listed,
        )
        for segment in segments
    ]


def _stereo_camera(
    clip: SourceClip, crop: tuple[int, int, int, int], size: tuple[int, int]
) -> dict[str, list[list[float]]]:
    """Return what the index says of the right camera."""
    if not clip.has_stereo or clip.T_to_stereo is None:
        return {}
    own = clip.intrinsics if clip.stereo_intrinsics is None else clip.stereo_intrinsics
    return {
        "stereo_intrinsics": stored_intrinsics(np.asarray(own), crop, size).tolist(),
        "T_to_stereo": np.asarray(clip.T_to_stereo, dtype=np.float64).tolist(),
    }


def _clip_infos(
    clip: SourceClip,
    name: str,
    segments: list[Segment],
    decoded: Decoded,
    poses: Poses,
    points: Mapping[int, np.ndarray],
    options: PreparationOptions,
    before: list[ClipInfo],
) -> list[dict[str, Any]]:
    """Return what the index says of the segments, without their camera, one after the other in the files."""
    broken = [entry.error for entry in decoded.entries if entry.error is not None]
    lists = ("frames", "stereo_frames", "depth_frames", "pose_frames", "point_frames")
    rows = [sum(len(getattr(info, listed)) for info in before) for listed in lists]
    infos = []
    for part, segment in enumerate(segments):
        segment_name = name if len(segments) == 1 else f"{name}#{part + 1}"
        info = _clip_info(clip, segment_name, segment, decoded, options, rows)
        info |= poses.of_frames(info["frames"])
        info["point_frames"] = [frame for frame in info["pose_frames"] if frame in points]
        if part == 0:
            named = [*broken[: _NAMED_BROKEN - 1], *broken[_NAMED_BROKEN - 1 :][-1:]]  # the end is the last
            info |= {"broken": named, "broken_count": len(broken)}
        infos.append(info)
        rows = [row + len(info[listed]) for row, listed in zip(rows, lists, strict=True)]
    return infos


def _clip_info(
    clip: SourceClip,
    name: str,
    segment: Segment,
    decoded: Decoded,
    options: PreparationOptions,
    rows: list[int],
) -> dict[str, Any]:
    """Return what the index says of a segment, without its camera."""
    targets, motions = segment.targets or [], segment.target_motion or []
    apart = 0 if options.still_images else segment.stride
    train_end, val_start = split(targets, apart, options.holdout, clip.role)
    used = {target + offset * apart for target in targets for offset in (-1, 0, 1)}
    measured = targets if _is_part_of_a_list(clip) else segment.frames
    depth_frames = [frame for frame in measured if frame in decoded.with_depth]
    return {
        "name": name,
        "source": clip.path,
        "kind": clip.kind,
        "original_size": clip.size,
        "fps": clip.fps,
        "stride": segment.stride,
        "motion": round(float(np.mean(motions)), 3),
        "frames": sorted(used | set(depth_frames)),
        "targets": targets,
        "target_motion": motions,
        "train_end": train_end,
        "val_start": val_start,
        "depth_frames": depth_frames,
        "stereo_frames": [target for target in targets if target in decoded.with_stereo],
        "first_row": rows[0],
        "stereo_row": rows[1],
        "depth_row": rows[2],
        "pose_row": rows[3],
        "point_row": rows[4],
        "static": segment.static,
    }


def _is_part_of_a_list(clip: SourceClip) -> bool:
    """Return whether a list says which frames have the role of the clip: only these are scored."""
    return clip.role is not None and clip.listed is not None


def _drop_depth_of_others(clip: SourceClip, folder: Path, infos: list[ClipInfo]) -> None:
    """Remove the depth maps that nobody reads: of frames that a list does not name for the role."""
    if _is_part_of_a_list(clip):
        kept = {f"{frame:06d}.png" for info in infos for frame in info.depth_frames}
        for file in folder.glob("*.png"):
            if file.name not in kept:
                file.unlink()


def _append(
    work: Path,
    decoded: Decoded,
    poses: Poses,
    points: Mapping[int, np.ndarray],
    infos: list[ClipInfo],
    size: tuple[int, int],
) -> None:
    """Append frames, right images of the targets, depth maps, poses and points to the files of the store."""
    if not infos:
        return
    pixels = size[0] * size[1]
    for file, listed, first_row, read, row_bytes in (
        (FRAMES_FILE, "frames", "first_row", decoded.image, 3 * pixels),
        (STEREO_FILE, "stereo_frames", "stereo_row", decoded.stereo, 3 * pixels),
        (DEPTH_FILE, "depth_frames", "depth_row", decoded.depth, 2 * pixels),
        (POSES_FILE, "pose_frames", "pose_row", poses.row, 12 * 8),
        (POINTS_FILE, "point_frames", "point_row", points.__getitem__, MAX_POINTS * 3 * 4),
    ):
        frames = [frame for info in infos for frame in getattr(info, listed)]
        if frames:
            _append_rows(work / file, getattr(infos[0], first_row) * row_bytes, map(read, frames))


def _append_rows(path: Path, start: int, maps: Iterable[np.ndarray]) -> None:
    """Write maps (``H W 3`` as ``3 H W``) from byte ``start`` on; older leftovers are cut off."""
    path.touch()
    with path.open("r+b") as file:
        file.truncate(start)
        file.seek(0, os.SEEK_END)
        for values in maps:
            file.writelines(_planes(values))
        file.flush()
        os.fsync(file.fileno())


def _planes(values: np.ndarray) -> list[bytes]:
    """Return the bytes of a map, those of a picture channel after channel."""
    import cv2

    planes = cv2.split(values) if values.ndim == 3 else (values,)
    return [np.asarray(plane).tobytes() for plane in planes]
