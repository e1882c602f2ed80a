"""The front door: worlds by name."""

from __future__ import annotations

from collections.abc import Callable

from geopretrain.errors import ConfigError, nearest_name
from geopretrain.synthetic.rooms import make_rooms
from geopretrain.synthetic.street import make_street
from geopretrain.synthetic.world import World

WORLDS: dict[str, Callable[[int, int, tuple[int, int]], World]] = {"street": make_street, "rooms": make_rooms}
MIN_SIZE = 16  # px


def make_world(kind: str, seed: int = 0, frames: int = 100, size: tuple[int, int] = (96, 320)) -> World:
    """Build a world.

    Args:
        kind: ``"street"`` (driving) or ``"rooms"`` (hand-held, indoors).
        seed: picks the layout, the colours, the light and the camera's path.
        frames: length of the sequence; frame ``i`` does not depend on it.
        size: ``(h, w)`` px.

    Raises:
        ConfigError: unknown kind, no frames, negative seed, or pictures under 16 px.
    """
    if kind not in WORLDS:
        known = ", ".join(WORLDS)
        raise ConfigError(
            f"There is no synthetic world '{kind}'. Choose one of: {known}.{nearest_name(kind, WORLDS)}"
        )
    if frames < 1 or seed < 0:
        raise ConfigError(
            f"A world needs at least 1 frame and a seed of 0 or more; got frames={frames}, seed={seed}."
        )
    if min(size) < MIN_SIZE:
        raise ConfigError(
            f"A world's pictures need at least {MIN_SIZE} px on both sides; got (h, w) = {tuple(size)}."
        )
    return WORLDS[kind](int(seed), int(frames), (int(size[0]), int(size[1])))


def make_worlds(
    kind: str, seed: int = 0, frames: int = 600, size: tuple[int, int] = (96, 320), worlds: int = 4
) -> list[World]:
    """Share ``frames`` among several worlds of different layout (seeds ``seed·1000 + 0, 1, ...``)."""
    if not 1 <= worlds <= min(frames, 1000):
        raise ConfigError(
            f"Cannot share {frames} frames among {worlds} worlds: expected 1 to {min(frames, 1000)} worlds."
        )
    lengths = [frames // worlds + (number < frames % worlds) for number in range(worlds)]
    return [make_world(kind, seed * 1000 + number, length, size) for number, length in enumerate(lengths)]
