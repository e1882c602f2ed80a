"""Drawing: maps in colour, overlays with legends, boxes, errors, confusion matrices, things side by side."""

from geopretrain.pictures.colouring import (
    Picture,
    class_palette,
    colour_depth,
    colour_flow,
    colour_labels,
    depth_limits,
    grey,
    image,
)
from geopretrain.pictures.confusion import draw_confusion
from geopretrain.pictures.detections import draw_detections
from geopretrain.pictures.error_maps import EDGE_COLOURS, edge_key, edge_map, error_map
from geopretrain.pictures.layout import beside, grid, image_rows, rows, shrunk, side_by_side
from geopretrain.pictures.legends import colour_bar, legend
from geopretrain.pictures.overlays import overlay_labels

__all__ = [
    "EDGE_COLOURS",
    "Picture",
    "beside",
    "class_palette",
    "colour_bar",
    "colour_depth",
    "colour_flow",
    "colour_labels",
    "depth_limits",
    "draw_confusion",
    "draw_detections",
    "edge_key",
    "edge_map",
    "error_map",
    "grey",
    "grid",
    "image",
    "image_rows",
    "legend",
    "overlay_labels",
    "rows",
    "shrunk",
    "side_by_side",
]
