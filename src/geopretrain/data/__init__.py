"""Video to memory-mapped clips, labelled images to batches (see also the modules `prepare` and `inspect`)."""

from geopretrain.data.augment import augment_clip, augment_labelled, pyramid
from geopretrain.data.batches import ClipBatch, LabelledBatch
from geopretrain.data.images import read_image
from geopretrain.data.resolve import resolve_store
from geopretrain.data.sources import open_source
from geopretrain.data.store import ClipInfo, FrameStore

__all__ = [
    "ClipBatch",
    "ClipInfo",
    "FrameStore",
    "LabelledBatch",
    "augment_clip",
    "augment_labelled",
    "open_source",
    "pyramid",
    "read_image",
    "resolve_store",
]
