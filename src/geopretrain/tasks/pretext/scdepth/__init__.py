"""SC-Depth V1, V2 and V3: `method` is where to begin reading."""

from geopretrain.tasks.pretext.scdepth.config import SCDepthConfig
from geopretrain.tasks.pretext.scdepth.method import SCDepth

__all__ = ["SCDepth", "SCDepthConfig"]
