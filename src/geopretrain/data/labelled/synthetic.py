"""Procedural worlds as labelled images: ``synthetic:street?train=64&val=24&test=48&seed=0``."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.data.dataset import SYNTHETIC
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import SPLITS, LabelledImage, LabelledSource
from geopretrain.data.readers.synthetic import parse_world

if TYPE_CHECKING:
    from geopretrain.synthetic import World

DEFAULTS = {"train": 64, "val": 24, "test": 48, "seed": 0}


def names_split(spec: str) -> bool:
    """Return whether worlds are named as labelled images, ``synthetic:street?test=4``, and not as frames."""
    query = spec.partition("?")[2] if spec.startswith(SYNTHETIC) else ""
    return any(part.partition("=")[0] in SPLITS for part in query.split("&"))


class LabelledWorlds(LabelledSource):
    """Frames of procedural worlds; train, val and test are different worlds.

    Frames lie ``SPACING`` apart, ``PER_WORLD`` from each world. Objects of which fewer than ``MIN_PIXELS``
    pixels are seen are none, as annotators leave them out: half of all there are have three or fewer.
    """

    PER_WORLD = 8
    SPACING = 12
    MIN_PIXELS = 16
    fields = ("labels", "depth", "boxes", "masks")
    rendered = True

    def __init__(self, spec: str) -> None:
        """Parse the specification (ConfigError for an unknown option or a value that is no number)."""
        self.world_kind, options = parse_world(spec, DEFAULTS)
        self.kind = f"synthetic {self.world_kind}"
        self.warnings = ("each split from worlds of its own",)
        self.counts, self.seed = {split: options[split] for split in SPLITS}, options["seed"]
        world = self._world(self._place("train", 0)[0], self.original_size())
        self.class_names = tuple(world.class_names)
        self.class_colours = np.asarray(world.class_colours, dtype=np.uint8)

    def name(self, split: str, index: int) -> str:
        """Return world and frame."""
        seed, frame = self._place(split, index)
        return f"{self.world_kind}-world{seed}-frame{frame}"

    def original_size(self) -> tuple[int, int]:
        """Return the size worlds are rendered at unless another is wanted."""
        return (96, 320)

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Render one frame at ``size``."""
        seed, number = self._place(split, index)
        frame = self._world(seed, size).frame(number)
        instance = np.asarray(frame.instance)
        boxes = np.asarray(frame.boxes, dtype=np.float32).reshape(-1, 6)
        masks = instance == boxes[:, 0].astype(np.int64)[:, None, None]
        seen = masks.sum((1, 2)) >= self.MIN_PIXELS
        boxes, masks = boxes[seen], masks[seen]
        return LabelledImage(
            image=np.asarray(frame.image),
            labels=np.asarray(frame.semantic).astype(np.uint8),
            depth=np.asarray(frame.depth, dtype=np.float32),
            boxes=boxes[:, 2:],
            box_labels=boxes[:, 1].astype(np.int64),
            masks=masks,
        )

    def unread(self) -> object:
        """Return what the pictures follow from: options, the renderer and the version of NumPy."""
        return [SYNTHETIC, self.world_kind, self.counts, self.seed, _renderer(), np.__version__]

    def fingerprint(self) -> str:
        """Return a digest of the options; the pictures follow from them."""
        return Digest().add([self.world_kind, self.counts, self.seed]).hex()

    def _place(self, split: str, index: int) -> tuple[int, int]:
        # Far from the small seeds people give to pre-training worlds, and a range of its own for each split.
        first = 10_000 * (self.seed + 1) + 3_000 * SPLITS.index(split)
        world, position = divmod(index, self.PER_WORLD)
        return first + world, position * self.SPACING

    def _world(self, seed: int, size: tuple[int, int]) -> World:
        return _world(self.world_kind, seed, self.SPACING * self.PER_WORLD, size)


@lru_cache(maxsize=16)
def _world(kind: str, seed: int, frames: int, size: tuple[int, int]) -> World:
    from geopretrain.synthetic import make_world

    return make_world(kind, seed, frames, size=size)


@lru_cache(maxsize=1)
def _renderer() -> str:
    """Return a digest of the renderer's source: another one draws other pictures."""
    import geopretrain.synthetic

    folder = Path(geopretrain.synthetic.__file__).parent
    sources = b"".join(file.read_bytes() for file in sorted(folder.glob("*.py")))
    return hashlib.sha256(sources).hexdigest()[:16]
