"""From video to frame store: decode once, resize, measure motion, choose samples, write a contact sheet.

Work goes on in ``OUT/.preparing``, which becomes the store by one rename at the very end (`publishing`), so
that an interruption at any moment loses nothing: the same command continues, and an older store stays usable
until the new one is complete.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import accumulate
from pathlib import Path
from typing import Any

from geopretrain.console import ProgressLine, console
from geopretrain.data.dataset import SYNTHETIC
from geopretrain.data.fingerprint import unread
from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.calibrate.clips import need_colmap, with_estimated_cameras
from geopretrain.data.prepare.clip import PreparedClip, prepare_clip
from geopretrain.data.prepare.decoding import Decoding, decoded_ahead
from geopretrain.data.prepare.intrinsics import parse_intrinsics
from geopretrain.data.prepare.publishing import finish_publishing, publish
from geopretrain.data.prepare.segments import hold_out_clips
from geopretrain.data.prepare.source_summary import summarise, write_summary
from geopretrain.data.prepare.sources import HELD_OUT, Sources, inputs_by_role, open_sources
from geopretrain.data.prepare.summary import print_summary, tell_left_out
from geopretrain.data.prepare.warnings import grouped
from geopretrain.data.readers import SourceClip
from geopretrain.data.readers.cameras.beside import files_beside
from geopretrain.data.sizes import working_size
from geopretrain.data.spec import place_of
from geopretrain.data.store.clip_info import ClipInfo
from geopretrain.data.store.folders import DISCARDED, discard, read_json, save_json, storage_errors
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.index import (
    FRAMES_FILE,
    INDEX_FILE,
    SHEET_FILE,
    VERSION,
    WORK_FOLDER,
    StoreIndex,
    has_index,
)
from geopretrain.data.store.sharded.index import is_url
from geopretrain.errors import ConfigError, DataError, RunFolderError, UserError
from geopretrain.folders import foreign, owned
from geopretrain.wording import in_px

_LATER = {"range", "camera_file", "calibrate", "crop", "val", "test"}
"""Options that stores of earlier versions do not have; left away, they are left out of the request."""


def prepare(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    options: PreparationOptions | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
    wait: bool = True,
    finish: Callable[[], object] | None = None,
    **given: Any,
) -> FrameStore:
    """Prepare videos, image folders or data sets as one frame store.

    Repeat the call to continue an interrupted one.

    Args:
        inputs: paths or ``synthetic:...``; each may hold several clips.
        out: folder of the store.
        options: of the preparation.
        overwrite: replace a store of other inputs or options.
        progress: show a progress line and a summary.
        wait: for another process that prepares into the same folder, rather than refusing.
        finish: called at the end, while the folder is still held.
        given: fields of `PreparationOptions`, instead of ``options``.

    Raises:
        DataError: inputs which cannot be used (the message says which and why).
        ConfigError: an option with an impossible value.
        RunFolderError: the output folder is in use, not writable, or its disk is full.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not inputs:
        raise ConfigError("Nothing to prepare: name at least one video, folder or data set.")
    _refuse_addresses(inputs, out)
    options = PreparationOptions(**given) if options is None else options
    if options.intrinsics is not None:
        parse_intrinsics(options.intrinsics)
    if options.calibrate is not None:
        need_colmap()
    chosen = {field.name: getattr(options, field.name) for field in fields(PreparationOptions)}
    chosen = {name: value for name, value in chosen.items() if value is not None or name not in _LATER}
    out = Path(out)
    request = {"format": VERSION, "inputs": unread(inputs), "options": chosen}
    request |= _others(inputs, options) | _cameras(inputs, options)
    request = json.loads(json.dumps(request))  # as it will be read back
    with console.showing(progress):
        with storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(out)
            with owned(out, patience=None if wait else 0):
                if not _is_done(out, request, overwrite):
                    with console.progress("preparing", None, unit="frames") as line:
                        _build(inputs, out, options, request, line)
                if finish is not None:
                    finish()
        store = FrameStore.open(out)
        if progress:
            print_summary(store)
        tell_left_out(store)
    return store


def _refuse_addresses(inputs: Sequence[str | Path], out: str | Path) -> None:
    """Raise the ConfigError about an address where a folder is needed."""
    for one in inputs:
        if is_url(one):
            raise ConfigError(f"'{one}' is an address, and video is read from a disk. Copy it there first.")
    if is_url(out):
        raise ConfigError(
            f"A store is prepared on a disk, not in '{out}'. Give --out a folder, then send that with "
            f"`geopretrain data upload FOLDER {out}`."
        )


def _others(inputs: Sequence[str | Path], options: PreparationOptions) -> dict[str, Any]:
    """Return what tells apart the data for validation and testing; nothing where none are given."""
    by_role = inputs_by_role(inputs, options)
    return {role: unread(by_role[role]) for role in HELD_OUT if by_role[role]}


def _cameras(inputs: Sequence[str | Path], options: PreparationOptions) -> dict[str, Any]:
    """Return what tells apart the files of cameras outside of the inputs; nothing where there are none."""
    if options.intrinsics is not None:
        return {}
    given = [spec for several in inputs_by_role(inputs, options).values() for spec in several]
    paths = [place_of(str(spec)) for spec in given if not str(spec).startswith(SYNTHETIC)]
    files = [file for path in paths for file in files_beside(path)]
    if options.camera_file is not None:
        files = [Path(options.camera_file)]
    return {"cameras": unread(files)} if files else {}


def _refuse_foreign(out: Path) -> None:
    """Raise RunFolderError where a folder holds something and no store, not even an unfinished one."""
    there = [name for name in foreign(out) if not name.startswith(DISCARDED)]
    if there and not has_index(out) and WORK_FOLDER not in there:
        raise RunFolderError(f"{out} is not empty and holds no frame store. Choose another folder for --out.")


def _is_done(out: Path, request: dict[str, Any], overwrite: bool) -> bool:
    """Return whether the store asked for is there already; otherwise make sure ``out`` may be written."""
    work = out / WORK_FOLDER
    finished = finish_publishing(out)  # where a kill had left that to do
    begun = read_json(work / "request.json") if (work / "request.json").is_file() else None
    if begun == request:
        return False  # continue
    index = read_json(out / INDEX_FILE) if (out / INDEX_FILE).is_file() else None
    asked_for = index is not None and index.get("request") == request
    if asked_for and begun is None and (not overwrite or finished == request):
        discard(work)
        return True
    if (index is not None or begun is not None) and not overwrite:
        what = "an unfinished store" if begun is not None else "a store"
        raise RunFolderError(
            f"{out} holds {what} of other inputs or options. Choose another folder for --out, or pass "
            "--overwrite to replace it."
        )
    discard(work)
    work.mkdir()
    save_json(work / "request.json", request)
    return False


def _build(
    inputs: Sequence[str | Path],
    out: Path,
    options: PreparationOptions,
    request: dict[str, Any],
    line: ProgressLine,
) -> None:
    """Fill the working folder clip by clip and move it into place."""
    work = out / WORK_FOLDER
    if not (work / INDEX_FILE).is_file():
        sources = _sources(inputs, options, work, line)
        size = working_size(sources.clips[0].size, options.size)
        _check_space(sources.clips, size, out, options.max_frames)
        infos, warnings = _prepare_clips(sources, size, options, work, line)
        _write_index(work, infos, warnings, size, sources.clips, request, options)
    if (work / FRAMES_FILE).is_file() and not (work / SHEET_FILE).is_file():
        _draw_sheet(work)
    publish(work, out)


def _sources(
    inputs: Sequence[str | Path], options: PreparationOptions, work: Path, line: ProgressLine
) -> Sources:
    """Open the inputs; where they cannot be used, other options may be tried in the same folder."""

    def calibrated(clips: list[SourceClip]) -> list[SourceClip]:
        if options.calibrate is None or options.intrinsics is not None:
            return clips
        return with_estimated_cameras(clips, options.calibrate, work, line)

    try:
        return open_sources(inputs, options, calibrated)
    except UserError:
        if [path.name for path in work.iterdir()] == ["request.json"]:  # nothing is decoded yet
            discard(work)
        raise


def _prepare_clips(
    sources: Sources,
    size: tuple[int, int],
    options: PreparationOptions,
    work: Path,
    line: ProgressLine,
) -> tuple[list[ClipInfo], list[str]]:
    """Prepare every clip which is not done yet; return all clips of the store and the warnings."""
    infos: list[ClipInfo] = []
    warnings: list[tuple[str, str]] = []
    prepared: list[PreparedClip] = []
    clips = _decodings(sources, size)
    with decoded_ahead([clip for clip in clips if not _done(work, clip)], work, options) as ahead:
        for clip in clips:
            if not _done(work, clip):
                clip.show(line, options.max_frames or clip.clip.length)
                result = prepare_clip(clip, next(ahead), infos, options, work, line)
                save_json(_result_file(work, clip), result.as_json())
                shutil.rmtree(work / clip.folder, ignore_errors=True)
            result = PreparedClip.from_json(read_json(_result_file(work, clip)), _result_file(work, clip))
            prepared.append(result)
            infos += result.clips
            warnings += [(clip.name, sentence) for sentence in result.warnings]
    unusable = [one.reason for one in sources.unusable]
    problems = unusable + [problem for result in prepared for problem in result.problems]
    if options.holdout > 0 and options.val is None:
        infos = hold_out_clips(infos, options.holdout)
    if nothing := _why_nothing(infos, options, problems):
        discard(work)  # other options may be tried in the same folder
        raise DataError(nothing)
    damaged = [sentence for result in prepared for sentence in result.left_out]
    _write_summary(work, prepared, infos, options.still_images, [*unusable, *damaged])
    return infos, grouped(warnings) + problems


def _why_nothing(infos: list[ClipInfo], options: PreparationOptions, problems: list[str]) -> str | None:
    """Return the sentence about what was given for training, validation or testing and gives no sample."""
    why = " ".join(problems)
    if not any(info.train_end for info in infos):
        return why or "The inputs hold no frames."
    there = {"val": any(info.val_start < len(info.targets) for info in infos)}
    there["test"] = any(info.for_test for info in infos)
    for role in HELD_OUT:
        if getattr(options, role) is not None and not there[role]:
            return f"--{role} gives not one sample. {why}".rstrip()
    return None


def _decodings(sources: Sources, size: tuple[int, int]) -> list[Decoding]:
    """Return the clips with names that are unique in the store."""
    repeated = Counter(clip.name for clip in sources.clips)
    in_role = Counter((clip.name, clip.role) for clip in sources.clips)

    def name(number: int, clip: SourceClip) -> str:
        if repeated[clip.name] == 1:
            return clip.name
        once = clip.role is not None and in_role[clip.name, clip.role] == 1
        return f"{clip.name} ({clip.role if once else number + 1})"

    both = zip(sources.clips, sources.cameras, strict=True)
    return [
        Decoding(clip, name(number, clip), number, camera, size) for number, (clip, camera) in enumerate(both)
    ]


def _result_file(work: Path, clip: Decoding) -> Path:
    """Return the file that says what became of a clip, once it is done."""
    return work / f"clip_{clip.number:03d}.json"


def _done(work: Path, clip: Decoding) -> bool:
    return _result_file(work, clip).is_file()


def _write_summary(
    work: Path,
    prepared: list[PreparedClip],
    infos: list[ClipInfo],
    still_images: bool,
    left_out: list[str],
) -> None:
    """Write the table of what became of each source."""
    ends = list(accumulate((len(result.clips) for result in prepared), initial=0))
    write_summary(
        work,
        [
            summarise(result.statistics, infos[start:end], still_images)
            for result, start, end in zip(prepared, ends[:-1], ends[1:], strict=True)
        ],
        left_out,
    )


def _check_space(clips: list[SourceClip], size: tuple[int, int], out: Path, max_frames: int | None) -> None:
    """Raise early when the disk is plainly too small for the decoded frames."""
    lengths = [clip.length or 0 for clip in clips]
    frames = sum(min(length, max_frames) if max_frames else length for length in lengths)
    pixel_bytes = 3 + 3 * any(clip.has_stereo for clip in clips) + 2 * any(clip.has_depth for clip in clips)
    needed, free = frames * pixel_bytes * size[0] * size[1], shutil.disk_usage(out).free
    if needed > free:
        raise RunFolderError(
            f"About {needed / 1e9:.1f} GB are needed for {frames} frames of {in_px(size)}, but "
            f"the disk of {out} has only {free / 1e9:.1f} GB free. Free some, choose another --out, a "
            "smaller --size, or --max-frames."
        )


def _write_index(
    work: Path,
    infos: list[ClipInfo],
    warnings: list[str],
    size: tuple[int, int],
    clips: list[SourceClip],
    request: dict[str, Any],
    options: PreparationOptions,
) -> None:
    """Write the index last of all: its presence says that the working folder is complete."""
    protocols = {clip.depth_protocol for clip in clips if clip.depth_protocol}
    protocol = "kitti" if "kitti" in protocols else next(iter(protocols), None)
    index = StoreIndex(size, options.still_images, protocol, warnings, infos, request)
    save_json(work / INDEX_FILE, index.as_json())


def _draw_sheet(work: Path) -> None:
    from geopretrain.data.prepare.contact_sheet import draw_contact_sheet

    draw_contact_sheet(FrameStore.open(work), work / SHEET_FILE)
