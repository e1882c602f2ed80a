"""The things of the street world, made of boxes, ellipsoids, cylinders. Axes: x right, y down, z forward."""

from __future__ import annotations

import numpy as np

from geopretrain.synthetic.primitives import Float
from geopretrain.synthetic.scene import (
    BOX,
    CYLINDER,
    SPHERE,
    Material,
    Mover,
    SceneBuilder,
    Swing,
    rigid,
    rotation,
)

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]
Random = np.random.Generator
ACROSS = rotation(2, np.pi / 2)  # a cylinder's axis along x
ALONG = rotation(0, np.pi / 2)  # a cylinder's axis along z


def tint(random: Random, base: Colour, spread: float = 0.08) -> Colour:
    """A random colour near ``base``."""
    bright = random.uniform(0.75, 1.2)
    colour = np.clip(np.array(base) * bright + random.uniform(-spread, spread, 3), 0.04, 0.95)
    return float(colour[0]), float(colour[1]), float(colour[2])


def any_colour(random: Random, low: float = 0.08, high: float = 0.85) -> Colour:
    """A random colour, grey as often as not."""
    grey = random.uniform(low, high)
    hue = random.uniform(low, high, 3)
    weight = random.uniform(0.0, 1.0) if random.random() < 0.6 else random.uniform(0.0, 0.12)
    colour = grey + (hue - grey) * weight
    return float(colour[0]), float(colour[1]), float(colour[2])


def darker(colour: Colour, by: float) -> Colour:
    """The colour times ``by``."""
    return colour[0] * by, colour[1] * by, colour[2] * by


def add_car(b: SceneBuilder, random: Random, pose: Float | Mover) -> None:
    """A car, van or estate standing on y = 0 of its object, nose along +z."""
    owner, number = b.place(pose), b.new_instance("car")
    van = random.random() < 0.2
    length, width = random.uniform(3.8, 4.8) + van, random.uniform(1.7, 1.9) + 0.15 * van
    height = random.uniform(2.0, 2.4) if van else random.uniform(1.4, 1.65)
    belt = 0.55 * height if van else random.uniform(0.85, 0.95)
    paint = any_colour(random)
    body = Material(paint, pattern="car_body", contrast=0.1, grain=(0.8, 0.4))
    glass = Material(paint, pattern="glasshouse", contrast=0.08, grain=(0.6, 0.4))
    dark = Material((0.05, 0.05, 0.055), contrast=0.3, grain=(0.4, 0.4))
    b.cast_shadow(owner, (0, 0), (width / 2 - 0.1, length / 2 - 0.1), 0.6)
    tyre = Material((0.07, 0.07, 0.07), (0.55, 0.55, 0.57), "wheel", (0.62,), 0.3, (0.15, 0.15))
    b.solid(
        BOX, owner, "car", body, (0, -(0.25 + belt) / 2, 0), (width, belt - 0.25, length), instance=number
    )
    roof = 0.72 * length if van else random.uniform(0.44, 0.6) * length
    back = -(length - roof) / 2 + 0.12 if van else -random.uniform(0.02, 0.1) * length
    middle = -(belt + height) / 2
    b.solid(BOX, owner, "car", glass, (0, middle, back), (width * 0.88, height - belt, roof), instance=number)
    if not van:  # slanted screens fore and aft, sunk into the body
        for side in (-1, 1):
            angle = rotation(0, side * 0.62)
            place = (0.0, middle + 0.08, back + side * (roof / 2 - 0.02))
            screen = Material(paint, pattern="glasshouse", contrast=0.08, grain=(0.6, 0.4))
            size = (width * 0.86, (height - belt) * 1.1, 0.34)
            b.solid(BOX, owner, "car", screen, place, size, rotation=angle, instance=number)
    b.solid(BOX, owner, "car", dark, (0, -0.16, 0), (width * 0.9, 0.26, length * 0.94), instance=number)
    for x in (-1, 1):
        for z in (-0.31, 0.31):
            place = (x * (width / 2 - 0.1), -0.32, z * length)
            b.solid(CYLINDER, owner, "car", tyre, place, (0.64, 0.24, 0.64), rotation=ACROSS, instance=number)


def add_pedestrian(b: SceneBuilder, random: Random, pose: Mover, rate: float) -> None:
    """A walking (rate > 0) or standing person on y = 0 of the object, facing +z."""
    owner, number = b.place(pose), b.new_instance("pedestrian")
    tall = random.uniform(1.5, 1.9)
    top, trousers, skin = any_colour(random), any_colour(random, 0.06, 0.5), tint(random, (0.62, 0.45, 0.36))
    cloth = Material(top, darker(top, 0.7), "plain", (), 0.3, (0.25, 0.25))
    legs = Material(trousers, contrast=0.3, grain=(0.2, 0.3))
    face = Material(skin, darker(skin, 0.8), contrast=0.2, grain=(0.1, 0.1))
    hair = Material(tint(random, (0.2, 0.15, 0.1)), contrast=0.3, grain=(0.1, 0.1))
    wide = random.uniform(0.42, 0.52)
    b.cast_shadow(owner, (0, 0), (0.12, 0.12), 0.5)
    _person_top(b, owner, number, "pedestrian", (cloth, face, hair), tall, wide)
    amplitude, phase = (0.45, random.uniform(0, 6.28)) if rate > 0 else (0.0, 0.0)
    for side in (-1, 1):
        hip = b.place(Swing(owner, (side * 0.1, -0.5 * tall, 0), side * amplitude, rate, phase))
        size = (0.17, 0.5 * tall, 0.17)
        b.solid(CYLINDER, hip, "pedestrian", legs, (0, 0.25 * tall, 0), size, instance=number)
        shoulder = b.place(Swing(owner, (side * wide * 0.52, -0.8 * tall, 0), -side * amplitude, rate, phase))
        size = (0.12, 0.36 * tall, 0.12)
        b.solid(CYLINDER, shoulder, "pedestrian", cloth, (0, 0.17 * tall, 0), size, instance=number)


def _person_top(
    b: SceneBuilder,
    owner: int,
    number: int,
    name: str,
    materials: tuple[Material, ...],
    tall: float,
    wide: float,
) -> None:
    cloth, face, hair = materials
    b.solid(SPHERE, owner, name, cloth, (0, -0.66 * tall, 0), (wide, 0.42 * tall, 0.3), instance=number)
    b.solid(SPHERE, owner, name, face, (0, -0.925 * tall, 0.01), (0.19, 0.15 * tall, 0.21), instance=number)
    b.solid(SPHERE, owner, name, hair, (0, -0.945 * tall, -0.02), (0.2, 0.12 * tall, 0.21), instance=number)


def add_bicyclist(b: SceneBuilder, random: Random, pose: Mover, rate: float) -> None:
    """A rider on a bicycle on y = 0 of the object, heading +z."""
    owner, number = b.place(pose), b.new_instance("bicyclist")
    frame = Material(any_colour(random), contrast=0.15, grain=(0.2, 0.2))
    rubber = Material((0.08, 0.08, 0.08), (0.4, 0.4, 0.42), "wheel", (0.85,), 0.2, (0.1, 0.1))
    top, trousers, skin = any_colour(random), any_colour(random, 0.06, 0.5), tint(random, (0.62, 0.45, 0.36))
    cloth = Material(top, darker(top, 0.7), "plain", (), 0.3, (0.25, 0.25))
    legs = Material(trousers, contrast=0.3, grain=(0.2, 0.3))
    face = Material(skin, darker(skin, 0.8), contrast=0.2, grain=(0.1, 0.1))
    name = "bicyclist"
    b.cast_shadow(owner, (0, 0), (0.05, 0.7), 0.5)
    for z in (-0.52, 0.52):
        b.solid(
            CYLINDER, owner, name, rubber, (0, -0.34, z), (0.68, 0.06, 0.68), rotation=ACROSS, instance=number
        )
    tubes = [((0, -0.78, 0.02), (0.06, 0.06, 0.75), 0.0), ((0, -0.55, -0.05), (0.06, 0.06, 0.7), 0.6)]
    tubes += [((0, -0.7, 0.46), (0.05, 0.8, 0.06), 0.15), ((0, -1.05, 0.42), (0.5, 0.05, 0.05), 0.0)]
    for centre, size, angle in tubes:
        b.solid(BOX, owner, name, frame, centre, size, rotation=rotation(0, angle), instance=number)
    lean = rotation(0, -0.45)
    b.solid(SPHERE, owner, name, cloth, (0, -1.27, 0.0), (0.45, 0.75, 0.3), rotation=lean, instance=number)
    b.solid(SPHERE, owner, name, face, (0, -1.68, 0.22), (0.19, 0.27, 0.22), instance=number)
    helmet = frame if random.random() < 0.6 else face
    b.solid(SPHERE, owner, name, helmet, (0, -1.74, 0.2), (0.22, 0.2, 0.26), instance=number)
    for side in (-1, 1):
        arm = (side * 0.2, -1.22, 0.27)
        b.solid(
            CYLINDER, owner, name, cloth, arm, (0.1, 0.55, 0.1), rotation=rotation(0, 0.95), instance=number
        )
        hip = b.place(Swing(owner, (side * 0.1, -0.95, -0.1), side * 0.45, rate, 0.0))
        tilted = rotation(0, 0.5)
        b.solid(
            CYLINDER, hip, name, legs, (0, 0.2, 0.12), (0.16, 0.5, 0.16), rotation=tilted, instance=number
        )
        b.solid(CYLINDER, hip, name, legs, (0, 0.56, 0.18), (0.12, 0.46, 0.12), instance=number)


def add_tree(b: SceneBuilder, random: Random, pose: Float) -> None:
    """A leafy tree, or a conifer, on y = 0 of the object."""
    owner = b.place(pose)
    bark = tint(random, (0.33, 0.26, 0.2), 0.05)
    trunk = Material(bark, darker(bark, 0.6), "plain", (), 0.5, (0.12, 0.5))
    base = [(0.24, 0.36, 0.13), (0.33, 0.38, 0.15), (0.15, 0.27, 0.15), (0.42, 0.33, 0.14)][
        random.integers(4)
    ]
    leaf = tint(random, base, 0.04)
    crown = Material(darker(leaf, 1.25), darker(leaf, 0.45), "leaves", (), 0.35, (1.2, 1.2))
    tall = random.uniform(4.0, 9.0)
    thick = random.uniform(0.2, 0.45)
    b.cast_shadow(owner, (0, 0), (thick / 2, thick / 2), 0.4)
    clear = random.uniform(1.4, 2.6)
    b.solid(CYLINDER, owner, "tree", trunk, (0, -tall * 0.35, 0), (thick, tall * 0.7, thick))
    if random.random() < 0.2:
        for step in range(4):
            wide = (1 - step / 4.5) * tall * 0.45
            height = -(clear * 0.6 + step * tall * 0.2 + 0.7)
            b.solid(SPHERE, owner, "tree", crown, (0, height, 0), (wide, tall * 0.32, wide))
        return
    spread = random.uniform(0.4, 0.6) * (tall - clear)
    b.solid(
        SPHERE,
        owner,
        "tree",
        crown,
        (0, -(clear + tall) / 2, 0),
        (spread * 1.3, (tall - clear) * 0.9, spread * 1.3),
    )
    for angle in np.arange(9) * 2.4 + random.uniform(0, 6.28):
        reach, high = spread * random.uniform(0.3, 0.6), -random.uniform(clear + 0.6, tall - 0.5)
        size = random.uniform(0.75, 1.05) * spread
        place = (reach * float(np.cos(angle)), high, reach * float(np.sin(angle)))
        b.solid(SPHERE, owner, "tree", crown, place, (size, size * 0.8, size))


def add_bush(b: SceneBuilder, random: Random, pose: Float) -> None:
    """A low bush."""
    owner = b.place(pose)
    leaf = tint(random, (0.24, 0.34, 0.14), 0.05)
    crown = Material(darker(leaf, 1.2), darker(leaf, 0.5), "leaves", (), 0.35, (0.6, 0.6))
    for _ in range(2):
        size = random.uniform(0.7, 1.5)
        place = (random.uniform(-0.4, 0.4), -size * 0.35, random.uniform(-0.6, 0.6))
        b.solid(SPHERE, owner, "tree", crown, place, (size, size * 0.9, size * 1.2))


def add_building(b: SceneBuilder, random: Random, pose: Float, wide: float, deep: float, tall: float) -> None:
    """A house whose front (the face towards -x) is ``wide`` along z, centred on the object."""
    owner = b.place(pose)
    wall = tint(
        random,
        [(0.6, 0.52, 0.42), (0.5, 0.5, 0.5), (0.55, 0.35, 0.28), (0.68, 0.66, 0.6)][random.integers(4)],
    )
    storey = random.uniform(2.7, 3.4)
    params = (
        random.uniform(1.8, 3.2),
        storey,
        random.uniform(0.32, 0.6),
        random.uniform(0.35, 0.55),
        random.random(),
    )
    front = Material(wall, darker(wall, 0.78), "facade", params, 0.3, (1.6, 1.6))
    b.solid(BOX, owner, "building", front, (0, -tall / 2, 0), (deep, tall, wide))
    roof = tint(random, [(0.4, 0.22, 0.17), (0.28, 0.28, 0.3), (0.35, 0.3, 0.25)][random.integers(3)])
    slates = Material(roof, darker(roof, 0.7), "bricks", (0.5, 0.35), 0.3, (1.0, 1.0))
    if random.random() < 0.55:  # two slopes meeting over the middle
        rise = random.uniform(0.35, 0.7)
        slope = deep / 2 / np.cos(rise) + 0.5
        for side in (-1, 1):
            place = (side * deep / 4, -tall - deep / 4 * np.tan(rise), 0)
            angle = rotation(2, side * rise)
            b.solid(BOX, owner, "building", slates, place, (slope, 0.25, wide + 0.4), rotation=angle)
    else:
        b.solid(BOX, owner, "building", slates, (0, -tall - 0.15, 0), (deep + 0.3, 0.4, wide + 0.2))
    _extras(b, random, owner, wall, (wide, deep, tall), storey)


def _extras(
    b: SceneBuilder, random: Random, owner: int, wall: Colour, size: tuple[float, float, float], storey: float
) -> None:
    """Door, bay or balcony, chimney: what makes fronts differ in depth."""
    wide, deep, tall = size
    door = Material(
        any_colour(random, 0.1, 0.6), pattern="planks", params=(0.2,), contrast=0.2, grain=(0.5, 0.5)
    )
    z = random.uniform(-0.35, 0.35) * wide
    b.solid(BOX, owner, "building", door, (-deep / 2, -1.1, z), (0.16, 2.2, 1.1))
    trim = Material(tint(random, wall, 0.05), contrast=0.3, grain=(0.8, 0.8))
    for level in range(1, int(tall // storey)):
        if random.random() < 0.4:
            place = (-deep / 2 - 0.5, -level * storey - 0.5, random.uniform(-0.3, 0.3) * wide)
            b.solid(BOX, owner, "building", trim, place, (1.0, 1.0, random.uniform(2, 3.5)))
    if random.random() < 0.5:
        b.solid(BOX, owner, "building", trim, (0.2 * deep, -tall - 1.4, 0.25 * wide), (0.7, 2.6, 0.7))


def add_lamp_post(b: SceneBuilder, random: Random, pose: Float, arm: float) -> None:
    """A street lamp with an arm of signed length ``arm`` along x."""
    owner = b.place(pose)
    steel = Material(tint(random, (0.4, 0.42, 0.43), 0.06), contrast=0.35, grain=(0.15, 0.8))
    tall = random.uniform(4.5, 7.0)
    b.solid(CYLINDER, owner, "pole", steel, (0, -tall / 2, 0), (0.16, tall, 0.16))
    b.solid(BOX, owner, "pole", steel, (arm / 2, -tall, 0), (abs(arm), 0.1, 0.1))
    b.solid(BOX, owner, "pole", steel, (arm, -tall + 0.03, 0), (0.6, 0.14, 0.25))


def add_sign(b: SceneBuilder, random: Random, pose: Float) -> None:
    """A traffic sign on its post, facing -z."""
    owner, number = b.place(pose), b.new_instance("sign")
    steel = Material(tint(random, (0.45, 0.46, 0.47), 0.05), contrast=0.35, grain=(0.12, 0.6))
    tall = random.uniform(2.2, 2.9)
    b.solid(CYLINDER, owner, "pole", steel, (0, -tall / 2, 0.06), (0.09, tall, 0.09))
    rim, field = [
        ((0.72, 0.1, 0.1), (0.86, 0.86, 0.84)),
        ((0.12, 0.25, 0.6), (0.16, 0.32, 0.7)),
        ((0.85, 0.83, 0.8), (0.75, 0.13, 0.12)),
        ((0.2, 0.2, 0.2), (0.85, 0.7, 0.15)),
        ((0.8, 0.8, 0.8), (0.15, 0.45, 0.3)),
    ][random.integers(5)]
    wide = random.uniform(0.6, 0.85)
    round_ = random.random() < 0.5
    board = Material(
        rim, field, "sign", (0.1 * wide, float(round_), random.uniform(0.08, 0.2)), 0.08, (0.3, 0.3)
    )
    if round_:
        size = (wide, 0.05, wide)
        b.solid(CYLINDER, owner, "sign", board, (0, -tall, 0), size, rotation=ALONG, instance=number)
    else:
        angle = rotation(2, [0.0, np.pi / 4][random.integers(2)])
        size = (wide, wide * random.uniform(0.7, 1.0), 0.05)
        b.solid(BOX, owner, "sign", board, (0, -tall, 0), size, rotation=angle, instance=number)


def add_traffic_light(b: SceneBuilder, random: Random, pose: Float) -> None:
    """A mast with a signal head; the head counts as a sign."""
    owner, number = b.place(pose), b.new_instance("sign")
    steel = Material(tint(random, (0.35, 0.36, 0.36), 0.05), contrast=0.35, grain=(0.12, 0.6))
    b.solid(CYLINDER, owner, "pole", steel, (0, -1.6, 0.2), (0.14, 3.2, 0.14))
    case = Material((0.08, 0.1, 0.08), contrast=0.2, grain=(0.2, 0.2))
    b.solid(BOX, owner, "sign", case, (0, -2.9, 0), (0.34, 1.0, 0.25), instance=number)
    for level, colour in enumerate([(0.85, 0.15, 0.1), (0.5, 0.4, 0.08), (0.1, 0.35, 0.2)]):
        lamp = Material(colour, contrast=0.1, grain=(0.1, 0.1))
        b.solid(
            SPHERE, owner, "sign", lamp, (0, -3.2 + 0.3 * level, -0.1), (0.22, 0.22, 0.16), instance=number
        )


def add_fence(b: SceneBuilder, random: Random, start: Float, end: Float, style: int, colour: Colour) -> None:
    """A length of fence between two ground points (``3`` m): 0 boards, 1 wall, 2 rails on posts."""
    along = end - start
    length = float(np.hypot(along[0], along[2]))
    pose = rigid(rotation(1, float(np.arctan2(along[0], along[2]))), tuple((start + end) / 2))
    owner = b.place(pose)
    tall = 1.1 if style == 2 else random.uniform(1.0, 1.25)
    post = Material(darker(colour, 0.85), contrast=0.3, grain=(0.1, 0.4))
    if style == 2:
        for height in (0.35, 0.65, 0.95):
            b.solid(BOX, owner, "fence", post, (0, -height, 0), (0.06, 0.12, length))
    else:
        board = Material(colour, darker(colour, 0.7), "planks", (0.16,), 0.3, (0.5, 0.5))
        stone = Material(colour, darker(colour, 1.25), "bricks", (0.42, 0.2), 0.3, (0.6, 0.6))
        b.solid(BOX, owner, "fence", stone if style == 1 else board, (0, -tall / 2, 0), (0.12, tall, length))
    for weight in (-0.5, 0.0):
        b.solid(BOX, owner, "fence", post, (0, -(tall + 0.1) / 2, weight * length), (0.16, tall + 0.1, 0.16))
