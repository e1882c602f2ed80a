"""The two kinds of batch that travel from the data room to a task."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from torch import Tensor


@dataclass(frozen=True)
class ClipBatch:
    """Neighbouring frames of video, with what else is known of the target where a task needs it.

    Attributes:
        images: ``B F 3 H W``, uint8 as read from the store, float in [0, 1] after augmentation; frame 0 is
            the target.
        intrinsics: ``B 3 3``, pixels of these images, one per sample.
        offsets: time of each of the F frames relative to the target, in units of the clip's stride, e.g.
            ``(0, -1, 1)``.
        index: ``B`` int64, position of each sample in the store's list of samples.
        jittered: ``B F 3 H W`` float, colour-jittered copy for the networks; None before augmentation. The
            loss always uses ``images``.
        clip: ``B`` int64, number of the clip each sample is from.
        stereo: ``B 3 H W``, the target's stereo partner, same type as ``images``.
        stereo_jittered: ``B 3 H W`` float, its copy for the networks; None before augmentation.
        stereo_intrinsics: ``B 3 3`` of the partner.
        T_target_to_stereo: ``B 4 4``, m.
        depth: ``B 1 H W`` float32 measured depth of the target, m, 0 = no measurement.
        pseudo_depth: ``B 1 H W`` float32 depth of the target by a teacher, 0 = none; see the store's
            ``pseudo_depth`` for its meaning.
    """

    images: Tensor
    intrinsics: Tensor
    offsets: tuple[int, ...]
    index: Tensor
    jittered: Tensor | None = None
    clip: Tensor | None = None
    stereo: Tensor | None = None
    stereo_jittered: Tensor | None = None
    stereo_intrinsics: Tensor | None = None
    T_target_to_stereo: Tensor | None = None
    depth: Tensor | None = None
    pseudo_depth: Tensor | None = None

    def to(self, device: str) -> ClipBatch:
        """Return the batch on ``device``."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {n: v.to(device, non_blocking=True) for n, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LabelledBatch:
    """Images with class maps.

    Attributes:
        images: ``B 3 H W``, uint8 as read, float in [0, 1] after augmentation.
        labels: ``B H W`` int64, class ids, 255 = ignore.
        index: ``B`` int64, position of each sample in its split.
    """

    images: Tensor
    labels: Tensor
    index: Tensor

    def to(self, device: str) -> LabelledBatch:
        """Return the batch on ``device``."""
        return LabelledBatch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.index.to(device, non_blocking=True),
        )
