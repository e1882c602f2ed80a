"""Synthetic worlds as clips with exact depth: ``synthetic:street?frames=600&seed=1&worlds=4``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.errors import ConfigError, nearest_name

PREFIX = "synthetic:"
KINDS = ("street", "rooms")
DEFAULTS: dict[str, int] = {"frames": 300, "seed": 0, "worlds": 1, "height": 96, "width": 320, "stereo": 1}

_MAY_BE_ZERO = ("seed", "stereo")


class SyntheticClip(SourceClip):
    """One seeded world."""

    kind = "synthetic"

    def __init__(self, kind: str, seed: int, frames: int, size: tuple[int, int], stereo: bool = True) -> None:
        from geopretrain.synthetic import make_world

        self.world = make_world(kind, seed, frames, size=size)
        name = f"{kind}-{seed}"
        super().__init__(
            name,
            f"{PREFIX}{kind}?frames={frames}&seed={seed}",
            size,
            fps=float(self.world.fps),
            length=frames,
        )
        self.intrinsics = np.asarray(self._render(0).intrinsics, dtype=np.float64)
        self.has_depth = True
        self.depth_protocol = "dense"
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

    def _render(self, index: int) -> Any:
        """Return a rendered frame; the last is kept, because image and depth are asked for in turn."""
        if getattr(self, "_last", (-1, None))[0] != index:
            self._last = (index, self.world.frame(index))
        return self._last[1]


def open_synthetic(spec: str) -> list[SyntheticClip]:
    """Return one clip per world of ``synthetic:KIND?frames=..&seed=..&worlds=N`` (worlds have seeds seed,
    seed+1, ...); with ``stereo=0`` without the partner, which takes half of the rendering.

    Raises:
        ConfigError: unknown kind or option, or a value that is no positive whole number.
    """
    kind, _, query = spec.removeprefix(PREFIX).partition("?")
    if kind not in KINDS:
        raise ConfigError(
            f"There is no synthetic world '{kind}'; known are {', '.join(KINDS)}.{nearest_name(kind, KINDS)}"
        )
    options = dict(DEFAULTS)
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in options:
            raise ConfigError(
                f"'{spec}': unknown option '{name}'; known are "
                f"{', '.join(options)}.{nearest_name(name, options)}"
            )
        if not value.isdigit() or (name not in _MAY_BE_ZERO and int(value) < 1):
            raise ConfigError(f"'{spec}': {name} must be a whole number above 0, not '{value}'.")
        options[name] = int(value)
    size = (options["height"], options["width"])
    return [
        SyntheticClip(kind, options["seed"] + i, options["frames"], size, bool(options["stereo"]))
        for i in range(options["worlds"])
    ]
