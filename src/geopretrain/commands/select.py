"""``data select``: the frames of a video that are worth labelling first, ready for a labelling tool."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from geopretrain.compute import resolve_device, use_threads
from geopretrain.config.command import takes
from geopretrain.config.data_options import SelectOptions
from geopretrain.config.saved import as_saved, check_replaces, write_saved
from geopretrain.console import console
from geopretrain.data.choosing import Choice, far_apart
from geopretrain.data.label_lists import LIST
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError, OptionError
from geopretrain.files import write_json, write_picture, write_text
from geopretrain.folders import renewed
from geopretrain.schema import defaults

if TYPE_CHECKING:
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.frame_store import FrameStore
    from geopretrain.networks import Backbone
    from geopretrain.tasks.base import Task

COMMAND = "data select"
TABLE, SHEET = "selected.json", "selected.png"
BATCH, ACROSS, PICTURE_WIDTH = 8, 4, 320


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes:
        folder: that holds ``images/``, the list, the table and the picture.
        names: of the frames, the most worth first: clip and number of the frame.
        choices: why each was.
    """

    folder: Path
    names: list[str]
    choices: list[Choice]


@takes(SelectOptions)
def select(options: SelectOptions) -> Selection:
    """Choose frames that are far apart in the features of a network, the hard ones first.

    Returns:
        What was chosen, and the folder that it was written to.

    Raises:
        UserError: data, weights or folder cannot be used; the message says what to do.
    """
    from geopretrain.data.dataset import IMAGES

    out = Path(options.out)
    check_replaces(out, TABLE, "an earlier choice of frames", overwrite=options.overwrite)
    use_threads(options.threads)
    backbone, task = _network(options)
    store = _open(options)
    _check_difficulty(options, task)
    train = store.splits(IMAGES)["train"][: _labelled_by_hand(store)]
    candidates = train[spread_positions(len(train), options.candidates)]
    if len(candidates) < options.labels:
        more = ", or look at more with --candidates" if len(candidates) < len(train) else ""
        raise ConfigError(
            f"{options.labels} frames cannot be chosen among {len(candidates)}. Ask for fewer with --labels"
            f"{more}."
        )
    choices = _choose(store, candidates, backbone, task, options)
    samples = candidates[[one.position for one in choices]]
    _write(out, store, samples, choices, options)
    names = store.names(samples)
    how = "features alone" if choices[0].hardness is None else "features and loss"
    console.say(
        f"{len(names)} of {len(candidates)} frames chosen by {how}. They are in {out / 'images'}, the most "
        f"worth first in {out / LIST}; {out / SHEET} shows them."
    )
    return Selection(out, names, choices)


def _check_difficulty(options: SelectOptions, task: Task | None) -> None:
    """Refuse to count what is hard where nothing tells it (OptionError)."""
    tells = task is not None and not options.labelled
    if not tells and options.difficulty not in (0, defaults(SelectOptions)["difficulty"]):
        raise OptionError(
            "difficulty",
            "counts the loss of a pre-training run (--init RUN) on frames of a video; here frames are chosen "
            "by features alone. Leave it away.",
        )


def _labelled_by_hand(data: FrameStore | LabelledSet) -> int | None:
    """Return how many training images may be chosen: frames with propagated labels are behind them."""
    from geopretrain.data.labelled.labelled_set import LabelledSet

    return data.labelled_by_hand if isinstance(data, LabelledSet) else None


def _open(options: SelectOptions) -> FrameStore | LabelledSet:
    """Return the frames of a video, or labelled images (DataError where they are not of the kind)."""
    from geopretrain.data.dataset import IMAGES
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.opening import open_dataset
    from geopretrain.data.store.frame_store import FrameStore

    if options.labelled:
        return LabelledSet.open(os.fspath(options.data), names=())
    store = open_dataset(os.fspath(options.data), IMAGES)
    if not isinstance(store, FrameStore):
        raise DataError(
            f"'{options.data}' is no video: give a prepared store, a video or a folder of frames. Among "
            "labelled images --labelled chooses."
        )
    return store


def _network(options: SelectOptions) -> tuple[Backbone, Task | None]:
    """Return the network whose features are looked at, and the task whose loss is, where there is one."""
    from geopretrain.runs.folder import RunFolder
    from geopretrain.runs.loading import load_task
    from geopretrain.tasks.registry import PRETEXTS
    from geopretrain.training.resolve import choose_backbone, initialised
    from geopretrain.weights import parse_init

    init, device = parse_init(options.init), resolve_device(options.device)
    if init.kind == "random":
        raise ConfigError("Random features tell nothing of frames: give a run, imagenet or a weights file.")
    if init.kind == "run" and options.difficulty:
        task = load_task(RunFolder.open(os.fspath(options.init))).to(device).eval()
        own = task.backbone
        if own is not None and task.name in PRETEXTS and options.backbone in (None, own.name):
            return own, task  # another backbone is refused below
    name = choose_backbone(options.backbone, options.init)
    return initialised(name, options.init, device), None


def _choose(
    store: FrameStore | LabelledSet,
    candidates: np.ndarray,
    backbone: Backbone,
    task: Task | None,
    options: SelectOptions,
) -> list[Choice]:
    from geopretrain.data.dataset import IMAGES
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.evaluation.frames import features_of, losses_of

    losses = None
    if isinstance(store, LabelledSet):
        store.check(candidates, IMAGES)
    elif task is not None:
        task.check_data(store.describe())
        try:
            losses = losses_of(store, candidates, task, options.seed)
        except DataError as error:  # its method needs what this store has not
            console.warn(f"How hard frames are is not known, they are chosen by features alone: {error}")
    features = features_of(store, candidates, backbone, BATCH)
    return far_apart(features, options.labels, losses, options.difficulty)


def _originals(store: FrameStore | LabelledSet, samples: np.ndarray) -> list[np.ndarray]:
    """Return the frames or images as large as they are."""
    from geopretrain.data.labelled.labelled_set import LabelledSet
    from geopretrain.data.store.originals import original_frames

    return (
        store.original_images(samples) if isinstance(store, LabelledSet) else original_frames(store, samples)
    )


def _write(
    out: Path,
    store: FrameStore | LabelledSet,
    samples: np.ndarray,
    choices: list[Choice],
    options: SelectOptions,
) -> None:
    """Write everything into a temporary folder, then put it in its place: all is there, or nothing."""
    from geopretrain.pictures.layout import grid, side_by_side

    names, rows = store.names(samples), []
    with renewed(out) as aside:
        frames = _originals(store, samples)
        for rank, (name, frame, choice) in enumerate(zip(names, frames, choices, strict=True), 1):
            stem = PurePosixPath(name).with_suffix("").as_posix().replace("/", "_")
            file = f"images/{rank:03d}_{stem}.png"
            write_picture(aside / file, frame)
            rows.append(
                {
                    "rank": rank,
                    "frame": name,
                    "image": file,
                    "distance": choice.distance,
                    "hardness": choice.hardness,
                }
            )
        write_text(aside / LIST, "".join(f"{name}\n" for name in names))
        write_json(aside / TABLE, {"store": store.describe().path, "frames": rows})
        small = [_small(frame) for frame in frames]
        captions = [_caption(rank, choice) for rank, choice in enumerate(choices, 1)]
        lines = range(0, len(small), ACROSS)
        sheet = [side_by_side(small[i : i + ACROSS], captions[i : i + ACROSS]) for i in lines]
        write_picture(aside / SHEET, grid(sheet))
        write_saved(aside, as_saved(COMMAND, options), own=True)


def _small(frame: np.ndarray) -> np.ndarray:
    from PIL import Image

    height = max(1, round(PICTURE_WIDTH * frame.shape[0] / frame.shape[1]))
    return np.asarray(Image.fromarray(frame).resize((PICTURE_WIDTH, height), Image.Resampling.BOX))


def _caption(rank: int, choice: Choice) -> str:
    hard = "" if choice.hardness is None else f", harder than {choice.hardness:.0%}"
    return f"{rank}: {choice.distance:.2f} from the nearest{hard}" if rank > 1 else f"1: the middle{hard}"
