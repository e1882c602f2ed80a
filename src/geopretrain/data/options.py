"""Options of reading and preparing data, written once: the commands that take them inherit them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from geopretrain.errors import OptionError
from geopretrain.schema import (
    AnySize,
    Crop,
    FilePath,
    FilePaths,
    NonNegative,
    Positive,
    Words,
    checked,
    reads,
)

Range = tuple[float, float]


def parse_range(value: Any) -> Range | None:
    """Return (low, high) of ``'7000,9000'`` or a pair; ValueError says what is expected, for `reads`."""
    if value is None:
        return None
    try:
        parts = value.replace(",", " ").split() if isinstance(value, str) else list(value)
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError("two numbers LOW,HIGH with LOW below HIGH, such as 7000,9000")
    return low, high


Degrees = Annotated[float, Field(gt=1, lt=175), Words("an angle above 1 and below 175 degrees", "DEGREES")]
Holdout = Annotated[float, Field(ge=0, le=0.5), Words("a fraction from 0 to 0.5", "X")]
FrameRate = Annotated[float, Field(gt=0, lt=1000), Words("a number above 0 and below 1000", "X")]
ValueRange = Annotated[Range | None, reads(parse_range), Words("two numbers LOW,HIGH", "LOW,HIGH")]
Frames = Annotated[int, Field(ge=3, le=10**9), Words("at least 3 (one triplet)", "N")]


@checked
class SourceOptions:
    """What the files do not say."""

    baseline: Positive | None = None
    """Distance in metres between the cameras of left/ and right/, where no calib.txt says it."""
    depth_unit: Positive | None = None
    """Units per metre of 16-bit PNGs in depth/, e.g. 256; left away: 1000 (millimetres)."""
    range: ValueRange | None = None
    """Values LOW,HIGH of pictures of more than 8 bits that become black and white, e.g. 7000,9000 of a
    thermal camera; left away: as range.txt beside the pictures says, else 0,65535."""
    camera_file: FilePath | None = None
    """Camera of the pictures: transforms.json of nerfstudio or instant-ngp, folder of a COLMAP model,
    calibration of OpenCV or ROS (YAML, XML); what its lens bends is undone. Left away: looked for beside
    them."""


@checked
class CameraOptions:
    """The camera."""

    intrinsics: str | None = None
    """Camera as fx,fy,cx,cy in pixels of the original frames; replaces what the data set says."""
    intrinsics_size: AnySize = None
    """Height and width of the images the intrinsics were measured on."""
    fov: Degrees | None = None
    """Horizontal field of view in degrees, used where the intrinsics are unknown."""
    calibrate: Literal["focal", "distortion"] | None = None
    """Estimate unknown cameras from the video itself (extra calibrate): the focal length, or one coefficient
    of distortion too, which is undone; where the frames do not tell it, a sentence says so."""


@checked
class PreparationOptions(SourceOptions, CameraOptions):
    """What decides on the content of a store besides its inputs."""

    size: AnySize = None
    """Height and width of the frames in px; left away: about 30 000 px near the first clip's
    aspect."""
    crop: Crop | None = None
    """bottom: cut frames of that size, not resized, out of the middle of the lower edge of the pictures, as
    papers do with KITTI (--size 352x1216); left away: resize them, and cut where their shape is another."""
    target_motion: Positive = 3.0
    """Mean flow in px (of the stored frames) between neighbouring frames of a sample to aim at."""
    min_motion: NonNegative = 1.0
    """Least mean flow in px of a target to both of its neighbours; 0 keeps everything, also what a static
    camera sees."""
    holdout: Holdout = 0.1
    """Part of each clip, at its end, kept for validation, where nothing is given by --val."""
    val: FilePaths | None = None
    """Data of which all samples are for validation, e.g. the official list; the inputs are all for training
    then."""
    test: FilePaths | None = None
    """Data of which all samples are for testing: kept apart from training and validation."""
    max_frames: Frames | None = None
    """Read at most so many frames of each clip."""
    still_images: bool = False
    """Take every frame as a sample of its own, for methods that look at single images."""
    fps: FrameRate | None = None
    """Frames per second to bring video to, e.g. 10; left away: all frames are read and neighbours are chosen
    by how much the image moves."""

    def __post_init__(self) -> None:
        if self.crop is not None and self.size is None:
            raise OptionError("crop", "needs the size that is cut out: give --size, e.g. 352x1216 of KITTI.")
        if self.min_motion >= self.target_motion:
            raise OptionError(
                "target_motion",
                f"must be above min_motion ({self.min_motion:g} px), not {self.target_motion:g}.",
            )
