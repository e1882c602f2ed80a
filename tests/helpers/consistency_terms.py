"""The two terms of SC-Depth and what is worth knowing of them, in one object."""

from __future__ import annotations

from types import SimpleNamespace

from geopretrain.losses import compare_views, geometry_loss, photometric_loss


def photometric_and_geometry(*arguments, **options) -> SimpleNamespace:
    """Return the terms of `compare_views` with the same arguments, and its other attributes."""
    compared = compare_views(*arguments, **options)
    terms = {"photometric": photometric_loss(compared), "geometry": geometry_loss(compared)}
    return SimpleNamespace(**terms, **vars(compared))
