"""Furniture. Axes: x along the wall, y down, z into the wall; a piece's back is z = 0, the floor y = 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geopretrain.synthetic.primitives import Float
from geopretrain.synthetic.scene import BOX, CYLINDER, SPHERE, Material, Mover, SceneBuilder, rotation
from geopretrain.synthetic.street_objects import Colour, Random, Vector, any_colour, darker, tint

WOODS: list[Colour] = [
    (0.5, 0.36, 0.22),
    (0.66, 0.52, 0.36),
    (0.34, 0.23, 0.15),
    (0.78, 0.76, 0.72),
    (0.3, 0.3, 0.31),
]


def wood(random: Random, pattern: str = "plain", params: tuple[float, ...] = ()) -> Material:
    """A random wooden or painted surface."""
    colour = tint(random, WOODS[random.integers(len(WOODS))], 0.05)
    grain = [(0.05, 0.4), (0.4, 0.05)][random.integers(2)]
    return Material(colour, darker(colour, 0.82), pattern, params, 0.18, grain)


def cloth(random: Random) -> Material:
    """A random fabric: plain, checked or striped."""
    colour = any_colour(random, 0.12, 0.75)
    pattern, params = [("plain", ()), ("plain", ()), ("checks", (0.09,)), ("stripes", (0.12, 0.4))][
        random.integers(4)
    ]
    return Material(colour, darker(colour, 0.76), pattern, params, 0.25, (0.12, 0.12))


def add_table(b: SceneBuilder, random: Random, pose: Float, wide: float, deep: float, tall: float) -> None:
    """A table, with a few things on it when it is high."""
    owner, number = b.place(pose), b.new_instance("table")
    top = wood(random)
    leg = 0.06
    b.solid(BOX, owner, "table", top, (0, -tall + 0.02, -deep / 2), (wide, 0.045, deep), instance=number)
    for x in (-1, 1):
        for z in (-1, 1):
            place = (x * (wide / 2 - 0.07), -tall / 2 + 0.02, -deep / 2 + z * (deep / 2 - 0.07))
            b.solid(BOX, owner, "table", top, place, (leg, tall - 0.04, leg), instance=number)
    b.cast_shadow(owner, (0, -deep / 2), (wide / 2, deep / 2), 0.35)
    for x in random.uniform(-0.4, 0.4, random.integers(0, 3)):
        add_box(
            b,
            random,
            owner,
            (float(x) * wide, -tall, -deep * random.uniform(0.3, 0.7)),
            random.uniform(0.12, 0.3),
        )


def add_box(
    b: SceneBuilder, random: Random, owner: int, place: tuple[float, float, float], size: float
) -> None:
    """A parcel standing on a surface of another object."""
    number = b.new_instance("box")
    card = any_colour(random) if random.random() < 0.5 else tint(random, (0.6, 0.46, 0.3), 0.05)
    pattern, params = [("plain", ()), ("bands", (0.25 * size, 0.3)), ("panel", (0.15 * size,))][
        random.integers(3)
    ]
    material = Material(card, any_colour(random), pattern, params, 0.25, (0.15, 0.15))
    height = size * random.uniform(0.5, 1.1)
    centre = (place[0], place[1] - height / 2, place[2])
    orientation = rotation(1, random.uniform(-0.6, 0.6))
    shape = (size * random.uniform(0.8, 1.4), height, size * random.uniform(0.7, 1.0))
    b.solid(BOX, owner, "box", material, centre, shape, rotation=orientation, instance=number)


def add_chair(b: SceneBuilder, random: Random, pose: Float, frame: Material, seat: Material) -> None:
    """A chair; its back stands at +z, the sitter looks to -z."""
    owner, number = b.place(pose), b.new_instance("chair")
    b.solid(BOX, owner, "chair", seat, (0, -0.45, 0), (0.44, 0.06, 0.44), instance=number)
    b.solid(BOX, owner, "chair", seat, (0, -0.76, 0.2), (0.44, 0.36, 0.05), instance=number)
    for x in (-1, 1):
        b.solid(BOX, owner, "chair", frame, (x * 0.2, -0.47, 0.2), (0.045, 0.94, 0.045), instance=number)
        b.solid(BOX, owner, "chair", frame, (x * 0.2, -0.22, -0.2), (0.045, 0.44, 0.045), instance=number)
    b.cast_shadow(owner, (0, 0), (0.2, 0.2), 0.3)


def add_sofa(b: SceneBuilder, random: Random, pose: Float, wide: float) -> None:
    """A sofa or, when narrow, an armchair."""
    owner, number = b.place(pose), b.new_instance("sofa")
    fabric, deep = cloth(random), 0.85
    parts: list[tuple[Vector, Vector]] = [
        ((0, -0.23, -deep / 2), (wide, 0.34, deep)),
        ((0, -0.6, -0.12), (wide, 0.5, 0.22)),
    ]
    parts += [((side * (wide / 2 - 0.09), -0.42, -deep / 2), (0.18, 0.4, deep)) for side in (-1, 1)]
    count = max(1, round((wide - 0.36) / 0.65))
    span = (wide - 0.4) / count
    for step in range(count):
        x = -wide / 2 + 0.2 + span * (step + 0.5)
        parts.append(((x, -0.45, -deep / 2 - 0.06), (span - 0.03, 0.13, deep - 0.25)))
    for centre, size in parts:
        b.solid(BOX, owner, "sofa", fabric, centre, size, instance=number)
    cushion = cloth(random)
    for x in random.uniform(-0.35, 0.35, random.integers(0, 3)):
        orientation = rotation(0, -0.35) @ rotation(2, random.uniform(-0.3, 0.3))
        place = (float(x) * wide, -0.68, -0.32)
        b.solid(BOX, owner, "sofa", cushion, place, (0.4, 0.38, 0.12), rotation=orientation, instance=number)
    b.cast_shadow(owner, (0, -deep / 2), (wide / 2, deep / 2), 0.5)


def add_bed(b: SceneBuilder, random: Random, pose: Float, wide: float) -> None:
    """A bed with its head at the wall."""
    owner, number = b.place(pose), b.new_instance("bed")
    frame, blanket = wood(random), cloth(random)
    sheet = Material(tint(random, (0.78, 0.77, 0.74), 0.04), contrast=0.2, grain=(0.3, 0.3))
    parts: list[tuple[Material, Vector, Vector]] = [
        (frame, (0, -0.2, -1.0), (wide, 0.25, 2.0)),
        (frame, (0, -0.5, -0.03), (wide, 1.0, 0.06)),
        (sheet, (0, -0.4, -1.0), (wide - 0.06, 0.2, 1.94)),
        (blanket, (0, -0.47, -1.3), (wide, 0.16, 1.35)),
    ]
    for side in (-0.25, 0.25) if wide > 1.2 else (0.0,):
        parts.append((sheet, (side * wide, -0.54, -0.32), (min(0.7, 0.42 * wide), 0.14, 0.4)))
    for material, centre, size in parts:
        b.solid(BOX, owner, "bed", material, centre, size, instance=number)
    b.cast_shadow(owner, (0, -1.0), (wide / 2, 1.0), 0.5)


def add_cabinet(b: SceneBuilder, random: Random, pose: Float, wide: float, tall: float) -> None:
    """A chest of drawers or a wardrobe; a low one carries a lamp or parcels."""
    owner, number = b.place(pose), b.new_instance("cabinet")
    deep = random.uniform(0.4, 0.55)
    rows = 1.0 if tall > 1.4 else float(random.integers(2, 5))
    front = wood(random, "drawers", (float(max(1, round(wide / 0.55))), rows))
    b.solid(BOX, owner, "cabinet", front, (0, -tall / 2, -deep / 2), (wide, tall, deep), instance=number)
    b.cast_shadow(owner, (0, -deep / 2), (wide / 2, deep / 2), 0.5)
    if tall < 1.2:
        if random.random() < 0.5:
            add_lamp(b, random, owner, (-0.25 * wide, -tall, -deep / 2), 0.5)
        add_box(b, random, owner, (0.2 * wide, -tall, -deep / 2), random.uniform(0.15, 0.3))


def add_bookshelf(b: SceneBuilder, random: Random, pose: Float, wide: float, tall: float) -> None:
    """A shelf full of books."""
    owner, number = b.place(pose), b.new_instance("bookshelf")
    shelf = wood(random, "books", (tall / round(tall / 0.38), random.uniform(0.04, 0.07)))
    b.solid(BOX, owner, "bookshelf", shelf, (0, -tall / 2, -0.15), (wide, tall, 0.3), instance=number)
    b.cast_shadow(owner, (0, -0.15), (wide / 2, 0.15), 0.5)


def add_lamp(
    b: SceneBuilder, random: Random, owner: int, place: tuple[float, float, float], tall: float
) -> None:
    """A lamp with a shade on a foot: small on a cabinet, tall on the floor."""
    number = b.new_instance("lamp")
    metal = Material(any_colour(random, 0.1, 0.6), contrast=0.25, grain=(0.1, 0.2))
    shade = tint(random, (0.85, 0.78, 0.6), 0.06)
    cover = Material(shade, darker(shade, 0.85), "stripes", (0.08, 0.5), 0.15, (0.2, 0.2))
    x, y, z = place
    wide = 0.22 + 0.12 * tall
    cap = 0.2 + 0.08 * tall
    b.solid(
        CYLINDER, owner, "lamp", metal, (x, y - 0.015, z), (wide * 0.8, 0.03, wide * 0.8), instance=number
    )
    b.solid(CYLINDER, owner, "lamp", metal, (x, y - tall / 2, z), (0.035, tall, 0.035), instance=number)
    b.solid(CYLINDER, owner, "lamp", cover, (x, y - tall, z), (wide, cap, wide), instance=number)


def add_ball(b: SceneBuilder, random: Random, pose: Float | Mover, radius: float) -> None:
    """A ball whose centre is the object's origin."""
    owner, number = b.place(pose), b.new_instance("ball")
    first, second = any_colour(random, 0.2, 0.9), any_colour(random, 0.1, 0.9)
    pattern, params = [("checks", (radius * 0.6,)), ("bands", (radius * 0.7, 0.5)), ("plain", ())][
        random.integers(3)
    ]
    material = Material(first, second, pattern, params, 0.2, (0.15, 0.15))
    b.solid(SPHERE, owner, "ball", material, (0, 0, 0), (2 * radius,) * 3, instance=number)
    b.cast_shadow(owner, (0, 0), (0.4 * radius, 0.4 * radius), 0.4)


def add_door(b: SceneBuilder, random: Random, pose: Float) -> None:
    """A door in its frame."""
    owner, number = b.place(pose), b.new_instance("door")
    colour = tint(random, WOODS[random.integers(len(WOODS))], 0.05)
    leaf = Material(colour, darker(colour, random.uniform(0.75, 1.2)), "panel", (0.14,), 0.25, (0.08, 0.6))
    frame = Material(darker(colour, 0.8), contrast=0.2, grain=(0.1, 0.5))
    b.solid(BOX, owner, "door", leaf, (0, -1.02, 0), (0.9, 2.04, 0.08), instance=number)
    for side in (-0.49, 0.49):
        b.solid(BOX, owner, "door", frame, (side, -1.04, 0), (0.09, 2.08, 0.14), instance=number)
    b.solid(BOX, owner, "door", frame, (0, -2.09, 0), (1.07, 0.09, 0.14), instance=number)
    metal = Material((0.6, 0.6, 0.58), contrast=0.2, grain=(0.1, 0.1))
    b.solid(BOX, owner, "door", metal, (0.36, -1.05, -0.08), (0.14, 0.04, 0.05), instance=number)


def add_window(b: SceneBuilder, random: Random, pose: Float, wide: float) -> None:
    """A window with its sill; the view outside is painted on it."""
    owner, number = b.place(pose), b.new_instance("window")
    frame = tint(random, (0.75, 0.74, 0.72), 0.05)
    trees = tint(random, (0.28, 0.36, 0.2), 0.06)
    pane = Material(frame, trees, "outlook", (0.07,), 0.08, (0.4, 0.4))
    tall = random.uniform(1.1, 1.4)
    b.solid(BOX, owner, "window", pane, (0, -0.85 - tall / 2, 0), (wide, tall, 0.06), instance=number)
    sill = Material(frame, contrast=0.15, grain=(0.3, 0.3))
    b.solid(BOX, owner, "window", sill, (0, -0.83, -0.08), (wide + 0.15, 0.05, 0.2), instance=number)


def add_picture(b: SceneBuilder, random: Random, pose: Float, wide: float) -> None:
    """A painting or a poster."""
    owner, number = b.place(pose), b.new_instance("picture")
    paint = Material(any_colour(random), any_colour(random, 0.1, 0.7), "picture", (0.05,), 0.1, (0.3, 0.3))
    tall = wide * random.uniform(0.6, 1.2)
    b.solid(BOX, owner, "picture", paint, (0, -1.6, 0), (wide, tall, 0.05), instance=number)


def rolling(
    start: Float, direction: Float, radius: float, reach: float, rate: float
) -> Callable[[float], Float]:
    """A ball that rolls to and fro on the floor without slipping: pose at a frame number."""
    axis = 0 if abs(direction[2]) > abs(direction[0]) else 2

    def pose(time: float) -> Float:
        way = reach * np.sin(rate * time)
        matrix = np.eye(4)
        sign = -np.sign(direction[2]) if axis == 0 else np.sign(direction[0])
        matrix[:3, :3] = rotation(axis, float(sign * way / radius))
        matrix[:3, 3] = start + way * direction
        return matrix

    return pose
