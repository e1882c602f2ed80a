"""The rooms world: a hand-held camera walking and looking about in a furnished room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geopretrain.synthetic import rooms_objects as things
from geopretrain.synthetic.primitives import Float
from geopretrain.synthetic.scene import BOX, Material, SceneBuilder, rigid, rotation
from geopretrain.synthetic.shade import Light, MaterialTable
from geopretrain.synthetic.street_objects import any_colour, darker, tint
from geopretrain.synthetic.world import World, class_colours

CLASSES = {
    "wall": (174, 199, 232),
    "floor": (152, 223, 138),
    "ceiling": (78, 71, 183),
    "window": (197, 176, 213),
    "door": (214, 39, 40),
    "table": (255, 152, 150),
    "chair": (188, 189, 34),
    "sofa": (140, 86, 75),
    "bed": (255, 187, 120),
    "cabinet": (31, 119, 180),
    "bookshelf": (148, 103, 189),
    "lamp": (255, 127, 14),
    "picture": (196, 156, 148),
    "box": (44, 160, 44),
    "ball": (227, 119, 194),
}
FPS = 15.0
BASELINE = 0.12  # m
HAND = 0.02
"""Amplitude, rad, of the turns of a hand: with it the camera turns by 1.4° per frame, 20° a second, while the
films of 7-Scenes turn by 18° a second."""
Random = np.random.Generator


def make_rooms(seed: int, frames: int, size: tuple[int, int]) -> World:
    """Build the room of a seed and the camera's walk in it."""
    random = np.random.default_rng([seed, 21])
    builder = SceneBuilder(tuple(CLASSES))
    half = (random.uniform(2.3, 3.1), random.uniform(2.3, 3.4))
    height = random.uniform(2.4, 2.8)
    _shell(builder, random, half, height)
    yaws = (0.0, np.pi / 2, np.pi, -np.pi / 2)
    opening = int(random.integers(4))
    for number, yaw in enumerate(yaws):
        length, distance = (half[0], half[1]) if number % 2 == 0 else (half[1], half[0])
        _wall_items(
            builder, np.random.default_rng([seed, 22, number]), yaw, length, distance, number == opening
        )
    _middle(builder, np.random.default_rng([seed, 23]), half)
    lamp = (random.uniform(-0.6, 0.6), -height + 0.25, random.uniform(-0.6, 0.6))
    scene = builder.build(np.array([random.uniform(-0.6, 0.6), -1.0, random.uniform(-0.6, 0.6)]))
    pixels_high, pixels_wide = size
    focal = 0.52 * pixels_wide
    middle = ((pixels_wide - 1) / 2, (pixels_high - 1) / 2)
    intrinsics = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
    return World(
        "rooms", seed, frames, size, FPS, tuple(CLASSES), class_colours(CLASSES), intrinsics,
        BASELINE, builder.instances, scene, None, _light(random, lamp), _walk(random, half),
        MaterialTable(scene),
    )  # fmt: skip


def _light(random: Random, lamp: tuple[float, float, float]) -> Light:
    warm, base, bright = random.uniform(-0.02, 0.08), random.uniform(0.55, 0.66), random.uniform(0.5, 0.7)
    ambient = (base * (1 + warm / 2), base, base * (1 - warm / 2))
    return Light(ambient=ambient, sun=(bright * (1 + warm), bright, bright * (1 - warm)), lamp=lamp)


def _shell(b: SceneBuilder, random: Random, half: tuple[float, float], height: float) -> None:
    """Floor, ceiling and four walls as thick boxes."""
    owner = b.place(np.eye(4))
    x, z = half
    base = [(0.55, 0.42, 0.28), (0.4, 0.28, 0.18), (0.62, 0.6, 0.56), (0.42, 0.44, 0.48)][random.integers(4)]
    colour = tint(random, base, 0.04)
    pattern, params = [("planks", (0.14, 0.0)), ("planks", (0.2, 1.0)), ("tiles", (0.45, 0.45, 0.05, 0.25))][
        random.integers(3)
    ]
    floor = Material(colour, darker(colour, 0.75), pattern, params, 0.3, (0.7, 0.7))
    b.solid(BOX, owner, "floor", floor, (0, 0.1, 0), (2 * x + 0.4, 0.2, 2 * z + 0.4))
    b.receive_shadows()
    white = tint(random, (0.78, 0.77, 0.74), 0.03)
    plaster = Material(white, darker(white, 0.9), "plain", (), 0.15, (0.4, 0.4))
    b.solid(BOX, owner, "ceiling", plaster, (0, -height - 0.1, 0), (2 * x + 0.4, 0.2, 2 * z + 0.4))
    for side in (-1, 1):
        for size, centre in (
            ((2 * x + 0.4, height, 0.2), (0, z + 0.1)),
            ((0.2, height, 2 * z + 0.4), (x + 0.1, 0)),
        ):
            place = (side * centre[0], -height / 2, side * centre[1])
            b.solid(BOX, owner, "wall", _wallpaper(random, white), place, size)


def _wallpaper(random: Random, white: tuple[float, float, float]) -> Material:
    choice = random.integers(5)
    colour = white if choice < 2 else tint(random, any_colour(random, 0.45, 0.8), 0.03)
    if choice == 3:
        return Material(
            colour, darker(colour, 0.86), "stripes", (random.uniform(0.15, 0.4), 0.5), 0.2, (0.25, 0.25)
        )
    if choice == 4:
        return Material(colour, darker(colour, 1.1), "bricks", (0.26, 0.09), 0.3, (0.7, 0.7))
    return Material(colour, darker(colour, 0.88), "motif", (random.uniform(0.16, 0.3),), 0.14, (0.2, 0.2))


def _wall_items(
    b: SceneBuilder, random: Random, yaw: float, length: float, distance: float, opening: bool
) -> None:
    """Line one wall (half ``length`` m long, ``distance`` m from the middle) with furniture and pictures."""

    def at(along: float, off: float = 0.0, extra: float = 0.0) -> Float:
        facing = rotation(1, yaw)
        shift = facing @ np.array([along, 0.0, distance - off])
        return rigid(rotation(1, yaw + extra), (float(shift[0]), 0.0, float(shift[2])))

    position, free = -length + 0.95, length - 0.95
    if opening:
        things.add_door(b, random, at(position + 0.3))
        position += 1.1
    while position < free - 0.5:
        kind = str(random.choice(list(_FURNITURE), p=_FREQUENCIES))
        wide = min(random.uniform(*_FURNITURE[kind]), free - position)
        if wide < 0.7 * _FURNITURE[kind][0]:
            kind, wide = "cabinet", max(0.5, wide)
        _furniture(b, random, kind, at, position + wide / 2, wide)
        position += wide + random.uniform(0.1, 0.35)


_FURNITURE = {
    "cabinet": (0.8, 1.4), "bookshelf": (0.7, 1.3), "sofa": (1.0, 2.1), "bed": (1.0, 1.7),
    "table": (1.1, 1.7), "window": (1.0, 1.7), "lamp": (0.4, 0.5), "wardrobe": (0.8, 1.3),
}  # fmt: skip
_FREQUENCIES = [0.16, 0.15, 0.17, 0.1, 0.16, 0.14, 0.06, 0.06]


def _furniture(
    b: SceneBuilder, random: Random, kind: str, at: Callable[..., Float], along: float, wide: float
) -> None:
    """One thing at the wall, and what hangs above it."""
    above = True
    if kind == "cabinet":
        things.add_cabinet(b, random, at(along, 0.01), wide, random.uniform(0.7, 1.1))
    elif kind == "wardrobe":
        things.add_cabinet(b, random, at(along, 0.01), wide, random.uniform(1.7, 2.1))
        above = False
    elif kind == "bookshelf":
        things.add_bookshelf(b, random, at(along, 0.01), wide, random.uniform(1.1, 2.1))
        above = False
    elif kind == "sofa":
        things.add_sofa(b, random, at(along, 0.02), wide)
    elif kind == "bed":
        things.add_bed(b, random, at(along, 0.02), wide)
    elif kind == "table":
        things.add_table(
            b, random, at(along, 0.05), wide, random.uniform(0.6, 0.8), random.uniform(0.72, 0.78)
        )
        frame, seat = things.wood(random), things.cloth(random)
        for shift in (-0.25, 0.25) if wide > 1.3 else (0.0,):
            chair = at(along + shift * wide, random.uniform(0.8, 1.0), np.pi + random.normal(0, 0.25))
            things.add_chair(b, random, chair, frame, seat)
    elif kind == "lamp":
        things.add_lamp(b, random, b.place(at(along, 0.3)), (0, 0, 0), random.uniform(1.3, 1.6))
    if kind == "window" or (above and kind != "lamp" and wide > 1.0 and random.random() < 0.35):
        things.add_window(b, random, at(along), max(0.8, 0.8 * wide))
    elif above and random.random() < 0.75:
        things.add_picture(b, random, at(along), random.uniform(0.35, 0.8))
    if kind == "window":
        floor = b.place(at(along, random.uniform(0.35, 0.6)))
        things.add_box(b, random, floor, (0, 0, 0), random.uniform(0.3, 0.5))


def _middle(b: SceneBuilder, random: Random, half: tuple[float, float]) -> None:
    """A rug, a low table, a chair, parcels and balls on the open floor; everything stays under the camera."""
    rug = b.place(np.eye(4))
    colour = any_colour(random, 0.15, 0.7)
    patterns = [("checks", (0.25,)), ("bands", (0.4, 0.4)), ("plain", ())]
    pattern, params = patterns[random.integers(3)]
    weave = Material(colour, any_colour(random, 0.15, 0.7), pattern, params, 0.35, (0.5, 0.5))
    size = (random.uniform(1.4, 2.4), 0.02, random.uniform(1.2, 2.2))
    b.solid(BOX, rug, "floor", weave, (random.uniform(-0.3, 0.3), -0.008, random.uniform(-0.3, 0.3)), size)
    b.receive_shadows()
    place = rigid(
        rotation(1, random.uniform(-0.4, 0.4)), (random.uniform(-0.4, 0.4), 0.0, random.uniform(0, 0.6))
    )
    things.add_table(
        b, random, place, random.uniform(0.7, 1.1), random.uniform(0.45, 0.6), random.uniform(0.35, 0.45)
    )
    angles = random.uniform(0, 6.28) + 1.2566 * random.permutation(5)  # five spots around the table
    for angle in angles[:2]:
        spot = (0.6 * half[0] * float(np.sin(angle)), 0.0, 0.6 * half[1] * float(np.cos(angle)))
        owner = b.place(rigid(np.eye(3), spot))
        things.add_box(b, random, owner, (0, 0, 0), random.uniform(0.25, 0.45))
    for number, angle in enumerate(angles[2 : 2 + int(random.integers(1, 4))]):
        radius = random.uniform(0.09, 0.2)
        start = np.array([0.5 * half[0] * np.sin(angle), -radius, 0.5 * half[1] * np.cos(angle)])
        sideways = abs(np.cos(angle)) > abs(np.sin(angle))  # roll past the table, not into it
        direction = np.array([1.0, 0, 0]) if sideways else np.array([0, 0, 1.0])
        roll = things.rolling(start, direction, radius, 0.3, 0.08)
        still = rigid(rotation(0, 0.7) @ rotation(2, angle), (float(start[0]), -radius, float(start[2])))
        things.add_ball(b, random, roll if number == 0 else still, radius)


def _walk(random: Random, half: tuple[float, float]) -> Callable[[float], Float]:
    """T_world_to_camera at a frame number: a stroll, a wandering look, and the shake of a hand."""
    phase = random.uniform(0, 6.28, 16)
    rate = random.choice([-1.0, 1.0]) * random.uniform(0.11, 0.15)  # rad per frame: some 5 cm per frame
    spin = random.choice([-1.0, 1.0]) * random.uniform(0.004, 0.008)
    eye = random.uniform(1.35, 1.55)

    def pose(time: float) -> Float:
        p = phase
        yaw = p[6] + spin * time + 0.2 * np.sin(0.02 * time + p[7]) + HAND * np.sin(0.9 * time + p[8])
        pitch = -0.24 + 0.08 * np.sin(0.027 * time + p[9]) + HAND * np.sin(1.2 * time + p[10])
        roll = 0.05 * np.sin(0.03 * time + p[11]) + HAND * np.sin(1.0 * time + p[12])
        # stand on the side of the room opposite to where one looks, and sway about that place
        x = (
            -0.36 * half[0] * np.sin(yaw)
            + 0.42 * np.sin(rate * time + p[0])
            + 0.004 * np.sin(1.3 * time + p[1])
        )
        z = (
            -0.36 * half[1] * np.cos(yaw)
            + 0.36 * np.cos(rate * time + p[0])
            + 0.004 * np.sin(1.1 * time + p[3])
        )
        y = -eye + 0.1 * np.sin(0.04 * time + p[4]) + 0.008 * np.sin(0.8 * time + p[5])
        orientation = rotation(1, yaw) @ rotation(0, pitch) @ rotation(2, roll)
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = orientation.T
        world_to_camera[:3, 3] = -orientation.T @ np.array([x, y, z])
        return world_to_camera

    return pose
