"""The street world: a drive along a winding road."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geopretrain.synthetic import street_objects as things
from geopretrain.synthetic.primitives import Float
from geopretrain.synthetic.road import GRASS, KERB, PAVEMENT, ROAD, Road
from geopretrain.synthetic.scene import GROUND, Material, Mover, SceneBuilder, rotation
from geopretrain.synthetic.shade import Light, MaterialTable
from geopretrain.synthetic.world import World, class_colours

CLASSES = {
    "sky": (70, 130, 180),
    "building": (70, 70, 70),
    "pole": (153, 153, 153),
    "road": (128, 64, 128),
    "pavement": (244, 35, 232),
    "tree": (107, 142, 35),
    "sign": (220, 220, 0),
    "fence": (190, 153, 153),
    "car": (0, 0, 142),
    "pedestrian": (220, 20, 60),
    "bicyclist": (119, 11, 32),
    "grass": (152, 251, 152),
}
FPS = 10.0
CAMERA_HEIGHT = 1.65  # m
BEHIND, AHEAD = 15.0, 275.0  # m of road built before the first and beyond the last camera
LANE = 1.75  # m from the middle of the road to the middle of a lane
BASELINE = 0.54  # m


def make_street(seed: int, frames: int, size: tuple[int, int]) -> World:
    """Build the street world of a seed; ``frames`` decides only how long the road is."""
    random = np.random.default_rng([seed, 11])
    road = _road(random)
    drive = Drive(np.random.default_rng([seed, 12]), frames)
    builder = SceneBuilder(tuple(CLASSES))
    _ground(builder, random, road)
    _furnish(builder, road, seed, drive.position(frames) + AHEAD)
    _traffic(builder, seed, road, drive, frames)
    sun = np.array([random.uniform(-1, 1), -random.uniform(0.8, 1.6), random.uniform(-1.0, 0.6)])
    scene = builder.build(sun)
    height, width = size
    focal = 0.58 * width
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    return World(
        "street", seed, frames, size, FPS, tuple(CLASSES), class_colours(CLASSES), intrinsics,
        BASELINE, builder.instances, scene, road, _light(random), drive.camera(road), MaterialTable(scene),
    )  # fmt: skip


class Drive:
    """How far the ego car has come at each frame: a speed that rises and falls."""

    def __init__(self, random: np.random.Generator, frames: int) -> None:
        self.speed = random.uniform(0.45, 0.7)  # m per frame
        self.swing = random.uniform(0.2, 0.4)
        self.rate = 2 * np.pi / random.uniform(70, 160)
        self.phase, self.shake = random.uniform(0, 6.28), random.uniform(0, 6.28, 6)

    def position(self, time: float) -> float:
        """Metres along the road at a frame number: the integral of the speed."""
        wave = np.cos(self.phase) - np.cos(self.rate * time + self.phase)
        return float(self.speed * (time + self.swing / self.rate * wave))

    def camera(self, road: Road) -> Callable[[float], Float]:
        """T_world_to_camera as a function of the frame number, with a little heave, pitch and roll."""

        def pose(time: float) -> Float:
            a = self.shake
            heave = 0.012 * np.sin(0.9 * time + a[0]) + 0.008 * np.sin(2.1 * time + a[1])
            pitch = 0.003 * np.sin(0.7 * time + a[2]) + 0.0015 * np.sin(1.9 * time + a[3])
            roll = 0.003 * np.sin(0.25 * time + a[4])
            drift = LANE + 0.2 * np.sin(0.05 * time + a[5])
            body = road.place(self.position(time), drift, CAMERA_HEIGHT + heave)
            body[:3, :3] = body[:3, :3] @ rotation(0, pitch) @ rotation(2, roll)
            world_to_camera = np.eye(4)
            world_to_camera[:3, :3] = body[:3, :3].T
            world_to_camera[:3, 3] = -body[:3, :3].T @ body[:3, 3]
            return world_to_camera

        return pose


def _road(random: np.random.Generator) -> Road:
    waves = [
        (random.uniform(1.0, 2.5), random.uniform(80, 120), random.uniform(0, 6.28)),
        (random.uniform(6.0, 14.0), random.uniform(220, 340), random.uniform(0, 6.28)),
    ]
    return Road(waves, half=random.uniform(4.6, 6.0), pavement=random.uniform(1.8, 3.2))


def _light(random: np.random.Generator) -> Light:
    grey = random.random() < 0.35
    sun = random.uniform(0.12, 0.25) if grey else random.uniform(0.4, 0.65)
    warm = random.uniform(-0.05, 0.08)
    base = 0.88 - 0.62 * sun
    horizon = np.array([0.8, 0.84, 0.88]) * random.uniform(0.9, 1.08) + [warm, 0, -warm]
    zenith = np.array([0.68, 0.71, 0.75]) if grey else np.array([0.33, 0.52, 0.8])
    zenith = zenith * random.uniform(0.85, 1.15)
    return Light(
        ambient=(base * 0.98, base, base * 1.04),
        sun=(sun * (1 + warm), sun, sun * (1 - warm)),
        haze=random.uniform(150.0, 350.0),
        horizon=tuple(np.clip(horizon, 0, 0.97)),
        zenith=tuple(np.clip(zenith, 0, 0.95)),
        clouds=random.uniform(0.2, 0.5) if grey else random.uniform(0.3, 0.9),
    )


def _ground(b: SceneBuilder, random: np.random.Generator, road: Road) -> None:
    """The three parts of the ground; they must be the first solids."""
    owner = b.place(np.eye(4))
    tone = random.uniform(0.28, 0.5)
    tar = things.tint(random, (tone, tone, tone * 1.02), 0.02)
    paint = (0.82, 0.82, 0.78)
    edge = float(random.random() < 0.6 and road.half > 4.9)
    params = (2 * LANE, road.half, random.uniform(5, 9), random.uniform(0, 1), random.uniform(60, 110), edge)
    stone = things.tint(random, (0.52, 0.5, 0.47), 0.04)
    kerb = things.tint(random, (0.58, 0.57, 0.55), 0.03)
    turf = things.tint(random, [(0.32, 0.38, 0.17), (0.45, 0.4, 0.25)][random.integers(2)], 0.04)
    materials = {
        ROAD: Material(tar, paint, "asphalt", params, 0.22, (0.3, 0.6)),
        PAVEMENT: Material(stone, kerb, "slabs", (road.half, random.uniform(0.5, 1.0)), 0.25, (0.5, 0.8)),
        GRASS: Material(turf, things.darker(turf, 0.6), "plain", (), 0.45, (0.9, 1.4)),
    }
    for part, name in ((ROAD, "road"), (PAVEMENT, "pavement"), (GRASS, "grass")):
        b.solid(GROUND, owner, name, materials[part], (0, 0, 0), (2, 2, 2))
        b.receive_shadows()


def _furnish(b: SceneBuilder, road: Road, seed: int, end: float) -> None:
    """Line both sides of the road with blocks of houses, gardens and parks."""
    for side in (-1, 1):
        z, number = -BEHIND, 0
        while z < end:
            # each block draws from its own seed: a longer road begins like a shorter one
            random = np.random.default_rng([seed, 13, side + 1, number])
            length = random.uniform(25, 55)
            style = random.choice(["town", "suburb", "park"], p=[0.4, 0.4, 0.2])
            _block(b, random, road, side, z, z + length, str(style))
            z, number = z + length, number + 1


def _block(
    b: SceneBuilder, random: np.random.Generator, road: Road, side: int, start: float, end: float, style: str
) -> None:
    edge = road.half + road.pavement
    setback = {"town": random.uniform(0.1, 0.8), "suburb": random.uniform(3, 7), "park": 12.0}[style]
    yaw = 0.0 if side > 0 else np.pi  # house fronts look along their -x
    z = start
    while style != "park" and z < end - 4:
        wide = min(random.uniform(7, 14), end - z)
        deep = random.uniform(7, 10)
        tall = random.uniform(6, 14) if style == "town" else random.uniform(3.2, 6.5)
        gap = random.uniform(0.0, 0.5) if style == "town" else random.uniform(1.5, 6)
        place = road.place(z + wide / 2, side * (edge + setback + deep / 2), KERB - 0.1, yaw)
        things.add_building(b, random, place, wide, deep, tall)
        z += wide + gap
    if style != "town":
        _garden(b, random, road, side, start, end, edge, style)
    _kerbside(b, random, road, side, start, end, style)


def _garden(
    b: SceneBuilder,
    random: np.random.Generator,
    road: Road,
    side: int,
    start: float,
    end: float,
    edge: float,
    style: str,
) -> None:
    """A fence along the pavement, trees and bushes behind it."""
    if random.random() < 0.75:
        kind = int(random.integers(3))
        colours = [
            (0.5, 0.4, 0.28),
            (0.3, 0.36, 0.22),
            (0.7, 0.68, 0.64),
            (0.45, 0.42, 0.4),
            (0.55, 0.35, 0.28),
        ]
        colour = things.tint(random, colours[random.integers(5)])
        line = side * (edge + 0.15)
        gate = random.uniform(start, end)
        for z in np.arange(start, end - 2, 4.0):
            if abs(z + 2 - gate) > 3:
                ends = [road.place(at, line, KERB)[:3, 3] for at in (z, z + 4.0)]
                things.add_fence(b, random, ends[0], ends[1], kind, colour)
    step = 4.0 if style == "park" else 8.0
    for z in np.arange(start, end, step):
        reach = random.uniform(1.8, 14.0 if style == "park" else 4.0)
        place = road.place(z + random.uniform(0, step), side * (edge + reach), KERB, random.uniform(0, 6.28))
        (things.add_tree if random.random() < 0.6 else things.add_bush)(b, random, place)


def _kerbside(
    b: SceneBuilder, random: np.random.Generator, road: Road, side: int, start: float, end: float, style: str
) -> None:
    """Lamps, signs, street trees and standing people on the pavement, parked cars at the kerb."""
    line = side * (road.half + 0.45)
    for z in np.arange(start + random.uniform(0, 10), end, 24.0):
        things.add_lamp_post(b, random, road.place(z, line, KERB), -side * random.uniform(1.0, 2.0))
    for z in np.arange(start + random.uniform(4, 20), end, 22.0):
        kind = things.add_traffic_light if random.random() < 0.2 else things.add_sign
        kind(b, random, road.place(z, line, KERB, random.uniform(-0.2, 0.2)))
    if road.pavement > 2.2 and random.random() < 0.5:
        for z in np.arange(start + 6, end, random.uniform(9, 16)):
            things.add_tree(b, random, road.place(z, side * (road.half + 0.8), KERB, random.uniform(0, 6.28)))
    if road.half > 5.0 and random.random() < 0.55:
        z = start + random.uniform(0, 6)
        while z < end - 3:
            facing = (0.0 if side > 0 else np.pi) + random.normal(0, 0.02)
            things.add_car(b, random, road.place(z, side * (road.half - 1.05), 0.0, facing))
            z += random.uniform(5.5, 14)
    for z in random.uniform(start, end, random.integers(1, 4)):
        across = side * (road.half + random.uniform(0.6, road.pavement - 0.3))
        facing = [0.0, np.pi][random.integers(2)]
        _walker(b, random, road, float(z), across, facing)


def _walker(
    b: SceneBuilder, random: np.random.Generator, road: Road, z: float, across: float, facing: float
) -> None:
    """A person on the pavement; most walk along it."""
    speed = 0.0 if random.random() < 0.25 else random.uniform(0.09, 0.16)  # m per frame
    things.add_pedestrian(b, random, _along(road, z, across, KERB, speed, facing), 6.0 * speed)


def _along(road: Road, z: float, across: float, height: float, speed: float, facing: float) -> Mover:
    """Motion along the road from ``z`` at frame 0; ``facing`` 0 = forward, pi = towards the camera."""
    direction = float(np.cos(facing))
    return lambda time: road.place(z + direction * speed * time, across, height, facing)


def _traffic(b: SceneBuilder, seed: int, road: Road, drive: Drive, frames: int) -> None:
    """A car ahead, oncoming cars, bicycles on both sides; each kind draws from its own seed."""
    random = np.random.default_rng([seed, 14])
    if random.random() < 0.7:  # it keeps its distance, more or less
        ahead, sway, rate = random.uniform(14, 30), random.uniform(2, 6), random.uniform(0.02, 0.05)

        def leader(time: float) -> Float:
            return road.place(drive.position(time) + ahead + sway * np.sin(rate * time), LANE, 0.0)

        things.add_car(b, random, leader)
    random = np.random.default_rng([seed, 15])
    gap, speed = random.uniform(25, 60), random.uniform(0.55, 0.75)  # m, m per frame
    z = random.uniform(15, 40)
    while z < drive.position(frames) + speed * frames + AHEAD:
        things.add_car(b, random, _along(road, z, -LANE + 0.1, 0.0, speed, np.pi))
        z += gap * random.uniform(0.5, 1.6)
    random = np.random.default_rng([seed, 16])
    z = random.uniform(8, 30)
    while z < drive.position(frames) + AHEAD:
        right = random.random() < 0.6
        speed, facing = random.uniform(0.3, 0.5), 0.0 if right else np.pi
        lane = (road.half - 0.45) if road.half < 5.0 else 2 * LANE - 0.35
        things.add_bicyclist(b, random, _along(road, z, lane if right else -lane, 0.0, speed, facing), 0.6)
        z += random.uniform(15, 40)
