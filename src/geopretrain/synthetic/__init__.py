"""Procedural worlds with exact ground truth: the embedded data and the ruler of every geometry test."""

from __future__ import annotations

from geopretrain.synthetic.world import World, WorldFrame
from geopretrain.synthetic.worlds import WORLDS, make_world, make_worlds

__all__ = ["WORLDS", "World", "WorldFrame", "make_world", "make_worlds"]
