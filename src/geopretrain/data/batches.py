"""The two kinds of batch that travel from the data room to a task."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class ClipBatch:
    """Neighbouring frames of video.

    Attributes:
        images: ``B F 3 H W``, uint8 as read from the store, float in [0, 1] after augmentation; frame 0 is
            the target.
        intrinsics: ``B 3 3``, pixels of these images, one per sample.
        offsets: time of each of the F frames relative to the target, in units of the clip's stride, e.g.
            ``(0, -1, 1)``.
        index: ``B`` int64, position of each sample in the store's list of samples.
        jittered: ``B F 3 H W`` float, colour-jittered copy for the networks; None before augmentation. The
            loss always uses ``images``.
    """

    images: Tensor
    intrinsics: Tensor
    offsets: tuple[int, ...]
    index: Tensor
    jittered: Tensor | None = None

    def to(self, device: str) -> ClipBatch:
        """Return the batch on ``device``."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            intrinsics=self.intrinsics.to(device, non_blocking=True),
            index=self.index.to(device, non_blocking=True),
            jittered=None if self.jittered is None else self.jittered.to(device, non_blocking=True),
        )


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
