"""What a store offers to learn from: how much, how it moves, and what is known of its cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.data.prepare.source_summary import length_in_words, read_summary, total
from geopretrain.data.prepare.summary import samples_in_words
from geopretrain.data.prepare.verdict import judge_store
from geopretrain.data.subsets import spread_positions
from geopretrain.wording import counted, in_px, sides

if TYPE_CHECKING:
    from geopretrain.advice.measurements import Camera
    from geopretrain.data.store.clip_info import ClipInfo
    from geopretrain.data.store.frame_store import FrameStore

MAX_TURNS = 200
"""Pairs of poses that are looked at, evenly spread."""
MOSTLY = 0.5
"""Share of the motion that turning must make to be called most of it."""


@dataclass(frozen=True)
class Video:
    """Facts of a store.

    Attributes:
        path: of the store.
        size: (height, width) of the frames, px.
        samples: number of samples in each split.
        clips: pieces without cuts.
        frames: that are stored.
        read: frames that they were chosen from; None in stores of earlier versions.
        hours: length of what was read, None where some frame rate is not known.
        static: frames left out because the picture hardly moves.
        motion: mean, smallest and largest mean of a clip, px between neighbours in a sample; None for still
            images.
        turning: part of this motion that the camera's rotation makes; None where no poses are known.
        cameras_known: clips whose camera is known.
        still_images: whether frames have no neighbours.
        grade: fit, little data or not fit.
        reasons: why it is no better.
    """

    path: str
    size: tuple[int, int]
    samples: dict[str, int]
    clips: int
    frames: int
    read: int | None
    hours: float | None
    static: int
    motion: tuple[float, float, float] | None
    turning: float | None
    cameras_known: int
    still_images: bool
    grade: str
    reasons: tuple[str, ...]

    @property
    def learnable(self) -> bool:
        """Whether geometry can be learned from it."""
        return self.grade != "not fit" and not self.still_images

    @property
    def camera_known(self) -> bool:
        """Whether the camera of all clips is."""
        return self.cameras_known == self.clips

    @property
    def mostly_turns(self) -> bool:
        """Whether it is known that the camera mostly turns, which shows no depth."""
        return self.camera == "turns"

    @property
    def camera(self) -> Camera | None:
        """What the camera mostly does, None where no poses are known."""
        if self.turning is None:
            return None
        return "turns" if self.turning > MOSTLY else "moves"


def facts_of(store: FrameStore) -> Video:
    """Return what a store says of itself."""
    sources, verdict = read_summary(store.path), judge_store(store)
    whole = total(sources) if sources else None
    return Video(
        path=store.place,
        size=store.size,
        samples=dict(store.describe().counts),
        clips=len(store.clips),
        frames=sum(len(clip.frames) for clip in store.clips),
        read=None if whole is None else whole.frames,
        hours=None if whole is None or any(one.hours is None for one in sources) else whole.hours,
        static=sum(clip.static for clip in store.clips),
        motion=_motion(store),
        turning=turning(store),
        cameras_known=sum(clip.intrinsics_known for clip in store.clips),
        still_images=store.still_images,
        grade=verdict.grade,
        reasons=verdict.reasons,
    )


def _motion(store: FrameStore) -> tuple[float, float, float] | None:
    pairs = [pair for clip in store.clips for pair in clip.target_motion]
    if store.still_images or not pairs:
        return None
    means = [clip.motion for clip in store.clips if clip.targets]
    return float(np.mean(pairs)), min(means), max(means)


def turning(store: FrameStore) -> float | None:
    """Return which part of the motion turning makes: angle times focal length beside the measured flow.

    None where no poses are known, or frames have no neighbours. What the angle would move the middle of the
    picture is an upper bound of its part for a camera that rolls.
    """
    known = [
        (number, target)
        for number, clip in enumerate(store.clips)
        if len(clip.pose_frames) > 1 and not store.still_images
        for target in clip.targets
    ]
    parts = [_part(store, *known[place]) for place in spread_positions(len(known), MAX_TURNS)]
    found = [part for part in parts if part is not None]
    return float(np.mean(found)) if found else None


def _part(store: FrameStore, number: int, target: int) -> float | None:
    clip: ClipInfo = store.clips[number]
    after = target + clip.stride
    motion = clip.target_motion[clip.targets.index(target)][1]
    if any(target < start <= after for start in clip.pose_starts) or motion <= 0:
        return None
    poses = store.pose(number, target), store.pose(number, after)
    if poses[0] is None or poses[1] is None:
        return None
    rotation = poses[0][:3, :3].T @ poses[1][:3, :3]
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    return float(min(1.0, store.intrinsics(number)[0, 0] * angle / motion))


def in_words(video: Video, store: FrameStore) -> list[str]:
    """Return facts as sentences."""
    of = "" if video.read is None else f" of {video.read} that were read"
    long = "" if video.hours is None else f" ({length_in_words(video.hours)})"
    said = [
        f"{counted(video.frames, 'frame')}{of}{long} in {counted(video.clips, 'clip')}, {in_px(video.size)}: "
        f"{samples_in_words(store)}.",
        *_moving(video),
        _cameras(video),
    ]
    if video.grade != "fit":
        said.append(f"{judge_store(store)}")
    return said


def _moving(video: Video) -> list[str]:
    if video.motion is None:
        return ["They are still images: neighbours in time, which geometry is learned from, are not there."]
    mean, low, high = video.motion
    span = f" ({low:.1f} to {high:.1f} px in its clips)" if video.clips > 1 else ""
    still = "no frame was" if not video.static else f"{counted(video.static, 'frame')} were"
    said = [
        f"From frame to frame of a sample the picture moves by {mean:.1f} px on average{span} at "
        f"{sides(video.size)}; {still} left out because it hardly moves."
    ]
    if video.turning is None:
        return [
            *said,
            "How much of that is the camera turning, which shows no depth, is not known: no poses.",
        ]
    return [
        *said,
        f"Up to {video.turning:.0%} of that is the camera turning, which shows no depth; the rest is the "
        "camera moving, or things.",
    ]


def _cameras(video: Video) -> str:
    if video.camera_known:
        return "The camera is known (data set, calibration, or given)."
    guessed = video.clips - video.cameras_known
    which = f"{guessed} of the {video.clips} clips" if video.cameras_known else "all clips"
    return (
        f"The camera of {which if video.clips > 1 else 'the video'} is guessed: a field of view was given or "
        "assumed."
    )
