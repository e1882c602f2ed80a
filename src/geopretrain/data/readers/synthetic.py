"""Synthetic worlds as clips with exact depth: ``synthetic:street?frames=600&seed=1&worlds=4``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np

from geopretrain.data.dataset import SYNTHETIC
from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.data.structure import Plane, Structure
from geopretrain.errors import ConfigError, nearest_name

if TYPE_CHECKING:
    from geopretrain.synthetic import WorldFrame

DEFAULTS: dict[str, int] = {
    "frames": 300, "seed": 0, "worlds": 1, "height": 96, "width": 320, "stereo": 1, "structure": 0,
}  # fmt: skip
FLAT = ("floor", "wall", "ceiling")
"""Classes of which each solid is a plane, as it is seen."""
JUMP = 0.1
"""Difference in depth of neighbouring pixels of two solids, relative to the nearer, that is a boundary."""


class SyntheticClip(SourceClip):
    """One seeded world."""

    kind = "synthetic"
    title = "a synthetic world"

    def __init__(
        self,
        kind: str,
        seed: int,
        frames: int,
        size: tuple[int, int],
        stereo: bool = True,
        structured: bool = False,
    ) -> None:
        from geopretrain.synthetic import make_world

        self.world = make_world(kind, seed, frames, size=size)
        self._last: WorldFrame | None = None
        name, usual = f"{kind}-{seed}", (DEFAULTS["height"], DEFAULTS["width"])
        sized = "" if tuple(size) == usual else f"&height={size[0]}&width={size[1]}"
        super().__init__(
            name,
            f"{SYNTHETIC}{kind}?frames={frames}&seed={seed}{sized}",
            size,
            fps=float(self.world.fps),
            length=frames,
        )
        self.calibrated_size = size
        self.intrinsics = np.asarray(self._render(0).intrinsics, dtype=np.float64)
        self.has_depth = True
        self.depth_protocol = "dense"
        self.has_poses = True
        self.structured = structured
        self.has_stereo = stereo
        self.stereo_intrinsics = self.intrinsics.copy() if stereo else None
        self.T_to_stereo = np.eye(4) if stereo else None
        if self.T_to_stereo is not None:
            self.T_to_stereo[0, 3] = -self.world.baseline

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the rendered frames."""
        for index in range(start, self.world.num_frames):
            yield Frame(index, f"frame {index}", np.asarray(self._render(index).image))

    def depth(self, index: int) -> np.ndarray | None:
        """Return the exact depth, float32 ``H W`` metres, 0 where there is no surface."""
        depth = np.asarray(self._render(index).depth, dtype=np.float32)
        return np.where(np.isfinite(depth), depth, np.float32(0))

    def stereo(self, index: int) -> np.ndarray | None:
        """Return the picture of the camera ``world.baseline`` m to the right, ``H W 3`` uint8."""
        return np.asarray(self._render(index).stereo()) if self.has_stereo else None

    def pose(self, index: int) -> np.ndarray | None:
        """Return the exact pose, ``4 4`` from the camera to the world, m."""
        return np.linalg.inv(np.asarray(self._render(index).pose, np.float64))

    def structure(self, index: int) -> Structure | None:
        """Return where depth jumps and what is flat, where that is asked for."""
        if not self.structured:
            return None
        frame = self._render(index)
        solids, depth = frame.hits
        names = [self.world.class_names[kind] for kind in self.world.scene.semantic]
        seen = [int(one) for one in np.unique(solids) if one >= 0 and names[one] in FLAT]
        planes = [Plane(names[one], solids == one) for one in seen]
        return Structure(_boundaries(solids, depth), planes, np.asarray(self.intrinsics))

    def _render(self, index: int) -> WorldFrame:
        """Return a rendered frame; the last is kept, because image and depth are asked for in turn."""
        if self._last is None or self._last.index != index:
            self._last = self.world.frame(index)
        return self._last


def open_synthetic(spec: str) -> list[SyntheticClip]:
    """Return one clip per world of ``synthetic:KIND?frames=..&seed=..&worlds=N`` (worlds have seeds seed,
    seed+1, ...); with ``stereo=0`` without the right image, which takes half of the rendering; with
    ``structure=1`` depth boundaries and planes are known, too.

    Raises:
        ConfigError: unknown kind or option, or a value that is no positive whole number.
    """
    kind, options = parse_world(spec, DEFAULTS, may_be_zero=("seed", "stereo", "structure"))
    size = (options["height"], options["width"])
    more = (bool(options["stereo"]), bool(options["structure"]))
    return [
        SyntheticClip(kind, options["seed"] + i, options["frames"], size, *more)
        for i in range(options["worlds"])
    ]


def _boundaries(solids: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return the pixels ``H W`` bool of a nearer solid beside which a farther one is seen."""
    edges = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        for back in (False, True):
            here, there = (np.flip(one, axis) if back else one for one in (solids, depth))
            first, second = ([slice(None)] * 2 for _ in range(2))
            first[axis], second[axis] = slice(None, -1), slice(1, None)
            one, other = tuple(first), tuple(second)
            jumps = (here[one] != here[other]) & (there[other] > (1 + JUMP) * there[one])
            (np.flip(edges, axis) if back else edges)[one] |= jumps
    return edges


def parse_world(
    spec: str, defaults: Mapping[str, int], may_be_zero: Sequence[str] = ("seed",)
) -> tuple[str, dict[str, int]]:
    """Return kind and options of ``synthetic:KIND?name=number&...``, those not given from ``defaults``.

    Raises:
        ConfigError: unknown option, or a value that is no whole number, or 0 where that makes no sense.
    """
    kind, _, query = spec.removeprefix(SYNTHETIC).partition("?")
    options = dict(defaults)
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in options:
            raise ConfigError(
                f"'{spec}': unknown option '{name}'; known are "
                f"{', '.join(options)}.{nearest_name(name, options)}"
            )
        if not value.isdigit() or (name not in may_be_zero and int(value) < 1):
            raise ConfigError(f"'{spec}': {name} must be a whole number above 0, not '{value}'.")
        options[name] = int(value)
    return kind, options
