"""Smooth value noise and box-filtered patterns: textures that fade before they alias.

A texture cell smaller than the pixel's footprint on the surface cannot be sampled; it fades out instead. That
is what makes the picture of a neighbour frame, warped with the true depth and pose, equal to this one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
_PERIOD = 128
_TABLE = np.random.default_rng(20260101).uniform(-1.0, 1.0, _PERIOD * _PERIOD).astype(np.float32)


def value_noise(u: Float, v: Float) -> Float:
    """Smooth noise in [-1, 1] with one random value per unit cell corner (period 128)."""
    column, row = np.floor(u), np.floor(v)
    s, t = u - column, v - row
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    left = column.astype(np.int32) & (_PERIOD - 1)
    right = (left + 1) & (_PERIOD - 1)
    top = (row.astype(np.int32) & (_PERIOD - 1)) * _PERIOD
    bottom = (top + _PERIOD) & (_PERIOD * _PERIOD - 1)
    upper = _TABLE[top + left]
    upper += s * (_TABLE[top + right] - upper)
    lower = _TABLE[bottom + left]
    lower += s * (_TABLE[bottom + right] - lower)
    return upper + t * (lower - upper)


def cell_hash(u: Float, v: Float, salt: float = 0.0) -> Float:
    """A random number in [0, 1] per integer cell (period 128)."""
    column = np.floor(u + 37.0 * salt).astype(np.int32)
    row = np.floor(v + 91.0 * salt).astype(np.int32)
    return 0.5 + 0.5 * _TABLE[(row * 57 + column * 31 & 127) * _PERIOD + (column * 17 + row * 3 & 127)]


def octaves(
    u: Float, v: Float, width_u: Float, width_v: Float, *, count: int = 7, gain: float = 0.75
) -> Float:
    """Sum of octaves of value noise, each fading with the footprint.

    Args:
        u: ``N`` texture coordinates in units of the coarsest cell.
        v: likewise.
        width_u: ``N`` footprint of a pixel in the same units.
        width_v: likewise.
        count: octaves; each has half the cell of the one before.
        gain: amplitude of an octave relative to the one before.

    Returns:
        ``N`` noise, mostly within [-1, 1].
    """
    total = np.zeros_like(u)
    width = np.maximum(width_u, width_v)
    amplitude = 0.75
    for octave in range(count):
        scale = float(2**octave)
        # full strength while a cell covers 2.5 px, gone where it covers 1.25 px
        weight = np.clip(2.0 - 2.5 * width * scale, 0.0, 1.0)
        active = np.flatnonzero(weight > 0.02)
        if active.size == 0:
            break
        shift = 17.3 * octave
        noise = value_noise(u[active] * scale + shift, v[active] * scale - shift)
        total[active] += amplitude * weight[active] * noise
        amplitude *= gain
    return total


def pulse(x: Float, duty: float | Float, width: Float) -> Float:
    """Share of the footprint around ``x`` with ``frac(x) < duty``: a box-filtered pulse train of period 1."""
    width = np.maximum(width, 1e-4)
    return (_pulse_integral(x + width / 2, duty) - _pulse_integral(x - width / 2, duty)) / width


def _pulse_integral(x: Float, duty: float | Float) -> Float:
    whole = np.floor(x)
    return whole * duty + np.minimum(x - whole, duty)


def inside(x: Float, low: float | Float, high: float | Float, width: Float) -> Float:
    """Share of the footprint around ``x`` that lies in ``[low, high]``."""
    width = np.maximum(width, 1e-4)
    covered = np.minimum(x + width / 2, high) - np.maximum(x - width / 2, low)
    return np.clip(covered / width, 0.0, 1.0)
