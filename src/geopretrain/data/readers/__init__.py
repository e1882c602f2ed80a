"""Readers of video layouts: one file per layout, all giving clips of frames."""

from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.data.readers.detect import open_source

__all__ = ["Frame", "SourceClip", "open_source"]
