"""Surface patterns: bricks, windows, planks, lane markings ... box filtered over the pixel's footprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopretrain.synthetic.noise import Float, cell_hash, inside, octaves, pulse


@dataclass
class Surface:
    """What a pattern may look at, for ``N`` hits.

    Attributes:
        u, v: texture coordinates in m (v runs down on upright faces).
        width_u, width_v: footprint of the pixel in m.
        point, half: ``3 N`` hit and half size in the solid's own axes, m.
        face: 0, 1, 2 = axis of a box face (1 also caps), 3 = curved.
        colour, second: ``3 N`` the material's colours.
        params: ``6 N`` the material's numbers.
        noise: ``N`` octaves of noise at the material's grain.
        seed: ``N`` number of the material.
    """

    u: Float
    v: Float
    width_u: Float
    width_v: Float
    point: Float
    half: Float
    face: NDArray[np.integer]
    colour: Float
    second: Float
    params: Float
    noise: Float
    seed: Float

    def part(self, which: slice) -> Surface:
        """Some of the hits only."""
        return Surface(*(getattr(self, name)[..., which] for name in self.__dataclass_fields__))


def mix(first: Float, second: Float | float, weight: Float) -> Float:
    """Blend two colours."""
    return first + (second - first) * weight


def fade(width: Float, cell: Float | float) -> Float:
    """1 where cells are wider than 2.5 footprints, 0 where narrower than 1.25."""
    return np.clip(2.0 - 2.5 * width / cell, 0.0, 1.0)


def plain(s: Surface) -> Float:
    """Two colours mixed by the noise."""
    return mix(s.colour, s.second, np.clip(0.5 + 0.9 * s.noise, 0.0, 1.0))


def leaves(s: Surface) -> Float:
    """Clumps of light and dark foliage."""
    clumps = octaves(s.u / 0.5 + s.seed, s.v / 0.5, s.width_u / 0.5, s.width_v / 0.5, count=4, gain=0.85)
    hollow = 0.72 - 0.28 * s.point[1] / s.half[1]  # darker below, where little light comes in
    return mix(s.colour, s.second, np.clip(0.5 + 1.5 * clumps, 0.0, 1.0)) * hollow


def bricks(s: Surface) -> Float:
    """Running bond with mortar joints. params: brick width, height."""
    width, height = s.params[0], s.params[1]
    row = np.floor(s.v / height)
    shifted = s.u / width + 0.5 * (row % 2)
    tall = 1 - pulse(s.v / height + 0.06, 0.12, s.width_v / height)
    long = 1 - pulse(shifted + 0.03, 0.06, s.width_u / width)
    visible = fade(np.maximum(s.width_u / width, s.width_v / height), 1.0)
    tone = 1 + 0.3 * visible * (cell_hash(shifted, row) - 0.5)
    long = mix(np.full_like(long, 0.94), long, visible)
    return mix(s.second, s.colour * tone, tall * long)


def facade(s: Surface) -> Float:
    """House front: rows of windows on plaster. params: pitch, storey, window fraction of both."""
    wall = plain(s)
    wide, tall = s.params[0], s.params[1]
    u, v = (s.u + 50 * wide) / wide, (s.half[1] - s.point[1]) / tall  # v counts storeys from the ground up
    fu, fv = s.width_u / wide, s.width_v / tall
    pane_u, pane_v = s.params[2], s.params[3]
    upright = (s.face != 1) * inside(v, 0.0, 60.0, fv)
    pane = pulse(u + pane_u / 2, pane_u, fu) * pulse(v - 0.3, pane_v, fv) * upright
    edge_u, edge_v = 0.09 / wide, 0.09 / tall
    outer = pulse(u + pane_u / 2 + edge_u, pane_u + 2 * edge_u, fu) * pulse(
        v - 0.3 + edge_v, pane_v + 2 * edge_v, fv
    )
    cross = 1 - inside((u + 0.5) % 1.0, 0.5 - 0.025, 0.5 + 0.025, fu)
    frame = mix(np.full_like(wall, 0.82), wall * 0.8, (s.params[4] > 0.5) * 1.0)
    near = fade(np.maximum(fu, fv), 0.8)
    tone = 0.16 + 0.34 * near * cell_hash(u + pane_u / 2, v, 3.0) + 0.1 * (1 - near)
    glass = np.stack([tone * 0.8, tone * 0.92, tone]) + 0.12 * ((v % 1.0) - 0.5)
    wall = mix(wall, frame, outer * upright)
    wall = mix(wall, mix(frame, glass, cross), pane)
    base = inside(v, -0.1, 0.16, fv) * (s.face != 1)
    return mix(wall, 0.55 * s.second, base)


def planks(s: Surface) -> Float:
    """Upright boards with dark gaps. params: board width, 1 for lying boards."""
    width = s.params[0]
    lying = s.params[1] > 0.5
    across, foot = np.where(lying, s.v, s.u), np.where(lying, s.width_v, s.width_u)
    along, foot_along = np.where(lying, s.u, s.v), np.where(lying, s.width_u, s.width_v)
    board = pulse(across / width + 0.07, 0.14, foot / width)
    visible = fade(foot, width)
    tone = 1 + 0.35 * visible * (cell_hash(across / width, np.zeros_like(across), 1.0) - 0.5)
    grain = octaves(across / 0.05, along / 0.7 + s.seed, foot / 0.05, foot_along / 0.7, count=3)
    return mix(plain(s) * tone * (1 + 0.15 * grain), s.second * 0.45, board * 0.8)


def tiles(s: Surface) -> Float:
    """Square slabs with joints. params: slab size u, v, joint fraction, strength of the tone per slab."""
    wide, tall = s.params[0], s.params[1]
    u, v = s.u / wide, s.v / tall
    fu, fv = s.width_u / wide, s.width_v / tall
    joint = s.params[2]
    gap = 1 - (1 - pulse(u + joint / 2, joint, fu)) * (1 - pulse(v + joint / 2, joint, fv))
    visible = fade(np.maximum(fu, fv), 1.0)
    near_joint = (1 - gap) * visible
    tone = 1 + s.params[3] * near_joint * (cell_hash(u, v, 2.0) - 0.5)
    return mix(plain(s) * tone, 0.6 * s.second, 0.7 * gap)


def checks(s: Surface) -> Float:
    """Chess-board of the two colours. params: cell size."""
    size = s.params[0]
    a = 2 * pulse(s.u / (2 * size), 0.5, s.width_u / (2 * size)) - 1
    b = 2 * pulse(s.v / (2 * size), 0.5, s.width_v / (2 * size)) - 1
    return mix(s.colour, s.second, 0.5 + 0.5 * a * b)


def stripes(s: Surface) -> Float:
    """Stripes along v. params: period, fraction of the second colour."""
    weight = pulse(s.u / s.params[0], s.params[1], s.width_u / s.params[0])
    return mix(s.colour, s.second, weight) * (1 + 0.1 * s.noise)


def bands(s: Surface) -> Float:
    """Stripes along u. params: period, fraction of the second colour."""
    weight = pulse(s.v / s.params[0], s.params[1], s.width_v / s.params[0])
    return mix(s.colour, s.second, weight)


def motif(s: Surface) -> Float:
    """Printed paper: staggered soft diamonds, large and small. params: pitch."""
    pitch = s.params[0]
    u, v = s.u / pitch, s.v / pitch
    clear = fade(np.maximum(s.width_u, s.width_v) / pitch, 0.5)
    large = np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v)
    small = (
        np.cos(6 * np.pi * u) * np.cos(6 * np.pi * v) * fade(np.maximum(s.width_u, s.width_v) / pitch, 0.2)
    )
    weight = np.clip(0.5 + 2.5 * (large + 0.5 * small - 0.35), 0.0, 1.0)
    return mix(s.colour, s.second, mix(np.full_like(weight, 0.3), weight, clear))


def panel(s: Surface) -> Float:
    """A framed board: inner field of the second colour on the face seen along z. params: margin in m."""
    margin = s.params[0]
    field = inside(s.point[0], -s.half[0] + margin, s.half[0] - margin, s.width_u)
    field = field * inside(s.point[1], -s.half[1] + margin, s.half[1] - margin, s.width_v) * (s.face == 2)
    return mix(s.colour * (1 + 0.1 * s.noise), s.second * (1 + 0.25 * s.noise), field)


def drawers(s: Surface) -> Float:
    """Furniture front: fields separated by dark gaps, with handles. params: columns, rows."""
    columns, rows = s.params[0], s.params[1]
    wide, tall = 2 * s.half[0] / columns, 2 * s.half[1] / rows
    u, v = (s.point[0] + s.half[0]) / wide, (s.point[1] + s.half[1]) / tall
    fu, fv = s.width_u / wide, s.width_v / tall
    gap = 1 - (1 - pulse(u + 0.02, 0.04, fu)) * (1 - pulse(v + 0.02, 0.04, fv))
    handle = pulse(u - 0.38, 0.24, fu) * pulse(v - 0.2, 0.1, fv)
    front = s.face == 2
    wood = plain(s)
    return mix(mix(wood, wood * 0.3, gap * front), np.full_like(wood, 0.75), handle * front)


def books(s: Surface) -> Float:
    """Shelves full of books. params: shelf pitch, mean width of a book."""
    pitch, width = s.params[0], s.params[1]
    v = (s.point[1] + s.half[1]) / pitch
    u = s.u / width
    fu, fv = s.width_u / width, s.width_v / pitch
    shelf = np.floor(v)
    clear = fade(fu, 1.0)
    height = 0.75 - 0.25 * clear * cell_hash(u, shelf, 4.0)
    body = inside(v % 1.0, 0.94 - height, 0.94, fv) * (1 - pulse(u + 0.06, 0.12, fu))
    hue = np.stack([cell_hash(u, shelf, salt) for salt in (5.0, 6.0, 7.0)])
    hue = hue + 0.55 * (hue.mean(0) - hue)
    book = mix(np.full_like(hue, 0.42), 0.15 + 0.65 * hue, clear)
    board = 1 - inside(v % 1.0, 0.06, 0.95, fv)
    inner = mix(mix(s.colour * 0.35, book, body), s.colour, board)
    return mix(s.colour * (1 + 0.2 * s.noise), inner, (s.face == 2) * 1.0)


def picture(s: Surface) -> Float:
    """A painting in a frame: smooth blobs of colour. params: frame width."""
    blobs = [
        octaves(s.u / 0.3 + 5 * s.seed + 40 * k, s.v / 0.3, s.width_u / 0.3, s.width_v / 0.3, count=4)
        for k in range(3)
    ]
    paint = np.clip(0.5 * (s.colour + s.second) + 0.25 * np.stack(blobs) + 0.2 * blobs[0], 0.03, 0.97)
    edge = s.params[0]
    field = inside(s.point[0], -s.half[0] + edge, s.half[0] - edge, s.width_u)
    field = field * inside(s.point[1], -s.half[1] + edge, s.half[1] - edge, s.width_v) * (s.face == 2)
    return mix(s.second * 0.5, paint, field)


def outlook(s: Surface) -> Float:
    """A window: frame, bars, and a bright view of sky over trees painted on the pane. params: frame width."""
    height = s.point[1] / s.half[1]
    rough = octaves(s.u / 0.5 + s.seed, s.v / 0.5, s.width_u / 0.5, s.width_v / 0.5, count=5)
    sky = np.stack([0.7 - 0.1 * height, 0.8 + 0 * height, 0.92 + 0.03 * height]) * (1 + 0.06 * rough)
    trees = s.second * (0.9 + 0.5 * rough)
    view = 1.3 * mix(sky, trees, np.clip(4 * (height - 0.15 + 0.5 * rough), 0.0, 1.0))
    edge = s.params[0]
    clear = np.ones_like(height)
    for axis, foot in ((0, s.width_u), (1, s.width_v)):
        clear = clear * inside(s.point[axis], -s.half[axis] + edge, s.half[axis] - edge, foot)
    clear = clear * (1 - inside(s.point[0], -edge / 3, edge / 3, s.width_u))
    return mix(s.colour * (1 + 0.08 * s.noise), view, clear * (s.face == 2))


def sign(s: Surface) -> Float:
    """Traffic sign: rim and bar in the first colour. params: rim in m, 1 = disc, bar height."""
    rim = s.params[0]
    round_ = s.params[1] > 0.5
    radius = np.hypot(s.point[0], np.where(round_, s.point[2], s.point[1]))
    foot = np.maximum(s.width_u, s.width_v)
    disc = inside(radius, -1.0, s.half[0] - rim, foot)
    field_u = inside(s.point[0], -s.half[0] + rim, s.half[0] - rim, s.width_u)
    square = field_u * inside(s.point[1], -s.half[1] + rim, s.half[1] - rim, s.width_v)
    field = np.where(round_, disc, square)
    height = np.where(round_, s.point[2], s.point[1])
    bar = inside(height, -s.params[2] / 2, s.params[2] / 2, s.width_v)
    bar = bar * inside(s.point[0], -0.6 * s.half[0], 0.6 * s.half[0], s.width_u)
    front = np.where(round_, s.face == 1, s.face == 2)
    return mix(s.colour, mix(s.second, s.colour * 0.6, bar), field * front) * (1 + 0.08 * s.noise)


def car_body(s: Surface) -> Float:
    """Paint with a dark sill, door gaps, lights at both ends. params: 1 at the end with red lights."""
    paint = s.colour * (1 + 0.12 * s.noise)
    low = inside(s.point[1], 0.45 * s.half[1], 3.0, s.width_v)
    seam = inside(np.abs(s.point[2] + 0.1), 0.53, 0.56, s.width_u) + inside(
        s.point[2], -0.02, 0.02, s.width_u
    )
    side = s.face == 0
    paint = mix(paint, paint * 0.35, np.clip(low * 0.8 + seam * side * 0.7, 0.0, 1.0))
    end = s.face == 2
    lamp = inside(np.abs(s.point[0]), 0.6 * s.half[0], 0.93 * s.half[0], s.width_u)
    lamp = lamp * inside(s.point[1], -0.75 * s.half[1], -0.15 * s.half[1], s.width_v) * end
    rear = s.point[2] < 0
    red = np.stack([np.where(rear, 0.75, 0.95), np.where(rear, 0.07, 0.93), np.where(rear, 0.06, 0.82)])
    plate = inside(s.point[0], -0.26, 0.26, s.width_u) * inside(s.point[1], 0.05, 0.17, s.width_v) * end
    return mix(mix(paint, red, lamp), np.full_like(paint, 0.85), plate)


def glasshouse(s: Surface) -> Float:
    """Car cabin: dark glass between pillars of paint, painted roof. params: none."""
    height = s.point[1] / s.half[1]
    glass = inside(height, -0.78, 0.95, s.width_v / s.half[1])
    side = s.face == 0
    span = np.where(side, s.half[2], s.half[0])
    along = np.where(side, s.point[2], s.point[0])
    glass = glass * inside(along, -0.9 * span, 0.9 * span, s.width_u)
    glass = glass * (1 - side * inside(along, -0.05, 0.05, s.width_u))
    tone = 0.14 + 0.1 * (1 - height) + 0.05 * s.noise
    dark = np.stack([tone * 0.85, tone * 0.95, tone * 1.05])
    return mix(s.colour * (1 + 0.1 * s.noise), dark, glass * ((s.face == 0) | (s.face == 2)))


def wheel(s: Surface) -> Float:
    """Tyre of the first colour with a hub of the second (cylinder caps)."""
    radius = np.hypot(s.point[0], s.point[2]) / s.half[0]
    hub = inside(radius, -1.0, s.params[0], np.maximum(s.width_u, s.width_v) / s.half[0]) * (s.face == 1)
    return mix(s.colour, s.second, hub)


def asphalt(s: Surface) -> Float:
    """Road: u across from the middle, v along. params: both half widths, dash, patches, zebras, edge."""
    u, v = s.u, s.v
    wear = octaves(u / 0.7 + s.seed, v / 6.0, s.width_u / 0.7, s.width_v / 6.0, count=5, gain=0.8)
    rough = octaves(u / 2.5, v / 8.0 + s.seed, s.width_u / 2.5, s.width_v / 8.0, count=6, gain=0.85)
    patch = np.clip(3.0 * (rough - 0.35), 0.0, 1.0) * s.params[3]
    ruts = np.exp(-(((np.abs(np.abs(u) - s.params[0] / 2 - 0.9)) / 0.35) ** 2)) * 0.08
    base = s.colour * (1 + 0.13 * wear + 0.1 * rough - ruts) * (1 - 0.3 * patch)
    seam = inside(np.abs(u - 0.9 - 0.15 * wear), -0.04, 0.04, s.width_u)
    base = base * (1 - 0.35 * seam)
    period = s.params[2]
    dash = inside(np.abs(u), -0.08, 0.08, s.width_u) * pulse(v / period, 0.45, s.width_v / period)
    edge = inside(np.abs(u), s.params[0] - 0.06, s.params[0] + 0.06, s.width_u)
    where = v % s.params[4]
    zebra = inside(where, 20.0, 23.5, s.width_v) * pulse(u / 1.0, 0.5, s.width_u)
    stop = inside(where, 18.2, 18.7, s.width_v) * inside(u, 0.1, s.params[0], s.width_u)
    dash = dash * (1 - inside(where, 15.0, 28.0, s.width_v))
    paint = np.clip(dash + edge * s.params[5] + zebra + stop, 0.0, 1.0) * (
        0.82 + 0.12 * np.clip(2 * wear, -1, 1)
    )
    return mix(base, s.second, paint)


def slabs(s: Surface) -> Float:
    """Pavement: kerb stones at the road, slabs behind. params: distance of the kerb, slab size."""
    size = s.params[1]
    across, along = np.abs(s.u) - s.params[0], s.v
    kerb = inside(across, -1.0, 0.18, s.width_u)
    u, v = across / size, along / size
    fu, fv = s.width_u / size, s.width_v / size
    gap = 1 - (1 - pulse(u, 0.06, fu)) * (1 - pulse(v, 0.06, fv))
    clear = fade(np.maximum(fu, fv), 1.0)
    tone = 1 + 0.22 * clear * (1 - gap) * (cell_hash(u, v, 2.0) - 0.5)
    stone = s.second * (1 - 0.4 * pulse(v, 0.08, fv)) * (1 + 0.2 * s.noise)
    return mix(mix(s.colour * tone * (1 + 0.2 * s.noise), 0.6 * s.colour, 0.6 * gap), stone, kerb)


PATTERNS: dict[str, Callable[[Surface], Float]] = {
    function.__name__: function
    for function in (
        plain, leaves, bricks, facade, planks, tiles, checks, stripes, bands, motif, panel, drawers, books,
        picture, outlook, sign, car_body, glasshouse, wheel, asphalt, slabs,
    )
}  # fmt: skip
