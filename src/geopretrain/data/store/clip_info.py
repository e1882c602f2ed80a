"""What the index of a store says of one clip."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from geopretrain.records import Finite, Flag, Index, Length, Real, Text

Size = tuple[Length, Length]
Matrix = list[list[Finite]]

_NOT_CONTENT = {
    *("name", "source", "kind", "fps", "camera", "depth_folder", "broken", "broken_count", "static"),
    *("pose_frames", "pose_row", "pose_starts", "pose_unit", "pose_origin", "point_frames", "point_row"),
}
_ON_DISK = {"static": "still"}
"""Names in the index that differ from those here."""


@dataclass(frozen=True)
class ClipInfo:
    """What the index says of one clip (a source clip, or a segment of one between two scene cuts).

    Attributes:
        name: unique in the store.
        source: path or ``synthetic:...`` it was read from.
        kind: layout, see `geopretrain.data.readers`.
        original_size: (height, width) of the source's frames, px.
        crop: (top, left, height, width) of the part used, in px of the source's frames.
        fps: frames per second of the source, None when unknown.
        intrinsics: ``3 3`` in px of the stored frames.
        intrinsics_known: False when the field of view was assumed.
        stride: distance between the frames of a sample, in source frames.
        motion: mean optical flow between neighbouring frames of a sample, px of the stored frames; 0 for
            still images.
        first_row: position of the clip's first stored frame in ``frames.u8``.
        frames: source numbers of the stored frames, ascending.
        targets: source numbers of the frames that are targets of samples.
        target_motion: mean flow to the previous and the next frame per target, px.
        train_end, val_start: ``targets[:train_end]`` are training samples, ``targets[val_start:]``
            validation; with (0, number of targets), all are for testing (`for_test`).
        depth_frames: source numbers of the stored frames which have a depth map.
        depth_folder: folder of the depth maps inside the store.
        depth_row: position of the first depth map in ``depth.f16``, which holds those of ``depth_frames``.
        stereo_frames: source numbers of the targets which have a right image.
        stereo_row: position of the first right image in ``stereo.u8``, which holds those of
            ``stereo_frames``.
        stereo_intrinsics: ``3 3`` of the right camera in px of the stored frames, None without stereo.
        T_to_stereo: ``4 4``, m, maps points of the camera into the right one; None without stereo.
        pose_frames: source numbers of the stored frames which have a pose.
        pose_row: position of the first pose in ``poses.f64``, which holds those of ``pose_frames``.
        pose_starts: those of ``pose_frames`` with which another world begins: poses before and after have
            nothing in common.
        pose_unit: of the poses.
        pose_origin: where the poses are from, in words.
        point_frames: those of ``pose_frames`` which have sparse points.
        point_row: position of the first of these in ``points.f32``, which holds those of ``point_frames``.
        broken: sentences about frames that could not be read (the first ones), told with a clip's first
            segment.
        broken_count: number of frames that could not be read.
        static: number of frames left out as targets because the picture hardly moves.
        camera: where the camera is from, in words; empty in stores of earlier versions.
    """

    name: Text
    source: Text
    kind: Text
    original_size: Size
    crop: tuple[Index, Index, Length, Length]
    fps: Real | None
    intrinsics: Matrix
    intrinsics_known: Flag
    stride: Length
    motion: Real
    first_row: Index
    frames: list[Index]
    targets: list[Index]
    target_motion: list[tuple[Real, Real]]
    train_end: Index
    val_start: Index
    depth_frames: list[Index] = field(default_factory=list)
    depth_folder: Text = ""
    depth_row: Index = 0
    stereo_frames: list[Index] = field(default_factory=list)
    stereo_row: Index = 0
    stereo_intrinsics: Matrix | None = None
    T_to_stereo: Matrix | None = None
    pose_frames: list[Index] = field(default_factory=list)
    pose_row: Index = 0
    pose_starts: list[Index] = field(default_factory=list)
    pose_unit: Text = "m"
    pose_origin: Text = ""
    point_frames: list[Index] = field(default_factory=list)
    point_row: Index = 0
    broken: list[Text] = field(default_factory=list)
    broken_count: Index = 0
    static: Index = 0
    camera: Text = ""

    def as_json(self) -> dict[str, Any]:
        """Return the clip as it is written to the index."""
        left_away = () if self.point_frames else ("point_frames", "point_row")
        values = {name: value for name, value in vars(self).items() if name not in left_away}
        return {_ON_DISK.get(name, name): value for name, value in values.items()}

    def content(self) -> dict[str, Any]:
        """Return what a reader of the samples sees, without names, places and what was remarked on."""
        return {name: value for name, value in vars(self).items() if name not in _NOT_CONTENT}

    @classmethod
    def named_as_here(cls, values: Any) -> Any:
        """Return what a file says of a clip under the names of the fields; unchecked."""
        if not isinstance(values, dict):
            return values
        names = {_ON_DISK.get(f.name, f.name): f.name for f in fields(cls)}
        return {names[name]: value for name, value in values.items() if name in names}

    @property
    def sample_frames(self) -> set[int]:
        """Frames which belong to a triplet of the clip."""
        return {target + offset * self.stride for target in self.targets for offset in (-1, 0, 1)}

    @property
    def for_test(self) -> bool:
        """Whether its targets are neither for training nor for validation."""
        return bool(self.targets) and self.train_end == 0 and self.val_start == len(self.targets)

    @property
    def first_held_out(self) -> int:
        """From this frame on none is in a training sample; past the end where all are."""
        if self.for_test:
            return self.frames[0]
        if self.val_start >= len(self.targets):
            return self.frames[-1] + 1
        last_trained = self.targets[self.train_end - 1] + self.stride if self.train_end else -1
        return max(last_trained + 1, self.targets[self.val_start] - self.stride)
