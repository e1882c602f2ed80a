"""Options of what is done with a finished run: ``predict``, ``replay``, ``export``."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from geopretrain.config.describe import BY_NAME
from geopretrain.config.groups import DeviceOptions, ProgressOptions, Saves
from geopretrain.data.options import Degrees, ValueRange
from geopretrain.schema import AnySize, Count, FilePath, FilePaths, checked


@checked
class PredictOptions(ProgressOptions, DeviceOptions):
    """Options of ``predict``."""

    run: FilePath = field(kw_only=False)
    """Run folder of pretrain or finetune."""
    inputs: FilePaths = field(kw_only=False)
    """Images, folders of images or videos."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write into."""
    save: Saves = ("picture",)
    """What to write, with commas: picture (PNG in colour), depth (16-bit PNG with a JSON file that says what
    a value means), cloud (PLY, coloured points), video (MP4, for videos), rerun (all of it with camera poses,
    for the viewer Rerun)."""
    every: Count | None = None
    """Take every n-th frame of a video; left away: about 50 of them, or all with --save video."""
    intrinsics: str | None = None
    """Camera as fx,fy,cx,cy in px of the images, for cloud."""
    fov: Degrees | None = None
    """Horizontal field of view of the camera in degrees, for cloud."""
    range: ValueRange | None = None
    """Values LOW,HIGH of pictures of more than 8 bits that become black and white, as when the data of the
    run were prepared; left away: as range.txt beside the pictures says, else 0,65535."""
    overwrite: bool = False
    """Replace files of the same name."""


@checked
class ReplayOptions(ProgressOptions, DeviceOptions):
    """Options of ``replay``."""

    run: FilePath = field(kw_only=False)
    """Folder of a run that stopped because loss or gradients were no numbers."""


@checked
class ExportOptions(ProgressOptions):
    """Options of ``export``."""

    run: FilePath = field(kw_only=False)
    """Run folder of a finished run."""
    format: Literal[
        "timm", "torchvision", "monodepth2", "safetensors", "onnx", "torch-export", "hub-folder"
    ] = field(kw_only=False, metadata=BY_NAME)
    """What to write: the backbone for timm or torchvision, the files of Monodepth2, the whole network with
    all that is known of it (safetensors), a network that runs without its code (onnx, torch-export), or a
    folder for the Hugging Face hub (hub-folder)."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """File to write, with the ending of the format, or folder to write it into."""
    part: Literal["task", "backbone"] | None = None
    """What of the run: task (the network that predicts) or backbone (its features); left away: what the
    format usually holds, the task for onnx and torch-export."""
    size: AnySize = None
    """Height and width in px of images, for onnx and torch-export of networks that take one size only; left
    away: those of the run."""
    push: str | None = None
    """Repository OWNER/NAME on the Hugging Face hub to upload a hub-folder to."""
    private: bool = False
    """Make the repository private where it is new."""
    overwrite: bool = False
    """Replace files of an earlier export."""
