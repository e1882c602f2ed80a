"""How near it is what labelled images show, as a depth network sees it; computed once, kept beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopretrain.console import console
from geopretrain.data.batches import BEYOND, LabelledBatch
from geopretrain.data.cache import RowCache
from geopretrain.data.dataset import IMAGES, Description, Fields, Positions, PseudoDepthInfo, positions
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet

ENDS = (0.01, 0.99)
"""Quantiles of an image's inverse depth that become 0 and 1; what lies outside is cut."""
_STEPS = 65_534
"""Of a stored value, 16 bits; 0 stands for `BEYOND`."""


def relative_nearness(values: Tensor, info: PseudoDepthInfo) -> Tensor:
    """Return inverse depth from 0 (farthest) to 1 (nearest) within each image, `BEYOND` where there is none.

    Depth that is known up to an offset has no inverse: it is turned round instead.

    Args:
        values: ``B H W`` as a teacher gave them, of any scale.
        info: what they mean.
    """
    known = torch.isfinite(values)
    if info.meaning != "scale_shift":
        known &= values > 0
    safe = torch.where(known, values.float(), 1.0)
    near = safe
    if info.quantity == "depth":
        near = -safe if info.meaning == "scale_shift" else 1 / safe
    return torch.stack([_within(one, there) for one, there in zip(near, known, strict=True)])


def _within(near: Tensor, known: Tensor) -> Tensor:
    if not bool(known.any()):
        return torch.full_like(near, BEYOND)
    low, high = np.quantile(near[known].cpu().numpy(), ENDS)
    scaled = ((near - low) / max(high - low, np.finfo(np.float32).tiny)).clamp(0, 1)
    return torch.where(known, scaled, BEYOND)


@dataclass(frozen=True)
class Look:
    """Something that says how near it is what images show.

    Attributes:
        identity: hexadecimal digits that change when it does.
        see: images ``B 3 H W`` uint8 in, `relative_nearness` ``B H W`` out.
    """

    identity: str
    see: Callable[[Tensor], Tensor]


class WithNearness:
    """Labelled images whose batches also say how near it is what they show, see `LabelledBatch`.

    Args:
        labelled: the images.
        look: what sees them; asked once for each image.
    """

    def __init__(self, labelled: LabelledSet, look: Look) -> None:
        self.labelled, self.look = labelled, look

    def __len__(self) -> int:
        return len(self.labelled)

    def splits(self, fields: Fields = IMAGES) -> dict[str, NDArray[np.int64]]:
        """Return the positions of the images of each split (raises as `LabelledSet.splits` does)."""
        return self.labelled.splits(fields)

    def read(self, indices: Positions, fields: Fields = LABELS) -> LabelledBatch:
        """Read images with the fields asked for and their nearness (raises as `LabelledSet.read` does)."""
        batch = self.labelled.read(indices, fields)
        rows = self._kept.read(positions(indices, len(self)), self._make_row)
        stored = torch.from_numpy(rows.view("<u2").astype(np.int64)).view(len(batch), 1, *self.labelled.size)
        return replace(batch, nearness=torch.where(stored > 0, (stored - 1) / _STEPS, BEYOND))

    def check(self, indices: Positions, fields: Fields = LABELS) -> None:
        """Make sure that the images can be read, and look at those that were not looked at yet."""
        self.labelled.check(indices, fields)
        missing = self._kept.missing(np.unique(positions(indices, len(self))))
        if not len(missing):
            return
        self._kept.check_space(len(missing))
        with console.progress("looking how near it is", len(missing), unit="images") as line:
            for row in missing.tolist():
                self._kept.make(row, self._make_row)
                line.advance(1)

    def names(self, indices: Positions) -> list[str]:
        """Return the file name of each image within the data set."""
        return self.labelled.names(indices)

    def describe(self) -> Description:
        """Return what it is."""
        return self.labelled.describe()

    def fingerprint(self, fields: Fields = LABELS) -> str:
        """Return that of the labelled images."""
        return self.labelled.fingerprint(fields)

    @cached_property
    def _kept(self) -> RowCache:
        height, width = self.labelled.size
        return self.labelled.rows_beside(f"nearness-{self.look.identity}", 2 * height * width)

    def _make_row(self, row: int) -> NDArray[np.uint8]:
        near = self.look.see(self.labelled.read([row], IMAGES).images)[0]
        stored = torch.where(near >= 0, (near * _STEPS).round() + 1, 0)
        values: Any = stored.cpu().numpy().astype("<u2")
        return np.frombuffer(values.tobytes(), np.uint8)
