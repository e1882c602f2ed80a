"""From video to frame store: decode once, resize, measure motion, choose samples, write a contact sheet.

Work goes on in ``OUT/.preparing`` and is moved into place at the very end, so that an interruption at any
moment loses nothing: the same command continues, and an older store stays usable until the new one is
complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geopretrain.data.decode import Decoded, decode
from geopretrain.data.folders import (
    fingerprint,
    locked,
    read_json,
    storage_errors,
    write_json,
)
from geopretrain.data.intrinsics import (
    Camera,
    choose_camera,
    parse_intrinsics,
    stored_intrinsics,
)
from geopretrain.data.notes import check_broken, clip_notes, grouped, why_nothing
from geopretrain.data.pieces import Piece, analyse_piece, find_pieces, hold_out
from geopretrain.data.resize import (
    central_crop,
    check_frame_size,
    check_working_size,
    working_size,
)
from geopretrain.data.sources import SourceClip, open_source
from geopretrain.data.store import (
    DEPTH_FOLDER,
    FORMAT,
    FRAMES_FILE,
    INDEX_FILE,
    SHEET_FILE,
    VERSION,
    WORK_FOLDER,
    ClipInfo,
    FrameStore,
)
from geopretrain.data.summary import ProgressLine, print_summary
from geopretrain.errors import ConfigError, DataError, RunFolderError

_NAMED_BROKEN = 20  # broken frames named in the index; all are counted


@dataclass(frozen=True)
class _Options:
    """What decides on the content of a store besides its inputs."""

    size: tuple[int, int] | None
    intrinsics: str | None
    intrinsics_size: tuple[int, int] | None
    fov: float | None
    target_motion: float
    min_motion: float
    holdout: float
    max_frames: int | None

    def __post_init__(self) -> None:
        if self.target_motion <= 0 or self.min_motion < 0 or self.min_motion >= self.target_motion:
            raise ConfigError(
                f"target_motion ({self.target_motion:g} px) must be above min_motion ({self.min_motion:g} "
                "px), "
                "and both must be positive."
            )
        if not 0 <= self.holdout <= 0.5:
            raise ConfigError(f"holdout is the share kept for validation, 0 to 0.5, not {self.holdout:g}.")
        if self.max_frames is not None and self.max_frames < 3:
            raise ConfigError(f"max_frames must be at least 3 (one triplet), not {self.max_frames}.")
        if self.size is not None:
            check_working_size(self.size)
        if self.intrinsics is not None:
            parse_intrinsics(self.intrinsics)


def prepare(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    size: tuple[int, int] | None = None,
    intrinsics: str | None = None,
    intrinsics_size: tuple[int, int] | None = None,
    fov: float | None = None,
    target_motion: float = 3.0,
    min_motion: float = 1.0,
    holdout: float = 0.1,
    overwrite: bool = False,
    max_frames: int | None = None,
    progress: bool = True,
) -> FrameStore:
    """Prepare videos, image folders or data sets as one frame store; repeat the call to continue an
    interrupted one.

    Args:
        inputs: paths or ``synthetic:...``; each may hold several clips.
        out: folder of the store.
        size: (height, width) of the frames, multiples of 32; None chooses about 30 000 px near the first
            clip's aspect.
        intrinsics: ``"fx,fy,cx,cy"`` in pixels of the original frames; replaces what the data set says.
        intrinsics_size: (height, width) of the images the intrinsics were measured on.
        fov: horizontal field of view in degrees, used where the intrinsics are unknown.
        target_motion: mean flow in px (of the stored frames) between neighbouring frames of a sample to aim
            at.
        min_motion: least mean flow in px of a target to both of its neighbours.
        holdout: share of each clip, at its end, kept for validation.
        overwrite: replace a store of other inputs or options.
        max_frames: read at most so many frames of each clip.
        progress: show a progress line and a summary.

    Raises:
        DataError: inputs which cannot be used (the message says which and why).
        ConfigError: an option with an impossible value.
        RunFolderError: the output folder is in use, not writable, or its disk is full.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not inputs:
        raise ConfigError("Nothing to prepare: name at least one video, folder or data set.")
    options = _Options(size, intrinsics, intrinsics_size, fov, target_motion, min_motion, holdout, max_frames)
    out = Path(out)
    request = {"format": VERSION, "inputs": fingerprint(inputs), "options": vars(options)}
    request = json.loads(json.dumps(request))  # as it will be read back
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            if not _is_done(out, request, overwrite):
                with ProgressLine(progress) as line:
                    _build(inputs, out, options, request, line)
    store = FrameStore.open(out)
    if progress:
        print_summary(store)
    return store


def _is_done(out: Path, request: dict[str, Any], overwrite: bool) -> bool:
    """Return whether the store asked for is there already; otherwise make sure ``out`` may be written."""
    work = out / WORK_FOLDER
    if (work / "request.json").is_file() and read_json(work / "request.json") == request:
        return False  # continue
    index = read_json(out / INDEX_FILE) if (out / INDEX_FILE).is_file() else None
    if index is not None and index.get("request") == request and not overwrite and not work.exists():
        return True
    if index is None and not work.exists() and any(out.iterdir()):
        raise RunFolderError(f"{out} is not empty and holds no frame store. Choose another folder for --out.")
    if (index is not None or work.exists()) and not overwrite:
        what = "an unfinished store" if work.exists() else "a store"
        raise RunFolderError(
            f"{out} holds {what} of other inputs or options. Choose another folder for --out, or pass "
            "--overwrite to replace it."
        )
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_json(work / "request.json", request)
    return False


def _build(
    inputs: Sequence[str | Path], out: Path, options: _Options, request: dict[str, Any], line: ProgressLine
) -> None:
    """Fill the working folder clip by clip and move it into place."""
    work = out / WORK_FOLDER
    if not (work / INDEX_FILE).is_file():
        clips = [clip for spec in inputs for clip in open_source(spec)]
        for clip in clips:
            check_frame_size(clip.size, clip.name)
        size = options.size or working_size(clips[0].size)
        cameras = [_camera(clip, options) for clip in clips]
        _check_space(clips, size, out, options.max_frames)
        infos, notes = _prepare_clips(clips, cameras, size, options, work, line)
        _write_index(work, infos, notes, size, clips, request)
    if not (work / SHEET_FILE).is_file():
        _draw_sheet(work)
    _publish(work, out)


def _camera(clip: SourceClip, options: _Options) -> Camera:
    given = parse_intrinsics(options.intrinsics) if options.intrinsics else None
    return choose_camera(
        clip.size, clip.intrinsics, given=given, given_size=options.intrinsics_size, fov=options.fov
    )


def _prepare_clips(
    clips: list[SourceClip],
    cameras: list[Camera],
    size: tuple[int, int],
    options: _Options,
    work: Path,
    line: ProgressLine,
) -> tuple[list[ClipInfo], list[str]]:
    """Prepare every clip which is not done yet; return all clips of the store and the notes."""
    infos: list[ClipInfo] = []
    notes: list[tuple[str, str]] = []
    problems: list[str] = []
    repeated = Counter(clip.name for clip in clips)
    for number, (clip, camera) in enumerate(zip(clips, cameras, strict=True)):
        name = clip.name if repeated[clip.name] == 1 else f"{clip.name} ({number + 1})"
        done = work / f"clip_{number:03d}.json"
        if not done.is_file():
            first_row = sum(len(info.frames) for info in infos)
            result = _prepare_clip(clip, name, number, camera, size, first_row, options, work, line)
            write_json(done, result)
            shutil.rmtree(work / f"decoding_{number:03d}", ignore_errors=True)
        result = read_json(done)
        infos += [ClipInfo.from_json(values) for values in result["clips"]]
        notes += [(name, sentence) for sentence in result["notes"]]
        problems += result["problems"]
    if not any(info.train_end for info in infos):
        raise DataError(" ".join(problems) or "The inputs hold no frames.")
    return infos, grouped(notes) + problems


def _prepare_clip(
    clip: SourceClip,
    name: str,
    number: int,
    camera: Camera,
    size: tuple[int, int],
    first_row: int,
    options: _Options,
    work: Path,
    line: ProgressLine,
) -> dict[str, Any]:
    """Decode one source clip, choose its samples, append their frames to the store's file."""
    crop = central_crop(clip.size, size)
    depth_folder = f"{DEPTH_FOLDER}/{number:03d}"
    length = min(clip.length or options.max_frames or 0, options.max_frames or clip.length or 0) or None
    line.start(f"{name}: reading", length)
    decoded = decode(
        clip,
        work / f"decoding_{number:03d}",
        work / depth_folder,
        crop,
        size,
        max_frames=options.max_frames,
        advance=line.advance,
    )
    check_broken(decoded, name)
    pieces = find_pieces(decoded)
    line.start(f"{name}: measuring motion", len(decoded.frames))
    analysed = [
        analyse_piece(decoded, piece, options.target_motion, options.min_motion, line.advance)
        for piece in pieces
    ]
    usable = [piece for piece in analysed if piece.targets]
    with_depth = {entry.index for entry in decoded.entries if entry.depth}
    broken = [entry.error for entry in decoded.entries if entry.error is not None]
    infos = []
    for part, piece in enumerate(usable):
        info = _clip_info(
            clip, name if len(usable) == 1 else f"{name}#{part + 1}", piece, with_depth, options.holdout
        )
        values = info | {
            "crop": crop,
            "intrinsics": stored_intrinsics(camera.intrinsics, crop, size).tolist(),
            "intrinsics_known": camera.known,
            "first_row": first_row,
            "depth_folder": depth_folder if clip.has_depth else "",
            "broken": broken[:_NAMED_BROKEN] if part == 0 else [],
            "broken_count": len(broken) if part == 0 else 0,
        }
        infos.append(values)
        first_row += len(values["frames"])
    _append_frames(work / FRAMES_FILE, decoded, infos, size)
    return {
        "clips": infos,
        "notes": clip_notes(clip, camera, decoded, pieces, usable, crop),
        "problems": [] if usable else [why_nothing(name, decoded, analysed, options.min_motion)],
    }


def _clip_info(
    clip: SourceClip, name: str, piece: Piece, with_depth: set[int], holdout: float
) -> dict[str, Any]:
    """Return what the index says of a piece, without camera and place."""
    targets, motions = piece.targets or [], piece.target_motion or []
    train_end, val_start = hold_out(targets, piece.stride, holdout)
    used = {target + offset * piece.stride for target in targets for offset in (-1, 0, 1)}
    depth_frames = [frame for frame in piece.frames if frame in with_depth]
    return {
        "name": name,
        "source": clip.path,
        "kind": clip.kind,
        "original_size": clip.size,
        "fps": clip.fps,
        "stride": piece.stride,
        "motion": round(float(np.mean(motions)), 3),
        "frames": sorted(used | set(depth_frames)),
        "targets": targets,
        "target_motion": motions,
        "train_end": train_end,
        "val_start": val_start,
        "depth_frames": depth_frames,
        "still": piece.still,
    }


def _append_frames(path: Path, decoded: Decoded, infos: list[dict[str, Any]], size: tuple[int, int]) -> None:
    """Write the used frames as ``3 H W`` at their rows; leftovers of an interrupted attempt are cut off."""
    if not infos:
        return
    path.touch()
    with path.open("r+b") as file:
        file.truncate(infos[0]["first_row"] * 3 * size[0] * size[1])
        file.seek(0, os.SEEK_END)
        for info in infos:
            for frame in info["frames"]:
                file.write(np.ascontiguousarray(decoded.image(frame).transpose(2, 0, 1)).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _check_space(clips: list[SourceClip], size: tuple[int, int], out: Path, max_frames: int | None) -> None:
    """Raise early when the disk is plainly too small for the decoded frames."""
    lengths = [clip.length or 0 for clip in clips]
    frames = sum(min(length, max_frames) if max_frames else length for length in lengths)
    needed, free = frames * 3 * size[0] * size[1], shutil.disk_usage(out).free
    if needed > free:
        raise RunFolderError(
            f"About {needed / 1e9:.1f} GB are needed for {frames} frames of {size[1]}x{size[0]}, but the "
            f"disk of {out} has only "
            f"{free / 1e9:.1f} GB free. Free some, choose another --out, a smaller --size, or --max-frames."
        )


def _write_index(
    work: Path,
    infos: list[ClipInfo],
    notes: list[str],
    size: tuple[int, int],
    clips: list[SourceClip],
    request: dict[str, Any],
) -> None:
    """Write the index last of all: its presence says that the working folder is complete."""
    protocols = {clip.depth_protocol for clip in clips if clip.depth_protocol}
    index = {
        "format": FORMAT,
        "version": VERSION,
        "size": size,
        "depth_protocol": "kitti" if "kitti" in protocols else next(iter(protocols), None),
        "notes": notes,
        "request": request,
        "clips": [info.as_json() for info in infos],
    }
    write_json(work / INDEX_FILE, index)


def _draw_sheet(work: Path) -> None:
    from geopretrain.data.contact_sheet import draw_contact_sheet

    draw_contact_sheet(FrameStore.open(work), work / SHEET_FILE)


def _publish(work: Path, out: Path) -> None:
    """Move the finished parts into place, the index last; safe to repeat after an interruption."""
    if (work / FRAMES_FILE).exists():
        (out / INDEX_FILE).unlink(missing_ok=True)
        if (out / DEPTH_FOLDER).is_dir():
            shutil.rmtree(out / DEPTH_FOLDER)
    for name in (DEPTH_FOLDER, SHEET_FILE, FRAMES_FILE, INDEX_FILE):
        if (work / name).exists():
            os.replace(work / name, out / name)
    shutil.rmtree(work)
