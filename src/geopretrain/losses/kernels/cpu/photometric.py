"""The photometric error and its gradient, row by row.

Each call does one image of a batch. With window sums X, Y, XX, YY, XY over n pixels and c = n² C, SSIM (Wang
et al. 2004, equation 13) is A1 A2 / (B1 B2), where

    A1 = 2 X Y + c1,  A2 = 2 (n XY - X Y) + c2,  B1 = X² + Y² + c1,  B2 = n XX - X² + n YY - Y² + c2.

Its derivatives are 2 n A1 / (B1 B2) by XY, -n SSIM / B2 by XX and by YY, and by X (likewise by Y)
2 (Y (A2 - A1) - X SSIM (B2 - B1)) / (B1 B2). SSIM never leaves [-1, 1], but for rounding.

Images x are ``B C H W``, images y as many or a whole fraction of them, then each for so many of x in a row;
errors are ``B 1 H W``, all contiguous and of one floating-point type. Windows reach over the border by
reflection, so images must be larger than their radius. A window is a tuple of its side's length: lengths of
tuples are known when kernels are compiled, so that loops over the window are unrolled and those over the
row vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geopretrain.losses.kernels.cpu.compiling import Array, kernel
from geopretrain.losses.ssim import SSIM_C1, SSIM_C2

Window = tuple[int, ...]


@kernel
def photometric_errors(
    image: int, x: Array, y: Array, ssim_weight: float, window: Window, errors: Array
) -> None:
    """Fill ``errors`` with the weighted sum of SSIM dissimilarity and absolute difference, mean over C."""
    _, colours, height, _ = x.shape
    radius = len(window) // 2
    padded, sums, total = _padded_rows(x, window), _sum_rows(x, window), _sum_rows(x, (0,))[0]
    other = image // (len(x) // len(y))
    errors[image] = 0
    for colour in range(colours):
        first, second, into = x[image, colour], y[other, colour], errors[image, 0]
        for row in range(height):
            _add_differences(first[row], second[row], (1 - ssim_weight) / colours, into[row])
        if ssim_weight == 0:
            continue
        for row in range(-radius, height + radius):
            slot = (row + radius) % len(window)
            _pad_rows(first, second, row, window, padded[slot])
            _sum_along_row(padded[slot], window, sums[slot])
            if row >= radius:
                _sum_over_rows(sums, window, total)
                _add_dissimilarities(total, window, ssim_weight / colours, into[row - radius])


@kernel
def photometric_gradient(
    image: int,
    x: Array,
    y: Array,
    ssim_weight: float,
    window: Window,
    grad_errors: Array,
    grad_x: Array,
) -> None:
    """Fill ``grad_x`` with the gradient by x, given that of the errors; the one by y is that of (y, x).

    A window's derivatives are spread over the padded rows it covers; a padded row that no further window
    covers is done, and folded back to the row of the image it was taken from.
    """
    _, colours, height, width = x.shape
    side, radius = len(window), len(window) // 2
    padded, sums, total = _padded_rows(x, window), _sum_rows(x, window), _sum_rows(x, (0,))[0]
    derivatives = np.zeros((3, width + 2 * (side - 1)), x.dtype)
    spread = np.empty((side, 3, width + 2 * radius), x.dtype)
    done = np.empty(width + 2 * radius, x.dtype)
    other = image // (len(x) // len(y))
    grad_x[image] = 0
    for colour in range(colours):
        first, second, into = x[image, colour], y[other, colour], grad_x[image, colour]
        grad_output = grad_errors[image, 0]
        for row in range(height):
            weight = (1 - ssim_weight) / colours
            _add_signs(first[row], second[row], weight, grad_output[row], into[row])
        if ssim_weight == 0:
            continue
        spread[:] = 0
        # windows start at padded rows 0 to height - 1, padded rows end at height + 2 radius - 1
        for row in range(-radius, height + 3 * radius):
            slot = (row + radius) % side
            if row < height + radius:
                _pad_rows(first, second, row, window, padded[slot])
                _sum_along_row(padded[slot], window, sums[slot])
            first_row = row - radius
            if first_row < 0:
                continue
            _clear(spread[slot])
            if first_row < height:
                _sum_over_rows(sums, window, total)
                weight = -ssim_weight / colours
                _derivatives(total, window, weight, grad_output[first_row], derivatives)
                _spread_over_window(derivatives, window, spread, done)
            own = first_row % side
            _row_gradient(spread[own], padded[own], done)
            _fold(done, radius, into[_reflected(first_row - radius, height)])


@kernel
def _padded_rows(like: Array, window: Window) -> Array:
    """Return room for as many padded rows of both images as a window is high: ``rows 2 W+2r``."""
    return np.empty((len(window), 2, like.shape[3] + 2 * (len(window) // 2)), like.dtype)


@kernel
def _sum_rows(like: Array, window: Window) -> Array:
    """Return room for sums of x, y, x² + y² and xy: ``rows 4 W``."""
    return np.empty((len(window), 4, like.shape[3]), like.dtype)


@kernel
def _reflected(position: int, length: int) -> int:
    """Return the position inside that a position outside is a reflection of."""
    position = abs(position)
    return position if position < length else 2 * (length - 1) - position


@kernel
def _pad_rows(x: Array, y: Array, row: int, window: Window, padded: Array) -> None:
    """Copy a row, which may lie outside, of both images (``H W``) and reflect it at its ends."""
    radius, width = len(window) // 2, x.shape[1]
    row = _reflected(row, x.shape[0])
    for image, to in ((x, padded[0]), (y, padded[1])):
        for j in range(width):
            to[radius + j] = image[row, j]
        for j in range(radius):
            to[radius - 1 - j] = image[row, 1 + j]
            to[radius + width + j] = image[row, width - 2 - j]


@kernel
def _sum_along_row(padded: Array, window: Window, sums: Array) -> None:
    x, y = padded[0], padded[1]
    sum_x, sum_y, sum_squares, sum_product = sums[0], sums[1], sums[2], sums[3]
    for j in range(len(sum_x)):
        a, b = x[j], y[j]
        total_x, total_y, squares, product = a, b, a * a + b * b, a * b
        for k in range(1, len(window)):
            a, b = x[j + k], y[j + k]
            total_x += a
            total_y += b
            squares += a * a + b * b
            product += a * b
        sum_x[j], sum_y[j], sum_squares[j], sum_product[j] = total_x, total_y, squares, product


@kernel
def _sum_over_rows(sums: Array, window: Window, total: Array) -> None:
    """Add up the rows of a window, ``rows 4 W`` to ``4 W``, in whichever order they lie."""
    for kind in range(4):
        into = total[kind]
        for j in range(len(into)):
            value = sums[0, kind, j]
            for k in range(1, len(window)):
                value += sums[k, kind, j]
            into[j] = value


@kernel
def _factors(x: Any, y: Any, squares: Any, product: Any, n: Any, c1: Any, c2: Any) -> tuple[Any, ...]:
    """Return A1, A2, B1, B2; formed alike, so that rounding cancels where the images are equal."""
    mixed, own = x * y, x * x + y * y
    covariance, variance = n * product - mixed, n * squares - own
    return mixed + mixed + c1, covariance + covariance + c2, own + c1, variance + c2


@kernel
def _add_dissimilarities(total: Array, window: Window, weight: float, errors: Array) -> None:
    number, count = total.dtype.type, len(window) ** 2
    n, c1, c2 = number(count), number(count**2 * SSIM_C1), number(count**2 * SSIM_C2)
    zero, one, half = number(0), number(1), number(weight / 2)
    x, y, squares, product = total[0], total[1], total[2], total[3]
    for j in range(len(errors)):
        a1, a2, b1, b2 = _factors(x[j], y[j], squares[j], product[j], n, c1, c2)
        difference = one - (a1 * a2) / (b1 * b2)
        # rounding may lift SSIM above 1; what is not a number stays
        errors[j] += half * (zero if difference < zero else difference)


@kernel
def _derivatives(total: Array, window: Window, weight: float, grad_output: Array, rows: Array) -> None:
    """Fill three rows with the derivatives of weight · grad_output · SSIM / 2 by the sums.

    By that of x, of xy and, halved, of x² (see the head of this file).
    """
    number, count, margin = total.dtype.type, len(window) ** 2, len(window) - 1
    n, c1, c2 = number(count), number(count**2 * SSIM_C1), number(count**2 * SSIM_C2)
    one, factor = number(1), number(weight)
    x, y, squares, product = total[0], total[1], total[2], total[3]
    grad_total, grad_product, grad_squares = rows[0, margin:], rows[1, margin:], rows[2, margin:]
    for j in range(len(grad_output)):
        a1, a2, b1, b2 = _factors(x[j], y[j], squares[j], product[j], n, c1, c2)
        inverse = one / (b1 * b2)
        common = factor * grad_output[j] * inverse
        similar = common * (a1 * a2) * inverse
        grad_total[j] = (a2 - a1) * common * y[j] - (b2 - b1) * similar * x[j]
        grad_product[j] = n * common * a1
        grad_squares[j] = -n * similar * b1


@kernel
def _spread_over_window(rows: Array, window: Window, spread: Array, buffer: Array) -> None:
    """Add each derivative to the columns and rows of its window: the adjoint of the sums."""
    for kind in range(3):
        values = rows[kind]
        for j in range(len(buffer)):
            total = values[j]
            for k in range(1, len(window)):
                total += values[j + k]
            buffer[j] = total
        for k in range(len(window)):
            into = spread[k, kind]
            for j in range(len(buffer)):
                into[j] += buffer[j]


@kernel
def _clear(rows: Array) -> None:
    for kind in range(len(rows)):
        for j in range(rows.shape[1]):
            rows[kind, j] = 0


@kernel
def _row_gradient(spread: Array, padded: Array, result: Array) -> None:
    x, y, grad_total, grad_product, grad_squares = padded[0], padded[1], spread[0], spread[1], spread[2]
    for j in range(len(result)):
        result[j] = grad_total[j] + grad_product[j] * y[j] + grad_squares[j] * x[j]


@kernel
def _fold(row: Array, radius: int, into: Array) -> None:
    """Add a padded row to the row it was made of: the adjoint of reflection."""
    width = len(into)
    for j in range(width):
        into[j] += row[radius + j]
    for j in range(radius):
        into[1 + j] += row[radius - 1 - j]
        into[width - 2 - j] += row[radius + width + j]


@kernel
def _add_differences(x: Array, y: Array, weight: float, errors: Array) -> None:
    factor = x.dtype.type(weight)
    for j in range(len(errors)):
        errors[j] += factor * abs(x[j] - y[j])


@kernel
def _add_signs(x: Array, y: Array, weight: float, grad_output: Array, grad_x: Array) -> None:
    factor, zero, one = x.dtype.type(weight), x.dtype.type(0), x.dtype.type(1)
    for j in range(len(grad_x)):
        difference = x[j] - y[j]
        # as for torch, the sign of what is not a number is 0
        sign = one if difference > zero else (-one if difference < zero else zero)
        grad_x[j] += factor * grad_output[j] * sign
