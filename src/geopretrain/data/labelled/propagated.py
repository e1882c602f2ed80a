"""Labelled images with frames of their video beside them, whose labels were propagated: ``data propagate``.

The folder holds the frames with their labels and ``propagated.json``. The images labelled by hand stay where
they are, with all their splits; the frames follow them in the train split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from geopretrain.data.dataset import IGNORE
from geopretrain.data.fingerprint import Digest
from geopretrain.data.labelled.base import LabelledImage, LabelledSource, digest_files, unread_files
from geopretrain.data.labelled.class_maps import read_labels
from geopretrain.data.labelled.classes import ClassList
from geopretrain.data.readers.images import read_image
from geopretrain.errors import DataError
from geopretrain.records import Index, Object, Real, Text, Whole, damaged, read_json
from geopretrain.wording import those

TABLE = "propagated.json"
ADVICE = "Make the folder again: geopretrain data propagate ... --overwrite."
Opener = Callable[[str], LabelledSource]


@dataclass(frozen=True)
class PropagatedFrame:
    """A frame with labels that were propagated to it.

    Attributes:
        image: file of the frame, within the folder.
        labels: file of its class map, numbers of classes, 255 where nothing is known.
        source: name of the training image that the labels are from.
        clip: of the store.
        frame: number in the clip.
        steps: strides of the store from the source's frame, negative before it.
        labelled: fraction of the pixels that have a label.
    """

    image: Text
    labels: Text
    source: Text
    clip: Text
    frame: Index
    steps: Whole
    labelled: Real


@dataclass(frozen=True)
class PropagatedTable:
    """What ``propagated.json`` says.

    Attributes:
        data: the images labelled by hand, as they are opened.
        fingerprint: of these.
        store: folder of the video that the frames are of.
        by: how labels were propagated.
        frames: all of them.
        run: of the depth method, '' without.
        refined_by: run that labels had to agree with, '' without.
        refined_with: names of the images that this run has learned from.
        scores: of propagated labels where the truth is known, by the distance of frames.
    """

    data: Text
    fingerprint: Text
    store: Text
    by: Text
    frames: list[PropagatedFrame]
    run: Text = ""
    refined_by: Text = ""
    refined_with: list[Text] = field(default_factory=list)
    scores: list[Object] = field(default_factory=list)

    def in_words(self, training: int) -> str:
        """Return what the frames are in a sentence, beside so many training images labelled by hand."""
        sources = len({frame.source for frame in self.frames})
        how = {"none": "copied as they are", "flow": "propagated by optical flow"}
        said = (
            f"{those(len(self.frames), 'frame', 'has', 'have')} labels "
            f"{how.get(self.by, 'propagated by depth and motion')} from {sources} of {training} "
            "training images, beside these"
        )
        if self.refined_by:
            said += f"; refined by a network that has learned from {len(self.refined_with)} images"
        return said


def is_propagated(folder: Path) -> bool:
    """Return whether ``data propagate`` has written a folder."""
    return (folder / TABLE).is_file()


def open_propagated(folder: Path, opener: Opener) -> PropagatedLabels:
    """Open the frames together with the images labelled by hand, which ``opener`` opens.

    Raises:
        DataError: the table is damaged, or the images labelled by hand are gone or others.
    """
    table: PropagatedTable = read_json(folder / TABLE, PropagatedTable, error=DataError, advice=ADVICE)
    try:
        own = opener(table.data)
    except DataError as error:
        raise DataError(
            f"{folder} holds propagated labels only; the images labelled by hand were '{table.data}', and "
            f"cannot be opened: {error} Put them back, or write their new place as 'data' into "
            f"{folder / TABLE}."
        ) from error
    if own.fingerprint() != table.fingerprint:
        raise DataError(
            f"The labelled images in '{table.data}' have changed since their labels were propagated into "
            f"{folder}: frames could be of their test images now. {ADVICE}"
        )
    return PropagatedLabels(folder, table, own)


class PropagatedLabels(LabelledSource):
    """Images labelled by hand, and behind those of the train split the frames."""

    fields = ("labels",)

    def __init__(self, folder: Path, table: PropagatedTable, own: LabelledSource) -> None:
        """Join both (DataError where a frame names an image that is not there)."""
        self.folder, self.table, self.own = folder, table, own
        self.kind, self.rendered = f"{own.kind} with propagated labels", False
        self.class_names, self.class_colours = own.class_names, own.class_colours
        self.class_ids = own.class_ids
        self._by_hand = own.counts.get("train", 0)
        self.counts = {**own.counts, "train": self._by_hand + len(table.frames)}
        self.warnings = (*own.warnings, table.in_words(self._by_hand))
        self.propagated_from = self._sources()

    def name(self, split: str, index: int) -> str:
        """Return the name of an image labelled by hand as without the frames; of a frame that of its file."""
        frame = self._frame(split, index)
        return self.own.name(split, index) if frame is None else frame.image

    def original_size(self) -> tuple[int, int]:
        """Return the size of the images labelled by hand."""
        return self.own.original_size()

    def read(self, split: str, index: int, size: tuple[int, int]) -> LabelledImage:
        """Return an image labelled by hand, or a frame (DataError names the file that is wrong)."""
        frame = self._frame(split, index)
        if frame is None:
            found = self.own.read(split, index, size)
            return LabelledImage(found.image, found.labels)
        image = read_image(self.folder / frame.image)
        labels = read_labels(self.folder / frame.labels, self._classes)
        if image.shape[:2] != labels.shape:
            raise damaged(
                self.folder / frame.labels, "its size", "that of the frame", error=DataError, advice=ADVICE
            )
        return LabelledImage(image, labels)

    def unnamed(self, split: str, index: int) -> set[str]:
        """Return what the reader of the images labelled by hand says; 255 is meant in frames."""
        return self.own.unnamed(split, index) if self._frame(split, index) is None else set()

    def unread(self) -> object:
        """Return what tells whether either part has changed."""
        return [self.own.unread(), unread_files(self.folder, self._files())]

    def fingerprint(self) -> str:
        """Return a digest of both parts."""
        sources = [[frame.image, frame.source] for frame in self.table.frames]
        digest = Digest().add([self.own.fingerprint(), sources])
        return digest_files(digest, self.folder, self._files()).hex()

    def _frame(self, split: str, index: int) -> PropagatedFrame | None:
        return None if split != "train" or index < self._by_hand else self.table.frames[index - self._by_hand]

    def _files(self) -> list[Path]:
        return [self.folder / name for frame in self.table.frames for name in (frame.image, frame.labels)]

    @cached_property
    def _classes(self) -> ClassList:
        ids = {**{number: number for number in range(len(self.class_names))}, IGNORE: IGNORE}
        return ClassList(self.class_names, self.class_colours, False, ids)

    def _sources(self) -> tuple[int, ...]:
        """Return the number of the training image that each frame has its labels from."""
        names = [self.own.name("train", index) for index in range(self._by_hand)]
        places = {name: index for index, name in enumerate(names)}
        twice = {name for name, count in Counter(names).items() if count > 1}
        found = []
        for number, frame in enumerate(self.table.frames):
            if frame.source not in places or frame.source in twice:
                place = f"frames[{number}].source"
                raise damaged(self.folder / TABLE, place, "a training image", error=DataError, advice=ADVICE)
            found.append(places[frame.source])
        return tuple(found)
