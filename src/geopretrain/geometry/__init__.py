"""Pinhole camera, rigid motions and warps: pure functions on tensors."""

from geopretrain.geometry.camera import (
    backproject,
    crop_intrinsics,
    disparity_to_depth,
    disparity_to_inverse_depth,
    field_of_view,
    flip_intrinsics,
    intrinsics_from_fov,
    invert_intrinsics,
    pixel_grid,
    project,
    resize_intrinsics,
)
from geopretrain.geometry.checks import check_images, check_shapes
from geopretrain.geometry.correspondence import (
    Correspondence,
    correspondence_by_depth,
    correspondence_by_flow,
    with_same_colour,
)
from geopretrain.geometry.normals import surface_normals
from geopretrain.geometry.pose import (
    euler_pose_matrix,
    invert_pose,
    pose_matrix,
    rotation_from_axis_angle,
    rotation_from_euler,
)
from geopretrain.geometry.projection import Projected, inverse_depth_projection, project_inverse_depth
from geopretrain.geometry.warp import (
    Reading,
    finite_grid,
    in_view,
    resize_flow,
    rigid_flow,
    sample,
    sample_grid,
    source_pixels,
    warp,
    warp_flow,
    warp_rotated,
)

__all__ = [
    "Correspondence",
    "Projected",
    "Reading",
    "backproject",
    "check_images",
    "check_shapes",
    "correspondence_by_depth",
    "correspondence_by_flow",
    "crop_intrinsics",
    "disparity_to_depth",
    "disparity_to_inverse_depth",
    "euler_pose_matrix",
    "field_of_view",
    "finite_grid",
    "flip_intrinsics",
    "in_view",
    "intrinsics_from_fov",
    "inverse_depth_projection",
    "invert_intrinsics",
    "invert_pose",
    "pixel_grid",
    "pose_matrix",
    "project",
    "project_inverse_depth",
    "resize_flow",
    "resize_intrinsics",
    "rigid_flow",
    "rotation_from_axis_angle",
    "rotation_from_euler",
    "sample",
    "sample_grid",
    "source_pixels",
    "surface_normals",
    "warp",
    "warp_flow",
    "warp_rotated",
    "with_same_colour",
]
