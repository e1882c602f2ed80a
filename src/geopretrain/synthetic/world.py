"""Frames with exact truth from a synthetic scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.synthetic.cast import SKY, Camera, Ground, Ids, View
from geopretrain.synthetic.primitives import Float
from geopretrain.synthetic.scene import Scene, translation
from geopretrain.synthetic.shade import Light, MaterialTable, shade

Box = tuple[int, int, int, int, int, int]
_QUARTERS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True, eq=False)
class World:
    """A seeded scene with a camera path; every frame is a pure function of its number.

    Attributes:
        kind, seed: what it was made from.
        num_frames, size, fps: length, ``(h, w)`` px, frames per second.
        class_names, class_colours: names and ``K 3`` uint8 colours of the classes.
        intrinsics: ``3 3`` px, the same for all frames.
        baseline: m, distance of the right camera.
        instance_classes: instance id -> class id.
    """

    kind: str
    seed: int
    num_frames: int
    size: tuple[int, int]
    fps: float
    class_names: tuple[str, ...]
    class_colours: NDArray[np.uint8]
    intrinsics: Float
    baseline: float
    instance_classes: dict[int, int]
    scene: Scene
    ground: Ground | None
    light: Light
    path: Callable[[float], Float]
    materials: MaterialTable

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def frame(self, index: int) -> WorldFrame:
        """Frame ``index`` of the left camera; IndexError outside ``[0, num_frames)``."""
        if not 0 <= index < self.num_frames:
            raise IndexError(f"Frame {index} of a world with {self.num_frames} frames.")
        return WorldFrame(self, index, self.path(index))

    def camera(self, pose: Float) -> Camera:
        """The world's camera at a pose."""
        return Camera(pose, self.intrinsics, self.size)


def class_colours(classes: dict[str, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """``K 3`` uint8 colours of a class table."""
    return np.array(list(classes.values()), np.uint8)


class WorldFrame:
    """One frame; each truth is computed when first asked for and kept.

    Labels and depth are those at pixel centres; the colours of pixels on outlines are averages of 2 x 2 rays.

    Attributes:
        world, index: where it comes from.
        pose: ``4 4`` float64 T_world_to_camera.
        intrinsics: ``3 3`` float64 px.
    """

    def __init__(self, world: World, index: int, pose: Float) -> None:
        self.world, self.index, self.pose = world, index, pose
        self.intrinsics = world.intrinsics
        self._view: View | None = None
        self._cast: tuple[Ids, Float] | None = None
        self._image: NDArray[np.uint8] | None = None

    @property
    def view(self) -> View:
        """The scene at this frame's time from this frame's camera."""
        if self._view is None:
            self._view = View(self.world.scene, self.world.ground, self.world.camera(self.pose), self.index)
        return self._view

    @property
    def hits(self) -> tuple[Ids, Float]:
        """Solids (-1 = sky) and depths (infinite in the sky) at pixel centres, ``H W``."""
        if self._cast is None:
            self._cast = self.view.cast()
        return self._cast

    @property
    def depth(self) -> Float:
        """``H W`` float32 m along the camera axis; 0 in the sky."""
        depth = self.hits[1]
        return np.where(np.isfinite(depth), depth, np.float32(0.0))

    @property
    def image(self) -> NDArray[np.uint8]:
        """``H W 3`` uint8 RGB."""
        if self._image is None:
            self._image = np.rint(_paint(self) * 255.0).astype(np.uint8)
        return self._image

    @property
    def semantic(self) -> NDArray[np.uint8]:
        """``H W`` uint8 class ids."""
        sky = self.world.class_names.index("sky") if "sky" in self.world.class_names else 255
        return np.append(self.world.scene.semantic, np.uint8(sky))[self.hits[0]]

    @property
    def instance(self) -> NDArray[np.int32]:
        """``H W`` int32 instance ids, 0 = stuff."""
        return np.append(self.world.scene.instance, np.int32(0))[self.hits[0]]

    @property
    def moving(self) -> NDArray[np.bool_]:
        """``H W`` bool: pixels of objects that move by themselves."""
        return np.append(self.world.scene.moving, False)[self.hits[0]]

    @property
    def boxes(self) -> list[Box]:
        """Visible bounds of each instance: (id, class id, x0, y0, x1, y1) in px, x1 and y1 exclusive."""
        instance = self.instance
        found = []
        for number in np.unique(instance[instance > 0]).tolist():
            rows, columns = np.nonzero(instance == number)
            bounds = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            found.append((number, self.world.instance_classes[number], *(int(b) for b in bounds)))
        return found

    def points(self) -> Float:
        """``3 H W`` float64 world coordinates of the hits, m; NaN in the sky."""
        height, width = self.world.size
        x, y = self.view.camera.normalised(
            np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64)
        )
        depth = self.hits[1].astype(np.float64)
        depth[np.isinf(depth)] = np.nan
        camera = np.stack([x[None] * depth, y[:, None] * depth, depth])
        return np.einsum("ji,jhw->ihw", self.pose[:3, :3], camera - self.pose[:3, 3, None, None])

    def flow_to(self, other: WorldFrame) -> tuple[Float, NDArray[np.bool_]]:
        """True flow to another frame of the same world, moving objects included.

        Returns:
            ``H W 2`` float32 flow in px (right, down), and ``H W`` bool: the point is in the other picture
            and not hidden there. Sky flows with the camera's rotation.
        """
        return _flow(self, other)

    def right(self) -> WorldFrame:
        """The frame of the right camera: same time, camera ``world.baseline`` m to the right."""
        shifted = WorldFrame(self.world, self.index, translation(-self.world.baseline, 0, 0) @ self.pose)
        return shifted

    def stereo(self) -> NDArray[np.uint8]:
        """``H W 3`` uint8 picture of the right camera."""
        return self.right().image

    def disparity(self) -> Float:
        """``H W`` float32 px by which a point lies further left in the right image; 0 in the sky."""
        depth = self.hits[1]
        return (self.intrinsics[0, 0] * self.world.baseline / depth).astype(np.float32)

    def lidar(
        self, beams: int = 64, azimuth_step: float = 0.2, max_range: float = 80.0, dropout: float = 0.1
    ) -> Float:
        """Sparse ``H W`` float32 depth in m as a spinning scanner in the camera's place measures it.

        ``beams`` elevations from 2 degrees above to 24.8 below the camera's axis, a point every
        ``azimuth_step`` degrees, a fraction ``dropout`` lost at random, nothing beyond ``max_range`` m;
        0 = no point.
        """
        return _lidar(self, beams, azimuth_step, max_range, dropout)


def _paint(frame: WorldFrame) -> Float:
    """``H W 3`` colours: one sample at the pixel centre, four where a solid's outline crosses the pixel."""
    world, view = frame.world, frame.view
    ids, depth = frame.hits
    height, width = ids.shape
    v, u = (grid.ravel() for grid in np.indices(ids.shape).astype(np.float32))
    x, y = (value.astype(np.float32) for value in view.camera.normalised(u, v))
    flat = ids.ravel()
    mixed = _outlines(ids).ravel()
    inner, edge = np.flatnonzero(~mixed), np.flatnonzero(mixed)
    us = np.concatenate([u[edge] + dx for dx, _ in _QUARTERS])
    vs = np.concatenate([v[edge] + dy for _, dy in _QUARTERS])
    edge_ids, edge_depth = view.cast_at(ids, us, vs)
    xs, ys = (value.astype(np.float32) for value in view.camera.normalised(us, vs))
    colours = shade(
        view,
        world.materials,
        world.light,
        np.concatenate([flat[inner], edge_ids]),
        np.concatenate([depth.ravel()[inner], edge_depth]),
        np.concatenate([x[inner], xs]),
        np.concatenate([y[inner], ys]),
    )
    picture = np.empty((3, height * width), np.float32)
    picture[:, inner] = colours[:, : inner.size]
    picture[:, edge] = colours[:, inner.size :].reshape(3, 4, edge.size).mean(1)
    return picture.T.reshape(height, width, 3)


def _outlines(ids: Ids) -> NDArray[np.bool_]:
    """Pixels with a neighbour (of four) that sees another solid."""
    mixed = np.zeros(ids.shape, bool)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    mixed[:, 1:] |= across
    mixed[:, :-1] |= across
    mixed[1:] |= down
    mixed[:-1] |= down
    return mixed


def _flow(frame: WorldFrame, other: WorldFrame) -> tuple[Float, NDArray[np.bool_]]:
    """See `WorldFrame.flow_to`."""
    height, width = frame.world.size
    ids = frame.hits[0].ravel()
    camera = other.view.camera
    v, u = (grid.ravel() for grid in np.indices((height, width)).astype(np.float64))
    points = frame.points().reshape(3, -1)
    moved = np.flatnonzero(frame.moving.ravel())
    motion = other.view.poses @ np.linalg.inv(frame.view.poses)
    pose = motion[ids[moved]]
    points[:, moved] = np.einsum("nij,jn->in", pose[:, :3, :3], points[:, moved]) + pose[:, :3, 3].T
    sky = np.flatnonzero(ids == SKY)
    x, y = frame.view.camera.normalised(u[sky], v[sky])
    far = np.stack([x, y, np.ones_like(x)])
    points[:, sky] = camera.centre[:, None] + frame.pose[:3, :3].T @ far
    u2, v2, z2 = camera.project(points)
    in_front = z2 > 1e-3
    u2, v2 = np.where(in_front, u2, -1e4), np.where(in_front, v2, -1e4)
    inside = (u2 >= 0) & (u2 <= width - 1) & (v2 >= 0) & (v2 <= height - 1)
    look = np.flatnonzero(inside)
    seen, depth = other.view.cast_at(other.hits[0], u2[look], v2[look])
    same = (seen == SKY) & (ids[look] == SKY)
    clear = same | (depth > z2[look] * 0.999 - 0.01)
    visible = inside.copy()
    visible[look] = np.where(ids[look] == SKY, same, clear & np.isfinite(depth))
    flow = np.stack([u2 - u, v2 - v], -1).reshape(height, width, 2).astype(np.float32)
    return flow, visible.reshape(height, width)


def _lidar(frame: WorldFrame, beams: int, azimuth_step: float, max_range: float, dropout: float) -> Float:
    """See `WorldFrame.lidar`."""
    height, width = frame.world.size
    k = frame.intrinsics
    azimuth = np.deg2rad(np.arange(-89.0, 89.0, azimuth_step))[None]
    elevation = np.deg2rad(np.linspace(2.0, -24.8, beams))[:, None]
    u = np.rint(k[0, 0] * np.tan(azimuth) + k[0, 2] + 0 * elevation).astype(np.int64)
    v = np.rint(-k[1, 1] * np.tan(elevation) / np.cos(azimuth) + k[1, 2]).astype(np.int64)
    random = np.random.default_rng([frame.world.seed, frame.index, 77])
    kept = (u >= 0) & (u < width) & (v >= 0) & (v < height) & (random.random(u.shape) >= dropout)
    sparse = np.zeros((height, width), np.float32)
    depth = frame.depth
    u, v = u[kept], v[kept]
    sparse[v, u] = depth[v, u]
    sparse[sparse > max_range] = 0.0
    return sparse
