"""Labels of an image as they look in another frame of its video, and how right they are."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from geopretrain import pictures
from geopretrain.config.data_options import PropagateOptions
from geopretrain.data.batches import as_float, at_size
from geopretrain.data.dataset import IGNORE
from geopretrain.data.labelled.base import LabelledImage
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.matching import crop_in
from geopretrain.data.propagation import Labels, Step, agreeing, copied_labels, moved_labels
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import ConfigError, DataError, OptionError, RunFolderError
from geopretrain.geometry import with_same_colour
from geopretrain.metrics.segmentation import SegmentationScore
from geopretrain.pictures import Picture
from geopretrain.prediction.correspondences import (
    ByFlow,
    ByMeasurement,
    ByRun,
    Correspondences,
    is_measured,
)
from geopretrain.records import Text, read_json
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.schema import defaults
from geopretrain.tasks.base import SegmentationTask

MAX_SCORED = 200
"""Frames with labels of their own that propagated labels are compared with, evenly spread."""
WIDTH = 320
"""Of a picture in a row of pictures, px."""
MAX_INCONSISTENCY, MAX_INCONSISTENCY_OF_RUNS = 0.05, 0.2
"""For measured depth and for that of a network, which sees each frame a little differently."""
_KEPT = 8  # labelled images of the frames around the present one


class Propagation:
    """Propagates labels of one set of images to frames of one store."""

    def __init__(
        self, store: FrameStore, labelled: LabelledSet, options: PropagateOptions, device: str
    ) -> None:
        """Open the runs that are needed (UserError where one does not fit)."""
        self.store, self.labelled = store, labelled
        self._points = _points(store, options, device)
        self._refiner = _Refiner.of(labelled, options, device)
        self._max_colour_difference = options.max_colour_difference
        self.image_of = lru_cache(_KEPT)(labelled.original)

    @property
    def refined_with(self) -> list[str]:
        """Names of the images that the refining run has learned from."""
        return [] if self._refiner is None else self._refiner.learned

    def labels(self, step: Step, picture: Picture, *, whole: bool = True) -> Labels | None:
        """Return the labels of a step's source as they look in its frame, at the size of the picture.

        Args:
            step: from source to frame.
            picture: of the frame.
            whole: as in the video; False: as in the store, cut.

        Returns:
            ``H W`` uint8, 255 = no label; None where nothing is known of the two frames.
        """
        given, size = _required(self.image_of(step.source)), (picture.shape[0], picture.shape[1])
        if self._points is None:
            found = copied_labels(given, size)
        else:
            points = self._points.between(step.clip, step.frames)
            if points is None:
                return None
            images = [self._stored(step.clip, frame) for frame in (step.frame, step.frames[-1])]
            points = with_same_colour(points, images[0], images[1], self._max_colour_difference)
            clip = self.store.clips[step.clip]
            source, part = crop_in(clip, (given.shape[0], given.shape[1])), crop_in(clip, size)
            target = part if whole else (0, 0, *size)
            assert source is not None  # it is a frame of this clip
            assert target is not None
            flow, visible = points.flow[0].numpy(), points.visible[0, 0].numpy()
            found = moved_labels(given, flow, visible, source, size, target)
        return found if self._refiner is None else agreeing(found, self._refiner(picture))

    def _stored(self, clip: int, frame: int) -> torch.Tensor:
        """Return a frame as it is stored, ``1 3 h w`` in [0, 1]."""
        return as_float(torch.from_numpy(self.store.frame_image(clip, frame).copy()).permute(2, 0, 1)[None])

    def drawn(self, step: Step, picture: Picture, found: Labels, truth: Labels | None = None) -> Picture:
        """Return a row: the labelled image, the frame, its labels (dark where there are none), the truth."""
        source = self.image_of(step.source)
        names = {
            "labelled by hand": self._over(source.image, _required(source)),
            f"frame {step.steps:+d}": pictures.shrunk(picture, WIDTH),
            f"propagated: {(found != IGNORE).mean():.0%} of the pixels": self._over(picture, found),
        }
        if truth is not None:
            known = (found != IGNORE) & (truth != IGNORE)
            right = (found == truth)[known].mean() if known.any() else float("nan")
            names[f"truth: {right:.0%} of these are right"] = self._over(picture, truth)
        return pictures.side_by_side(list(names.values()), list(names))

    def legend(self) -> Picture:
        """Return what the colours mean."""
        return pictures.legend(self.labelled.class_names, self.labelled.class_colours, 3 * WIDTH)

    def _over(self, picture: Picture, labels: Labels) -> Picture:
        shown = pictures.overlay_labels(picture, labels, colours=self.labelled.class_colours)
        dark = np.where((labels == IGNORE)[..., None], picture // 4, shown).astype(np.uint8)
        return pictures.shrunk(dark, WIDTH)


@dataclass
class Scores:
    """How right propagated labels are where frames have labels of their own, by distance.

    Attributes:
        rows: one for each distance: ``steps``, ``frames`` (pairs of them), ``labelled`` (fraction of pixels
            with truth), ``accuracy``, ``miou`` and ``iou`` of those that are labelled.
        pictures: one for each distance.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def scored(moving: Propagation, steps: Sequence[Step]) -> Scores:
    """Compare propagated labels with those that the frames have themselves, of at most `MAX_SCORED`."""
    by_distance: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        by_distance[abs(step.steps)].append(step)
    scores = Scores()
    for distance, there in sorted(by_distance.items()):
        most = max(1, MAX_SCORED // len(by_distance))
        chosen = [there[number] for number in spread_positions(len(there), most)]
        _score(moving, distance, chosen, scores)
    return scores


def _score(moving: Propagation, distance: int, steps: Sequence[Step], scores: Scores) -> None:
    score, counts = SegmentationScore(moving.labelled.num_classes), np.zeros(2, np.int64)
    for number, step in enumerate(steps):
        assert step.truth is not None
        own = moving.image_of(step.truth)
        found, truth = moving.labels(step, own.image), _required(own)
        if found is None:
            found = np.full_like(truth, IGNORE)
        known = (found != IGNORE) & (truth != IGNORE)
        counts += int(known.sum()), int((truth != IGNORE).sum())
        maps = np.where(known, found, 0), np.where(known, truth, IGNORE)
        score.update(*(torch.from_numpy(one.astype(np.int64))[None] for one in maps))
        if number == len(steps) // 2:
            scores.pictures.append(moving.drawn(step, own.image, found, truth))
    made = score.compute()
    scores.rows.append(
        {
            "steps": distance,
            "frames": len(steps),
            "labelled": float(counts[0] / max(1, counts[1])),
            "accuracy": made["pixel_accuracy"],
            "miou": made["miou"],
            "iou": dict(zip(moving.labelled.class_names, made["iou"], strict=True)),
        }
    )


def way_of(store: FrameStore, options: PropagateOptions) -> str:
    """Return how labels are propagated: as asked for, else by geometry where it is known, or by flow."""
    if options.by is not None:
        return options.by
    return "geometry" if options.run is not None or is_measured(store) else "flow"


def _points(store: FrameStore, options: PropagateOptions, device: str) -> Correspondences | None:
    """Return what follows points as the options say; None where labels are copied (OptionError)."""
    by = way_of(store, options)
    if by != "geometry" and options.run is not None:
        raise OptionError("run", f"is for --by geometry, and this is --by {by}.")
    if by != "geometry" and options.max_inconsistency is not None:
        raise OptionError("max_inconsistency", f"compares depths: it is for --by geometry, not --by {by}.")
    usual = defaults(PropagateOptions)["max_colour_difference"]
    if by == "none" and options.max_colour_difference != usual:
        raise OptionError(
            "max_colour_difference", "is of points that are followed, and --by none follows none."
        )
    if by == "none":
        return None
    if by == "flow":
        return ByFlow(store)
    limit = options.max_inconsistency
    if options.run is None:
        return ByMeasurement(store, MAX_INCONSISTENCY if limit is None else limit)
    run = RunFolder.open(os.fspath(options.run))
    return ByRun(store, MAX_INCONSISTENCY_OF_RUNS if limit is None else limit, run, device)


def _required(image: LabelledImage) -> Labels:
    assert image.labels is not None  # it was opened for them
    return image.labels


@dataclass(frozen=True)
class _Subset:
    """What a run says of the images that it has learned from."""

    names: list[Text] = field(default_factory=list)


class _Refiner:
    """Predicts the classes of pictures."""

    def __init__(self, run: RunFolder, task: SegmentationTask) -> None:
        self.task, self.size = task, run.size
        self.learned: list[str] = []
        if (file := run.path / "subset.json").is_file():
            advice = "Train the run again."
            kept = read_json(file, _Subset, error=RunFolderError, advice=advice)
            self.learned = kept.names

    @classmethod
    def of(cls, labelled: LabelledSet, options: PropagateOptions, device: str) -> _Refiner | None:
        """Return that of the options; None without (ConfigError where it knows other classes)."""
        if options.refine is None:
            return None
        run = RunFolder.open(os.fspath(options.refine))
        task = load_task(run).to(device).eval()
        if not isinstance(task, SegmentationTask):
            raise ConfigError(f"The run {run.path} predicts no classes. Give one of finetune segmentation.")
        if tuple(task.class_names) != tuple(labelled.class_names):
            raise DataError(
                f"The run {run.path} knows the classes {', '.join(task.class_names)}, and the labels are "
                f"{', '.join(labelled.class_names)}: give one that was fine-tuned on these images."
            )
        return cls(run, task)

    @torch.no_grad()
    def __call__(self, picture: Picture) -> NDArray[np.uint8]:
        """Return the likeliest class of each pixel of a picture ``H W 3`` uint8."""
        images = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].to(self.task.device)
        logits = self.task.predict(at_size(as_float(images), self.size)).logits.float()
        size = (picture.shape[0], picture.shape[1])
        large = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        return np.asarray(large.argmax(1)[0].byte().cpu().numpy())
