"""Warping by inverse depth and camera motion, and its gradient, as loops over rows of pixels.

A pixel (u, v) with inverse depth q lies in a source at A (u, v, 1) + q b, where [A | b] is the motion's
homography form (see `losses.reprojection_scale`); outside, the source's border is repeated. Inverse depth is
``B 1 H W``, forms ``N B 3 4``, sources ``N B 3 H W``, all contiguous and of one floating-point type.
"""

from __future__ import annotations

import numpy as np

from geopretrain.losses.loops import Array, compiled_loops, reordered_sums

ALONG, DOWN, FREE_X, FREE_Y, X, Y, Z = range(7)
"""What is known of a row of pixels: how far, in px, they lie beyond the upper left of the four that are read;
1 where moving them changes what is read, else 0; their normalised position; z / depth."""


@compiled_loops
def warp_images(
    sample: int,
    inverse_depth: Array,
    form: Array,
    sources: Array,
    align_corners: bool,
    images: Array,
    in_view: Array,
) -> None:
    """Fill ``images`` with the sources seen from the target, ``in_view`` (``N B``) with numbers of pixels."""
    colours, height, width = sources.shape[2:]
    places, corners = np.empty((7, width), sources.dtype), np.empty(width, np.uintp)
    for source in range(len(sources)):
        count = 0
        for row in range(height):
            depths = inverse_depth[sample, 0, row]
            _places(form[source, sample], row, depths, height, align_corners, places, corners)
            count += _count_in_view(places)
            for colour in range(colours):
                image = sources[source, sample, colour]
                _sample(image, places, corners, images[source, sample, colour, row])
        in_view[source, sample] = count


@compiled_loops
def warp_gradient(
    sample: int,
    inverse_depth: Array,
    form: Array,
    sources: Array,
    align_corners: bool,
    of_images: Array,
    of_depth: Array,
    of_form: Array,
) -> None:
    """Fill ``of_depth`` and ``of_form`` (shapes of ``inverse_depth`` and ``form``) with the gradients."""
    colours, height, width = sources.shape[2:]
    places, corners = np.empty((7, width), sources.dtype), np.empty(width, np.uintp)
    slopes, moved = np.empty((2, width), sources.dtype), np.empty((3, width), sources.dtype)
    columns = np.arange(width).astype(sources.dtype)
    of_depth[sample] = 0
    for source in range(len(sources)):
        motion, total = form[source, sample], np.zeros((3, 4))
        for row in range(height):
            depths = inverse_depth[sample, 0, row]
            _places(motion, row, depths, height, align_corners, places, corners)
            slopes[:] = 0
            for colour in range(colours):
                image = sources[source, sample, colour]
                _add_slopes(image, places, corners, of_images[source, sample, colour, row], slopes)
            _homogeneous(slopes, places, height, align_corners, moved)
            _add_depth_gradient(moved, motion, of_depth[sample, 0, row])
            _add_form_gradient(moved, columns, row, depths, total)
        of_form[source, sample] = total.astype(sources.dtype)


@compiled_loops
def warp_with_depth(
    sample: int,
    inverse_depth: Array,
    form: Array,
    sources: Array,
    depths: Array,
    images: Array,
    read_depths: Array,
    z: Array,
    in_view: Array,
) -> None:
    """Warp sources ``B C H W`` and their depths ``B 1 H W``, each by a form of its own (``B 3 4``).

    ``z`` gets z / depth of the target's points in the source, ``in_view`` (bool) whether they lie in view and
    in front of it, both ``B 1 H W``.
    """
    colours, height, width = sources.shape[1:]
    places, corners = np.empty((7, width), sources.dtype), np.empty(width, np.uintp)
    for row in range(height):
        _places(form[sample], row, inverse_depth[sample, 0, row], height, True, places, corners)
        for colour in range(colours):
            _sample(sources[sample, colour], places, corners, images[sample, colour, row])
        _sample(depths[sample, 0], places, corners, read_depths[sample, 0, row])
        z[sample, 0, row] = places[Z]
        _mark_in_view(places, in_view[sample, 0, row])


@compiled_loops
def warp_with_depth_gradient(
    sample: int,
    inverse_depth: Array,
    form: Array,
    sources: Array,
    depths: Array,
    of_images: Array,
    of_read_depths: Array,
    of_z: Array,
    of_inverse_depth: Array,
    of_form: Array,
    of_depths: Array,
) -> None:
    """Fill the last three with the gradients by what :func:`warp_with_depth` was given, the sources apart."""
    colours, height, width = sources.shape[1:]
    places, corners = np.empty((7, width), sources.dtype), np.empty(width, np.uintp)
    slopes, moved = np.empty((2, width), sources.dtype), np.empty((3, width), sources.dtype)
    columns = np.arange(width).astype(sources.dtype)
    of_inverse_depth[sample] = 0
    of_depths[sample] = 0
    motion, total = form[sample], np.zeros((3, 4))
    for row in range(height):
        inverse = inverse_depth[sample, 0, row]
        _places(motion, row, inverse, height, True, places, corners)
        slopes[:] = 0
        for colour in range(colours):
            _add_slopes(sources[sample, colour], places, corners, of_images[sample, colour, row], slopes)
        upstream = of_read_depths[sample, 0, row]
        _add_slopes(depths[sample, 0], places, corners, upstream, slopes)
        _scatter(upstream, places, corners, of_depths[sample, 0])
        _homogeneous(slopes, places, height, True, moved)
        moved[2] += of_z[sample, 0, row]
        _add_depth_gradient(moved, motion, of_inverse_depth[sample, 0, row])
        _add_form_gradient(moved, columns, row, inverse, total)
    of_form[sample] = total.astype(sources.dtype)


@compiled_loops
def _pixels(side: int, align_corners: bool) -> float:
    """Return how many pixels one unit of normalised coordinates has."""
    return (side - 1) / 2 if align_corners else side / 2


@compiled_loops
def _places(
    form: Array, row: int, depths: Array, height: int, align_corners: bool, places: Array, corners: Array
) -> None:
    """Find out where one row of the target's pixels lies, and ``corners``, the upper left pixel to read."""
    number, width = depths.dtype.type, len(depths)
    v = number(row)
    x0, y0, z0 = form[0, 1] * v + form[0, 2], form[1, 1] * v + form[1, 2], form[2, 1] * v + form[2, 2]
    ax, ay, az, bx, by, bz = form[0, 0], form[1, 0], form[2, 0], form[0, 3], form[1, 3], form[2, 3]
    x, y, z = places[X], places[Y], places[Z]
    for u in range(width):
        column, q = number(u), depths[u]
        z[u] = az * column + z0 + bz * q
        x[u] = (ax * column + x0 + bx * q) / z[u]
        y[u] = (ay * column + y0 + by * q) / z[u]
    _split(x, width, align_corners, places[ALONG], places[FREE_X])
    _split(y, height, align_corners, places[DOWN], places[FREE_Y])
    along, down = places[ALONG], places[DOWN]
    for u in range(width):
        left, top = min(int(along[u]), width - 2), min(int(down[u]), height - 2)
        corners[u] = top * width + left
        along[u] -= number(left)
        down[u] -= number(top)


@compiled_loops
def _split(normalised: Array, side: int, align_corners: bool, position: Array, free: Array) -> None:
    """Fill in the position in px, not beyond the border, and whether it is free to move."""
    number = position.dtype.type
    scale, middle, last = number(_pixels(side, align_corners)), number((side - 1) / 2), number(side - 1)
    zero, one = number(0), number(1)
    for u in range(len(position)):
        place = normalised[u] * scale + middle
        # what is not a number is not above 0 and goes to the border, too
        free[u] = one if place > zero and place < last else zero
        position[u] = (place if place < last else last) if place > zero else zero


@compiled_loops
def _count_in_view(places: Array) -> int:
    count = 0
    x, y, z = places[X], places[Y], places[Z]
    for u in range(len(x)):
        count += abs(x[u]) <= 1 and abs(y[u]) <= 1 and z[u] > 0
    return count


@compiled_loops
def _mark_in_view(places: Array, in_view: Array) -> None:
    x, y, z = places[X], places[Y], places[Z]
    for u in range(len(x)):
        in_view[u] = abs(x[u]) <= 1 and abs(y[u]) <= 1 and z[u] > 0


@compiled_loops
def _sample(image: Array, places: Array, corners: Array, result: Array) -> None:
    """Read one colour ``H W`` bilinearly."""
    pixels, width, next_one = image.reshape(-1), np.uintp(image.shape[1]), np.uintp(1)
    along, down = places[ALONG], places[DOWN]
    for u in range(len(result)):
        above = corners[u]
        below = above + width
        a, b, c, d = pixels[above], pixels[above + next_one], pixels[below], pixels[below + next_one]
        upper = a + along[u] * (b - a)
        result[u] = upper + down[u] * (c + along[u] * (d - c) - upper)


@compiled_loops
def _add_slopes(image: Array, places: Array, corners: Array, upstream: Array, slopes: Array) -> None:
    """Add upstream times the derivatives of one colour by the position."""
    pixels, width, next_one = image.reshape(-1), np.uintp(image.shape[1]), np.uintp(1)
    along, down, by_x, by_y = places[ALONG], places[DOWN], slopes[0], slopes[1]
    for u in range(len(upstream)):
        above = corners[u]
        below = above + width
        a, b, c, d = pixels[above], pixels[above + next_one], pixels[below], pixels[below + next_one]
        by_x[u] += upstream[u] * (b - a + down[u] * (d - c - b + a))
        by_y[u] += upstream[u] * (c - a + along[u] * (d - c - b + a))


@compiled_loops
def _scatter(upstream: Array, places: Array, corners: Array, image: Array) -> None:
    """Add upstream to the pixels ``H W`` that were read: the adjoint of :func:`_sample`."""
    pixels, width, next_one = image.reshape(-1), np.uintp(image.shape[1]), np.uintp(1)
    along, down = places[ALONG], places[DOWN]
    for u in range(len(upstream)):
        above = corners[u]
        below = above + width
        lower = upstream[u] * down[u]
        upper = upstream[u] - lower
        pixels[above] += upper - upper * along[u]
        pixels[above + next_one] += upper * along[u]
        pixels[below] += lower - lower * along[u]
        pixels[below + next_one] += lower * along[u]


@compiled_loops
def _homogeneous(slopes: Array, places: Array, height: int, align_corners: bool, moved: Array) -> None:
    """Carry the gradient of the position in px to homogeneous coordinates; on the border there is none."""
    number, width = slopes.dtype.type, slopes.shape[1]
    scale_x, scale_y = number(_pixels(width, align_corners)), number(_pixels(height, align_corners))
    free_x, free_y, x, y, z = places[FREE_X], places[FREE_Y], places[X], places[Y], places[Z]
    by_x, by_y, of_x, of_y, of_z = slopes[0], slopes[1], moved[0], moved[1], moved[2]
    zero = number(0)
    for u in range(len(x)):
        # a factor of 0 would not do where z is 0 and x is infinite
        a = by_x[u] * scale_x / z[u] if free_x[u] > 0 else zero
        b = by_y[u] * scale_y / z[u] if free_y[u] > 0 else zero
        of_x[u], of_y[u] = a, b
        of_z[u] = -((a * x[u] if a != 0 else zero) + (b * y[u] if b != 0 else zero))


@compiled_loops
def _add_depth_gradient(moved: Array, form: Array, of_depth: Array) -> None:
    bx, by, bz = form[0, 3], form[1, 3], form[2, 3]
    of_x, of_y, of_z = moved[0], moved[1], moved[2]
    for u in range(len(of_depth)):
        of_depth[u] += bx * of_x[u] + by * of_y[u] + bz * of_z[u]


@compiled_loops
def _add_form_gradient(moved: Array, columns: Array, row: int, depths: Array, total: Array) -> None:
    for i in range(3):
        whole = _sum(moved[i])
        total[i, 0] += _product(moved[i], columns)
        total[i, 1] += whole * row
        total[i, 2] += whole
        total[i, 3] += _product(moved[i], depths)


@reordered_sums
def _sum(values: Array) -> float:
    total = values.dtype.type(0)
    for u in range(len(values)):
        total += values[u]
    return total


@reordered_sums
def _product(a: Array, b: Array) -> float:
    total = a.dtype.type(0)
    for u in range(len(a)):
        total += a[u] * b[u]
    return total
