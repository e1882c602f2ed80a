"""Warping by depth and camera motion, and its gradient, row by row.

A pixel (u, v) with inverse depth q lies in a source at A (u, v, 1) + q b, where [A | b] is its projection
(see `geometry.projection`); outside, the source's border is repeated. Where q is not above 0 and finite it
is taken to be 0 and has no gradient. Each call does one sample of a batch; arrays are contiguous and of one
floating-point type.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geopretrain.losses.kernels.cpu.compiling import Array, kernel, reordered_sums

ALONG, DOWN, FREE_X, FREE_Y, X, Y, Z, Q = range(8)
"""What is known of a row of pixels: how far, in px, they lie beyond the upper left of the four that are read;
1 where moving them changes what is read, else 0; their normalised position; z / depth; inverse depth."""


@kernel
def warp_images(
    sample: int,
    inverse_depth: Array,
    projection: Array,
    sources: Array,
    align_corners: bool,
    images: Array,
    in_view: Array,
) -> None:
    """Fill ``images`` with the sources as the target sees them, ``in_view`` (``B N``) with numbers of pixels.

    Inverse depth is ``B 1 H W``, projections ``B N 3 4``, sources ``B N C H W``.
    """
    count, colours, height, width = sources.shape[1:]
    places, corners = np.empty((8, width), sources.dtype), np.empty(width, np.uintp)
    for source in range(count):
        number = 0
        for row in range(height):
            _keep_valid(inverse_depth[sample, 0, row], places[Q])
            _places(projection[sample, source], row, height, align_corners, places, corners)
            number += _count_in_view(places)
            for colour in range(colours):
                image = sources[sample, source, colour]
                _sample(image, places, corners, images[sample, source, colour, row])
        in_view[sample, source] = number


@kernel
def warp_gradient(
    sample: int,
    inverse_depth: Array,
    projection: Array,
    sources: Array,
    align_corners: bool,
    grad_images: Array,
    grad_inverse_depth: Array,
    grad_projection: Array,
) -> None:
    """Fill the last two with the gradients, given that of the images of `warp_images`."""
    count, colours, height, width = sources.shape[1:]
    places, corners = np.empty((8, width), sources.dtype), np.empty(width, np.uintp)
    slopes, moved = np.empty((2, width), sources.dtype), np.empty((3, width), sources.dtype)
    columns = np.arange(width).astype(sources.dtype)
    grad_inverse_depth[sample] = 0
    for source in range(count):
        motion, total = projection[sample, source], np.zeros((3, 4))
        for row in range(height):
            _keep_valid(inverse_depth[sample, 0, row], places[Q])
            _places(motion, row, height, align_corners, places, corners)
            slopes[:] = 0
            for colour in range(colours):
                image = sources[sample, source, colour]
                _add_slopes(image, places, corners, grad_images[sample, source, colour, row], slopes)
            if not _all_finite(slopes):
                slopes[:] = 0
                for colour in range(colours):
                    grad_output = grad_images[sample, source, colour, row]
                    _add_slopes_carefully(
                        sources[sample, source, colour], places, corners, grad_output, slopes
                    )
            _homogeneous(slopes, places, height, align_corners, moved)
            _add_distance_gradient(moved, motion, places[Q], grad_inverse_depth[sample, 0, row])
            _add_projection_gradient(moved, columns, row, places[Q], total)
        grad_projection[sample, source] = total.astype(sources.dtype)


@kernel
def warp_with_depth(
    sample: int,
    depth: Array,
    projection: Array,
    images: Array,
    source_depth: Array,
    read: Array,
    read_depth: Array,
    z: Array,
    in_view: Array,
) -> None:
    """Warp a source, ``B C H W``, and its depth; depths are ``B 1 H W``, projections ``B 3 4``.

    ``z`` gets the depth of the target's points in the source camera (0 where they have none), ``in_view``
    (bool) whether they lie in view and in front of it, both ``B 1 H W``.
    """
    colours, height, width = images.shape[1:]
    places, corners = np.empty((8, width), images.dtype), np.empty(width, np.uintp)
    for row in range(height):
        _invert_valid(depth[sample, 0, row], places[Q])
        _places(projection[sample], row, height, True, places, corners)
        for colour in range(colours):
            _sample(images[sample, colour], places, corners, read[sample, colour, row])
        _sample(source_depth[sample, 0], places, corners, read_depth[sample, 0, row])
        _depth_in_source(places, depth[sample, 0, row], z[sample, 0, row])
        _mark_in_view(places, in_view[sample, 0, row])


@kernel
def warp_with_depth_gradient(
    sample: int,
    depth: Array,
    projection: Array,
    images: Array,
    source_depth: Array,
    grad_read: Array,
    grad_read_depth: Array,
    grad_z: Array,
    grad_depth: Array,
    grad_projection: Array,
    grad_source_depth: Array,
) -> None:
    """Fill the last three with the gradients by what `warp_with_depth` was given, the images apart."""
    colours, height, width = images.shape[1:]
    places, corners = np.empty((8, width), images.dtype), np.empty(width, np.uintp)
    slopes, moved = np.empty((2, width), images.dtype), np.empty((3, width), images.dtype)
    grad_distance = np.empty(width, images.dtype)
    columns = np.arange(width).astype(images.dtype)
    grad_source_depth[sample] = 0
    motion, total = projection[sample], np.zeros((3, 4))
    for row in range(height):
        own, grad_own_z = depth[sample, 0, row], grad_z[sample, 0, row]
        _invert_valid(own, places[Q])
        _places(motion, row, height, True, places, corners)
        grad_output = grad_read_depth[sample, 0, row]
        slopes[:] = 0
        for colour in range(colours):
            _add_slopes(images[sample, colour], places, corners, grad_read[sample, colour, row], slopes)
        _add_slopes(source_depth[sample, 0], places, corners, grad_output, slopes)
        if not _all_finite(slopes):
            slopes[:] = 0
            for colour in range(colours):
                grad_colour = grad_read[sample, colour, row]
                _add_slopes_carefully(images[sample, colour], places, corners, grad_colour, slopes)
            _add_slopes_carefully(source_depth[sample, 0], places, corners, grad_output, slopes)
        _scatter(grad_output, places, corners, grad_source_depth[sample, 0])
        _homogeneous(slopes, places, height, True, moved)
        _add_z_gradient(grad_own_z, own, places[Q], moved[2])
        grad_distance[:] = 0
        _add_distance_gradient(moved, motion, places[Q], grad_distance)
        _add_projection_gradient(moved, columns, row, places[Q], total)
        _depth_gradient(grad_distance, grad_own_z, places, grad_depth[sample, 0, row])
    grad_projection[sample] = total.astype(images.dtype)


@kernel
def _is_valid(inverse_depth: Any) -> Any:
    """Return whether a pixel with this inverse depth has a place; one that is not a number has none."""
    return inverse_depth > 0 and inverse_depth < np.inf


@kernel
def _keep_valid(inverse_depth: Array, q: Array) -> None:
    zero = q.dtype.type(0)
    for u in range(len(q)):
        q[u] = inverse_depth[u] if _is_valid(inverse_depth[u]) else zero


@kernel
def _invert_valid(depth: Array, q: Array) -> None:
    zero, one = q.dtype.type(0), q.dtype.type(1)
    for u in range(len(q)):
        inverse = one / depth[u]
        q[u] = inverse if _is_valid(inverse) else zero


@kernel
def _depth_in_source(places: Array, depth: Array, result: Array) -> None:
    z, q, zero = places[Z], places[Q], places.dtype.type(0)
    for u in range(len(result)):
        result[u] = z[u] * depth[u] if q[u] > zero else zero


@kernel
def _add_z_gradient(grad_z: Array, depth: Array, q: Array, grad_scaled_z: Array) -> None:
    """Carry the gradient of z to that of z / depth."""
    zero = q.dtype.type(0)
    for u in range(len(grad_z)):
        grad_scaled_z[u] += grad_z[u] * depth[u] if q[u] > zero else zero


@kernel
def _depth_gradient(grad_distance: Array, grad_z: Array, places: Array, grad_depth: Array) -> None:
    """Carry the gradients of the inverse depth and of z to the depth."""
    z, q, zero = places[Z], places[Q], places.dtype.type(0)
    for u in range(len(grad_depth)):
        by_depth = grad_z[u] * z[u] - grad_distance[u] * (q[u] * q[u])
        grad_depth[u] = by_depth if q[u] > zero else zero


@kernel
def _pixels(side: int, align_corners: bool) -> float:
    """Return how many pixels one unit of normalised coordinates has."""
    return (side - 1) / 2 if align_corners else side / 2


@kernel
def _places(motion: Array, row: int, height: int, align_corners: bool, places: Array, corners: Array) -> None:
    """Find out where one row of the target's pixels lies, and ``corners``, the upper left pixel to read."""
    number, width = places.dtype.type, places.shape[1]
    v = number(row)
    ax, ay, az = motion[0, 0], motion[1, 0], motion[2, 0]
    x0, y0 = motion[0, 1] * v + motion[0, 2], motion[1, 1] * v + motion[1, 2]
    z0 = motion[2, 1] * v + motion[2, 2]
    bx, by, bz = motion[0, 3], motion[1, 3], motion[2, 3]
    x, y, z, q = places[X], places[Y], places[Z], places[Q]
    for u in range(width):
        column = number(u)
        z[u] = az * column + z0 + bz * q[u]
        x[u] = (ax * column + x0 + bx * q[u]) / z[u]
        y[u] = (ay * column + y0 + by * q[u]) / z[u]
    _split(x, width, align_corners, places[ALONG], places[FREE_X])
    _split(y, height, align_corners, places[DOWN], places[FREE_Y])
    along, down = places[ALONG], places[DOWN]
    for u in range(width):
        left, top = min(int(along[u]), width - 2), min(int(down[u]), height - 2)
        corners[u] = top * width + left
        along[u] -= number(left)
        down[u] -= number(top)


@kernel
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


@kernel
def _count_in_view(places: Array) -> int:
    count = 0
    x, y, z, q = places[X], places[Y], places[Z], places[Q]
    for u in range(len(x)):
        count += abs(x[u]) <= 1 and abs(y[u]) <= 1 and z[u] > 0 and q[u] > 0
    return count


@kernel
def _mark_in_view(places: Array, in_view: Array) -> None:
    x, y, z, q = places[X], places[Y], places[Z], places[Q]
    for u in range(len(x)):
        in_view[u] = abs(x[u]) <= 1 and abs(y[u]) <= 1 and z[u] > 0 and q[u] > 0


@kernel
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
    if not abs(_sum(result)) < np.inf:
        _sample_carefully(image, places, corners, result)


@kernel
def _sample_carefully(image: Array, places: Array, corners: Array, result: Array) -> None:
    """Read again what is not finite, as the weighted sum of the pixels that have a weight."""
    width = image.shape[1]
    for u in range(len(result)):
        if not abs(result[u]) < np.inf:
            row, column = divmod(int(corners[u]), width)
            a, b, c, d = image[row : row + 2, column : column + 2].flat
            along, down = places[ALONG, u], places[DOWN, u]
            result[u] = _mix(_mix(a, b, along), _mix(c, d, along), down)


@kernel
def _mix(first: Any, second: Any, fraction: Any) -> Any:
    return second if fraction == 1 else first * (1 - fraction) + second * fraction


@kernel
def _add_slopes(image: Array, places: Array, corners: Array, grad_output: Array, slopes: Array) -> None:
    """Add ``grad_output`` times the derivatives of one colour by the position."""
    pixels, width, next_one = image.reshape(-1), np.uintp(image.shape[1]), np.uintp(1)
    along, down, by_x, by_y = places[ALONG], places[DOWN], slopes[0], slopes[1]
    for u in range(len(grad_output)):
        above = corners[u]
        below = above + width
        a, b, c, d = pixels[above], pixels[above + next_one], pixels[below], pixels[below + next_one]
        by_x[u] += grad_output[u] * (b - a + down[u] * (d - c - b + a))
        by_y[u] += grad_output[u] * (c - a + along[u] * (d - c - b + a))


@kernel
def _add_slopes_carefully(
    image: Array, places: Array, corners: Array, grad_output: Array, slopes: Array
) -> None:
    """Do the same for pixels that may not be finite, leaving out those that are not read."""
    width = image.shape[1]
    for u in range(len(grad_output)):
        row, column = divmod(int(corners[u]), width)
        a, b, c, d = image[row : row + 2, column : column + 2].flat
        slopes[0, u] += grad_output[u] * _mix(b - a, d - c, places[DOWN, u])
        slopes[1, u] += grad_output[u] * _mix(c - a, d - b, places[ALONG, u])


@kernel
def _all_finite(slopes: Array) -> bool:
    return abs(_sum(slopes[0])) + abs(_sum(slopes[1])) < np.inf


@kernel
def _scatter(grad_output: Array, places: Array, corners: Array, image: Array) -> None:
    """Add ``grad_output`` to the pixels ``H W`` that were read: the adjoint of `_sample`."""
    pixels, width, next_one = image.reshape(-1), np.uintp(image.shape[1]), np.uintp(1)
    along, down, zero = places[ALONG], places[DOWN], image.dtype.type(0)
    for u in range(len(grad_output)):
        above = corners[u]
        below = above + width
        lower = grad_output[u] * down[u]
        upper = grad_output[u] - lower if down[u] < 1 else zero
        # on the last column (row) nothing of the one before it was read
        pixels[above] += upper - upper * along[u] if along[u] < 1 else zero
        pixels[above + next_one] += upper * along[u]
        pixels[below] += lower - lower * along[u] if along[u] < 1 else zero
        pixels[below + next_one] += lower * along[u]


@kernel
def _homogeneous(slopes: Array, places: Array, height: int, align_corners: bool, moved: Array) -> None:
    """Carry the gradient of the position in px to homogeneous coordinates; on the border there is none."""
    number, width = slopes.dtype.type, slopes.shape[1]
    scale_x, scale_y = number(_pixels(width, align_corners)), number(_pixels(height, align_corners))
    free_x, free_y, x, y, z = places[FREE_X], places[FREE_Y], places[X], places[Y], places[Z]
    by_x, by_y, grad_x, grad_y, grad_z = slopes[0], slopes[1], moved[0], moved[1], moved[2]
    zero = number(0)
    for u in range(len(x)):
        # a factor of 0 would not do where z is 0 and x is infinite
        a = by_x[u] * scale_x / z[u] if free_x[u] > 0 else zero
        b = by_y[u] * scale_y / z[u] if free_y[u] > 0 else zero
        grad_x[u], grad_y[u] = a, b
        grad_z[u] = -((a * x[u] if a != 0 else zero) + (b * y[u] if b != 0 else zero))


@kernel
def _add_distance_gradient(moved: Array, motion: Array, q: Array, gradient: Array) -> None:
    """Carry the gradient of homogeneous coordinates to the inverse depth, where there is one."""
    bx, by, bz, zero = motion[0, 3], motion[1, 3], motion[2, 3], q.dtype.type(0)
    grad_x, grad_y, grad_z = moved[0], moved[1], moved[2]
    for u in range(len(gradient)):
        by_distance = bx * grad_x[u] + by * grad_y[u] + bz * grad_z[u]
        gradient[u] += by_distance if q[u] > zero else zero


@kernel
def _add_projection_gradient(moved: Array, columns: Array, row: int, q: Array, total: Array) -> None:
    for i in range(3):
        whole = _sum(moved[i])
        total[i, 0] += _product(moved[i], columns)
        total[i, 1] += whole * row
        total[i, 2] += whole
        total[i, 3] += _product(moved[i], q)


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
