"""What a world is made of: solids with materials, grouped in objects that stand still or move."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from geopretrain.synthetic.primitives import BOX, CYLINDER, GROUND, SPHERE

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Swing:
    """A limb: turns by ``amplitude·sin(rate·time + phase)`` about x through its parent's ``pivot`` (m)."""

    parent: int
    pivot: tuple[float, float, float]
    amplitude: float
    rate: float
    phase: float

    def pose(self, parent: Float, time: float) -> Float:
        """Object to world, ``4 4``, given the parent's."""
        return parent @ rigid(
            rotation(0, self.amplitude * math.sin(self.rate * time + self.phase)), self.pivot
        )


Mover = Callable[[float], Float] | Swing
"""Pose (object to world, 4 4) as a pure function of the frame number."""


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        colour: main colour, RGB in [0, 1].
        second: the colour that the noise and the pattern mix in.
        pattern: name of a function in ``patterns.PATTERNS``.
        params: up to four numbers for the pattern (sizes in m).
        contrast: how much the noise changes the brightness.
        grain: ``(u, v)`` size in m of the coarsest noise cell; each octave halves it.
        seed: moves the noise, so that equal materials do not look equal.
    """

    colour: tuple[float, float, float]
    second: tuple[float, float, float] | None = None
    pattern: str = "plain"
    params: tuple[float, ...] = ()
    contrast: float = 0.35
    grain: tuple[float, float] = (1.0, 1.0)
    seed: float = 0.0


@dataclass(frozen=True)
class Caster:
    """A soft contact shadow: a rectangle in the object's x and z, and how dark it is (0 to 1)."""

    owner: int
    centre: tuple[float, float]
    half: tuple[float, float]
    strength: float


@dataclass
class Scene:
    """All solids as arrays; ``P`` solids, ``O`` objects.

    Attributes:
        kind: ``P`` BOX, SPHERE, CYLINDER or GROUND.
        half: ``P 3`` half sizes in m.
        local: ``P 4 4`` solid to object.
        owner: ``P`` object of each solid.
        semantic, instance: ``P`` class id, instance id (0 = stuff).
        placed: ``O 4 4`` object to world (of moving objects: unused).
        movers: object index -> pose at a frame number.
        materials: ``P`` materials.
        sun: unit vector to the sun in world coordinates (y down).
        receivers: solids on which contact shadows fall.
        casters: where objects darken the ground.
    """

    kind: NDArray[np.int8]
    half: Float
    local: Float
    owner: NDArray[np.int64]
    semantic: NDArray[np.uint8]
    instance: NDArray[np.int32]
    placed: Float
    movers: dict[int, Mover]
    materials: list[Material]
    sun: Float
    receivers: NDArray[np.int64]
    casters: list[Caster]
    moving: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._still = self.placed[self.owner] @ self.local
        self.moving = np.isin(self.owner, list(self.movers))
        self._moving = np.flatnonzero(self.moving)

    def object_poses(self, time: float) -> Float:
        """``O 4 4`` object to world at frame number ``time``."""
        poses = self.placed.copy()
        for index, mover in self.movers.items():
            poses[index] = mover.pose(poses[mover.parent], time) if isinstance(mover, Swing) else mover(time)
        return poses

    def poses(self, objects: Float) -> Float:
        """``P 4 4`` solid to world from the poses of the objects."""
        poses = self._still.copy()
        poses[self._moving] = objects[self.owner[self._moving]] @ self.local[self._moving]
        return poses


class SceneBuilder:
    """Collects solids; ``build`` turns them into a `Scene`."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_ids = {name: index for index, name in enumerate(class_names)}
        self._solids: list[tuple[int, Float, Float, int, int, int, Material]] = []
        self._placed: list[Float] = []
        self._movers: dict[int, Mover] = {}
        self._starts: list[Float] = []
        self._seeds: list[float] = []
        self._parts: list[int] = []
        self._receivers: list[int] = []
        self._casters: list[Caster] = []
        self.instances: dict[int, int] = {}

    def place(self, pose: Float | Mover) -> int:
        """Add an object at a fixed pose (4 4) or with a mover; return its index."""
        index = len(self._placed)
        self._parts.append(0)
        if isinstance(pose, Swing):
            start: Float = translation(*pose.pivot) + self._starts[pose.parent]
        else:
            start = pose(0.0) if callable(pose) else np.asarray(pose, np.float64)
        self._starts.append(start)
        # texture seeds come from where an object starts: what was built before it must not matter
        self._seeds.append(float(start[:3, 3] @ (1.37, 0.71, 2.11)))
        if isinstance(pose, Swing) or callable(pose):
            self._movers[index] = pose
            start = np.eye(4)
        self._placed.append(start)
        return index

    def new_instance(self, class_name: str) -> int:
        """Return a new instance id (from 1) of a class."""
        number = len(self.instances) + 1
        self.instances[number] = self.class_ids[class_name]
        return number

    def solid(
        self,
        kind: int,
        owner: int,
        class_name: str,
        material: Material,
        centre: tuple[float, float, float],
        size: tuple[float, float, float],
        *,
        rotation: Float | None = None,
        instance: int = 0,
    ) -> None:
        """Add a solid of full ``size`` (m) centred in the object's axes."""
        local = np.eye(4)
        local[:3, 3] = centre
        if rotation is not None:
            local[:3, :3] = rotation
        self._parts[owner] += 1
        material = replace(material, seed=self._seeds[owner] + 7.31 * self._parts[owner])
        half = np.asarray(size, np.float64) / 2
        self._solids.append((kind, half, local, owner, self.class_ids[class_name], instance, material))

    def receive_shadows(self) -> None:
        """Contact shadows fall on the solid added last."""
        self._receivers.append(len(self._solids) - 1)

    def cast_shadow(
        self, owner: int, centre: tuple[float, float], half: tuple[float, float], strength: float
    ) -> None:
        """Darken the ground under and around a rectangle (x, z; m) of an object."""
        self._casters.append(Caster(owner, centre, half, strength))

    def build(self, sun: Float) -> Scene:
        """Freeze into arrays."""
        kind, half, local, owner, semantic, instance, materials = zip(*self._solids, strict=True)
        return Scene(
            kind=np.array(kind, np.int8),
            half=np.array(half),
            local=np.array(local),
            owner=np.array(owner),
            semantic=np.array(semantic, np.uint8),
            instance=np.array(instance, np.int32),
            placed=np.array(self._placed),
            movers=self._movers,
            materials=list(materials),
            sun=np.asarray(sun, np.float64) / np.linalg.norm(sun),
            receivers=np.array(self._receivers, np.int64),
            casters=self._casters,
        )


def translation(x: float, y: float, z: float) -> Float:
    """4 4 pose that only shifts (m)."""
    pose = np.eye(4)
    pose[:3, 3] = (x, y, z)
    return pose


def rotation(axis: int, angle: float) -> Float:
    """3 3 rotation by ``angle`` rad about axis 0 (x), 1 (y) or 2 (z), right-handed."""
    c, s = math.cos(angle), math.sin(angle)
    matrix = np.eye(3)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix[first, first] = matrix[second, second] = c
    matrix[first, second], matrix[second, first] = -s, s
    return matrix


def rigid(rotation: Float, shift: tuple[float, float, float]) -> Float:
    """4 4 pose from a 3 3 rotation and a shift (m)."""
    pose = translation(*shift)
    pose[:3, :3] = rotation
    return pose


__all__ = [
    "BOX",
    "CYLINDER",
    "GROUND",
    "SPHERE",
    "Caster",
    "Material",
    "Mover",
    "Scene",
    "SceneBuilder",
    "Swing",
]
