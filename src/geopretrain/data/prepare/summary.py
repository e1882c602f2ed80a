"""A store in words and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geopretrain.console import console
from geopretrain.data.prepare.intrinsics import CHECK_CAMERA, DATA_SET, FROM_FOV, field_of_view_degrees
from geopretrain.data.prepare.source_summary import (
    in_words,
    read_left_out,
    read_summary,
    summary_table,
    total,
)
from geopretrain.data.prepare.verdict import judge_store
from geopretrain.data.store.index import SHEET_FILE
from geopretrain.wording import in_px, those

if TYPE_CHECKING:
    from geopretrain.data.store.clip_info import ClipInfo
    from geopretrain.data.store.frame_store import FrameStore

_CLIPS_LISTED, _REASONS_LISTED = 20, 5


def store_in_words(store: FrameStore) -> str:
    """Return what is in a store, in words, warnings included."""
    count = _count(len(store.clips), "clip")
    lines = [f"Frame store {store.place}: {count}, {samples_in_words(store)} of {in_px(store.size)}."]
    sources = read_summary(store.path)
    lines += [f"  {in_words(total(sources))}."] if sources else []
    lines += [f"  {_clip_line(store, number)}" for number in range(len(store.clips))][:_CLIPS_LISTED]
    if len(store.clips) > _CLIPS_LISTED:
        lines.append(f"  ... and {_count(len(store.clips) - _CLIPS_LISTED, 'more clip')}.")
    stereo = sum(len(clip.stereo_frames) for clip in store.clips)
    if stereo:
        motions = [np.array(clip.T_to_stereo) for clip in store.clips if clip.T_to_stereo]
        baselines = sorted({f"{np.linalg.norm(motion[:3, 3]):.3g}" for motion in motions})
        lines.append(f"Right images for {_count(stereo, 'target')}, baseline {', '.join(baselines)} m.")
    depth = store.depth_frames()
    if depth:
        lines.append(
            f"Measured depth ({store.depth_protocol}) for {_count(len(depth), 'frame')}, "
            f"{sum(held for *_, held in depth)} held out."
        )
    points = sum(len(clip.point_frames) for clip in store.clips)
    if points:
        lines.append(f"Sparse points of {_count(points, 'frame')}, for evaluate --protocol points-median.")
    if store.pseudo_depth is not None:
        lines.append(f"Pseudo-depth: {store.pseudo_depth.in_words()}.")
    return "\n".join(lines + [_remark(warning) for warning in store.warnings])


def samples_in_words(store: FrameStore) -> str:
    """Return e.g. ``90 training and 10 validation triplets``."""
    words = {"train": "training", "val": "validation", "test": "test"}
    counts = [f"{count} {words[split]}" for split, count in store.describe().counts.items()]
    kind = "still images" if store.still_images else "triplets"
    return f"{', '.join(counts[:-1])} and {counts[-1]} {kind}"


def print_summary(store: FrameStore) -> None:
    """Print table, warnings and where the contact sheet is."""
    sources = read_summary(store.path)
    if sources:
        title = f"{store.place}  ({in_px(store.size)})"
        console.show(summary_table(sources, title))
        console.say(
            "read: frames; kept: of these stored; static: too little motion; cut: a neighbour is missing "
            "(cuts, ends); px: mean flow between neighbouring frames of a sample"
        )
    for number in range(min(len(store.clips), _CLIPS_LISTED)):
        console.say(_clip_line(store, number))
    for warning in store.warnings:
        console.warn(_remark(warning))
    console.say(f"{judge_store(store)} Look at {store.path / SHEET_FILE} before training.")


def tell_left_out(store: FrameStore) -> None:
    """Say how many of the inputs are damaged, so that nothing of them is in the store; exit code 3."""
    left_out = read_left_out(store.path)
    if left_out:
        inputs = those(len(left_out), "input")
        console.warn_left_out(f"{inputs} damaged and not in the store, or only in part. {_some(left_out)}")


def _some(sentences: list[str]) -> str:
    more = len(sentences) - _REASONS_LISTED
    return " ".join(sentences[:_REASONS_LISTED]) + (f" And {more} more." if more > 0 else "")


def _clip_line(store: FrameStore, number: int) -> str:
    clip: ClipInfo = store.clips[number]
    horizontal, vertical = field_of_view_degrees(store.intrinsics(number), store.size)
    found = f"{clip.name}: {_count(len(clip.targets), 'triplet')}, stride {clip.stride}, "
    if store.still_images:
        found = f"{clip.name}: {_count(len(clip.targets), 'still image')}"
    parts = [
        found if store.still_images else f"{found}motion {clip.motion:.1f} px",
        *(["for testing"] if clip.for_test else []),
        f"field of view {horizontal:.0f}x{vertical:.0f} degrees{_origin(clip)}",
    ]
    if clip.static:
        parts.append(f"{_count(clip.static, 'frame')} static")
    if clip.broken_count:
        parts.append(f"{clip.broken_count} broken")
    return ", ".join(parts) + "."


def _origin(clip: ClipInfo) -> str:
    """Return where the camera is from, where that is not the data set itself."""
    if not clip.intrinsics_known:
        return " (given)" if clip.camera.startswith(FROM_FOV) else " (assumed)"
    return "" if clip.camera in ("", DATA_SET) else f" ({clip.camera})"


def _remark(warning: str) -> str:
    """Return a warning of the store; that of a camera which cannot be right stands out."""
    return f"{'WARNING' if CHECK_CAMERA in warning else 'Note'}: {warning}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
