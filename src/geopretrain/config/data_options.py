"""The options of the commands of data; see ``options`` for the others."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from geopretrain.config.describe import BY_NAME
from geopretrain.config.groups import DataRootOptions, DeviceOptions, ProgressOptions
from geopretrain.data.options import PreparationOptions, SourceOptions
from geopretrain.schema import BatchSize, Count, FilePath, FilePaths, NonNegative, Positive, Seed, checked


@checked
class DataListOptions(DataRootOptions):
    """Options of ``data list``."""


@checked
class DataCheckOptions(DataRootOptions):
    """Options of ``data check``."""

    name: str = field(kw_only=False)
    """Data set, as `geopretrain data list` calls it, with its options: kitti-raw?split=eigen-test."""


@checked
class InspectOptions(SourceOptions, DataRootOptions):
    """Options of ``data inspect``."""

    path: FilePath = field(kw_only=False)
    """Video, folder of images, data set, prepared store or ``synthetic:...``."""


@checked
class PrepareOptions(ProgressOptions, PreparationOptions, DataRootOptions):
    """Options of ``data prepare``."""

    inputs: FilePaths = field(kw_only=False)
    """Videos, folders of images, data sets or ``synthetic:...``; each may hold several clips."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder of the store."""
    overwrite: bool = False
    """Replace a store of other inputs or options."""


@checked
class PseudoDepthOptions(ProgressOptions, DeviceOptions):
    """Options of ``data pseudo-depth``."""

    store: FilePath = field(kw_only=False)
    """Folder of the prepared store."""
    teacher: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Run folder of a depth method, folder of a transformers depth model, or its name on the Hugging Face
    hub, e.g. depth-anything/Depth-Anything-V2-Small-hf."""
    quantity: Literal["depth", "disparity"] | None = None
    """What it gives; left away: what is known of this kind of model."""
    meaning: Literal["metric", "scale", "scale_shift"] | None = None
    """What it is right up to: metric, scale (one factor) or scale_shift (a factor and an offset for each
    image); left away: what is known of this kind of model."""
    batch_size: BatchSize = 4
    """Images at a time."""
    overwrite: bool = False
    """Replace the maps of another teacher."""


@checked
class UploadOptions(ProgressOptions):
    """Options of ``data upload``."""

    store: FilePath = field(kw_only=False)
    """Folder of the prepared store."""
    destination: FilePath = field(kw_only=False)
    """Where to: an address that fsspec knows (s3://bucket/store, gs://..., file:///...), or a folder."""
    shard_size: Positive = 64.0
    """Largest size of a shard in MB (10^6 bytes); one frame where that is larger. A reader fetches whole
    shards: smaller ones where its cache cannot hold the store."""
    overwrite: bool = False
    """Replace another store; of the same store, send every shard anew."""


@checked
class SelectOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Options of ``data select``."""

    data: FilePath = field(kw_only=False)
    """Prepared store, or a video, folder of images or data set, which is prepared first."""
    init: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Whose features tell frames apart: a run folder, imagenet, or a weights file; a pre-training run also
    tells how hard each frame is."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write the frames, their list and a picture of them into."""
    labels: Count = 16
    """Number of frames to choose."""
    labelled: bool = False
    """The data are labelled images: choose among those of the train split as if they had no labels yet, to
    find out by ``compare --label-list`` what choosing is worth."""
    backbone: str | None = None
    """Any timm model, for imagenet and weights files; left away: what the weights look like, or resnet18."""
    difficulty: NonNegative = 1.0
    """How much further away the hardest frame counts to be than the easiest, by the loss of the run; 0:
    chosen by features alone."""
    candidates: Count = 2000
    """Frames to choose among, at most, evenly spread over the training samples."""
    seed: Seed = 0
    """Fixes the noise of the loss."""
    overwrite: bool = False
    """Replace an earlier choice."""


@checked
class PropagateOptions(ProgressOptions, DeviceOptions, DataRootOptions):
    """Options of ``data propagate``."""

    data: FilePath = field(kw_only=False)
    """Labelled images, some of which are frames of the video."""
    store: FilePath = field(kw_only=False)
    """Prepared store of the video."""
    out: FilePath = field(kw_only=False, metadata=BY_NAME)
    """Folder to write the frames with their labels into; it is then used in place of the labelled images."""
    by: Literal["geometry", "flow", "none"] | None = None
    """How labels follow the picture: by depth and motion of the camera, by optical flow, or not at all
    (``none``: copied as they are, to compare with); left away: geometry where there is a run, or a store with
    measured depth and poses, else flow."""
    run: FilePath | None = None
    """Run of monodepth or scdepth that depth and motion are from; left away: those measured that the store
    has."""
    reach: Count = 4
    """Frames to each side of a labelled one, a stride of the store apart."""
    max_inconsistency: Positive | None = None
    """Relative difference |a - b| / (a + b) of the depths of a point seen in both frames, above which it is
    hidden in one of them or moves, and gets no label; left away: 0.05 for measured depth, 0.2 for that of a
    run."""
    max_colour_difference: Positive = 0.05
    """Mean difference of red, green and blue, of 1, above which what is followed by depth or flow is not the
    same point, and gets no label."""
    refine: FilePath | None = None
    """Run of a segmentation; labels stay only where it predicts the same class."""
    overwrite: bool = False
    """Replace what was propagated before."""
