"""What class maps hold, counted before anything is trained on them: mistakes that would pass for success.

Counts are of the working size, from rows that have been read already, and kept beside these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geopretrain.console import console
from geopretrain.data.dataset import IGNORE, IMAGES
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.subsets import spread_positions
from geopretrain.errors import DataError
from geopretrain.wording import those

_NAMED = 8  # classes named in one sentence
_EVERYWHERE = 0.5  # part of the images that 255 must be in to be taken for a class
_LOOKED_INTO = 32  # label files that are read again to see what is ignored in them


_COLOURS = {"black": "0 0 0", "white": "255 255 255"}


@dataclass(frozen=True)
class Census:
    """How often each class occurs in some images.

    Attributes:
        names: of the classes.
        ids: id of each class in the files.
        pixels: ``N K+1``, of each class in each image, the last of none (255).
        unnamed: what is ignored in half of the label files or more although the class list does not say so:
            ``255``, or the colours ``black`` and ``white``.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    pixels: NDArray[np.int64]
    unnamed: tuple[str, ...] = ()

    @property
    def occurring(self) -> list[int]:
        """Classes that occur."""
        return np.flatnonzero(self.pixels[:, :-1].any(0)).tolist()

    @property
    def absent(self) -> list[int]:
        """Classes that do not."""
        return np.flatnonzero(~self.pixels[:, :-1].any(0)).tolist()

    def in_words(self) -> str:
        """Return e.g. ``Labels of 52 images: Road (0) 31 %, Sky (1) 12 %; ignored 7 %; never: Pole (2).``"""
        shares = self.pixels.sum(0) / max(1, self.pixels.sum())
        order = sorted(self.occurring, key=lambda number: -shares[number])
        found = [f"{self._called(number)} {_percent(shares[number])}" for number in order[:_NAMED]]
        if len(order) > _NAMED:
            found.append(f"{len(order) - _NAMED} more classes")
        parts = [", ".join(found) or "no class", f"ignored {_percent(shares[-1])}"]
        if self.absent:
            rest = f" and {len(self.absent) - _NAMED} more" * (len(self.absent) > _NAMED)
            parts.append(f"never: {', '.join(map(self._called, self.absent[:_NAMED]))}{rest}")
        return f"Labels of {len(self.pixels)} images: {'; '.join(parts)}."

    def problem(self) -> str | None:
        """Return what cannot be meant and what to do about it, None where there is nothing of the kind."""
        alone = len(self.occurring) == 1
        if not self.occurring:
            what = f" ({' and '.join(self.unnamed)})" if self.unnamed else ""
            return f"{self._all_labels('are')} ignored{what} from edge to edge. {self._advice()}"
        if self.unnamed and self.absent and (alone or self._last_are_missing()):
            return f"{self._missing()}. {self._advice()}"
        if alone:
            return (
                f"{self._all_labels('show')} {self._called(self.occurring[0])} and nothing else, so there is "
                "nothing to tell apart. Look at the labels and at the order of the class list."
            )
        return None

    def doubt(self) -> str | None:
        """Return what may be meant, but need not, and how to say so in the class list; None without any."""
        if self.problem() is not None or not (self.unnamed and self.absent):
            return None
        return f"{self._missing()}. That may well be. {self._advice()}"

    def _last_are_missing(self) -> bool:
        """Return whether what is ignored may well be the class whose id the labels have not.

        The last class alone is missing, or all but the first two: masks that use 255 have few classes.
        """
        tail = self.absent == list(range(len(self.occurring), len(self.names)))
        return tail and (len(self.absent) == 1 or len(self.occurring) == 2)

    def _missing(self) -> str:
        listed = " and ".join(_listed([self.names[number] for number in self.absent]))
        occur, labels = "occur" if len(self.absent) > 1 else "occurs", len(self.pixels)
        ignored = int((self.pixels[:, -1] > 0).sum())
        values, be = " and ".join(self.unnamed), "are" if len(self.unnamed) > 1 else "is"
        where = f"{labels} label{'s' * (labels > 1)}, while {values}, which {be} ignored"
        return f"{listed} never {occur} in {where}, {be} in {ignored} of them"

    def _all_labels(self, verb: str) -> str:
        if len(self.pixels) == 1:
            return {"are": "The only label is", "show": "The only label shows"}[verb]
        return f"All {len(self.pixels)} labels {verb}"

    def _advice(self) -> str:
        name = self.names[self.absent[-1]]
        if not self.unnamed:
            return "The class list says so of all that they hold: look at the labels and at the class list."
        if str(IGNORE) in self.unnamed:
            return (
                f"If 255 (white) is '{name}', write '{IGNORE}: {name}' instead of '{name}' in classes.txt; "
                f"if it means no class, say so by a line '{IGNORE}: ignore'."
            )
        colour = _COLOURS[self.unnamed[-1]]
        return (
            f"If {self.unnamed[-1]} is '{name}', write '{name} {colour}' in classes.txt; if it means no "
            f"class, say so by a line 'ignore {colour}'."
        )

    def _called(self, number: int) -> str:
        return f"{self.names[number]} ({self.ids[number]})"


def census(data: LabelledSet, positions: Sequence[int] | NDArray[np.int64]) -> Census:
    """Count the classes in images that have been read (see `LabelledSet.check`).

    Where a class is missing, some label files are looked into for what is ignored there.
    """
    ids = data.source.class_ids or tuple(range(data.num_classes))
    pixels = data.class_pixels(positions)
    found = Census(data.class_names, ids, pixels)
    return replace(found, unnamed=_unnamed(data, np.asarray(positions), pixels)) if found.absent else found


def _unnamed(data: LabelledSet, positions: NDArray[np.int64], pixels: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what is ignored in half of the label files or more although the class list does not say so."""
    with_ignored = positions[pixels[:, -1] > 0]
    chosen = with_ignored[spread_positions(len(with_ignored), _LOOKED_INTO)]
    seen = Counter(value for position in chosen for value in data.unnamed(int(position)))
    least = _EVERYWHERE * len(positions) * len(chosen) / max(1, len(with_ignored))
    return tuple(sorted(value for value, count in seen.items() if count >= least))


def check_labels(
    data: LabelledSet,
    train: NDArray[np.int64],
    scored: NDArray[np.int64],
    split: str = "test",
    *,
    refuse_one: bool = False,
) -> None:
    """Read the images, say what their labels hold, and refuse what cannot be meant.

    Args:
        data: labelled images.
        train: positions of those that are learned from.
        scored: positions of those that the outcome is judged on.
        split: name of their split.
        refuse_one: refuse training images of one class also where others are left in the data.

    Raises:
        DataError: a file cannot be used; a picture is in both; all labels are ignored, show one class, or
            leave one out while 255, of which the list says nothing, is everywhere.
    """
    both = np.concatenate([train, scored])
    data.check(both, LABELS)
    refuse_overlap(data, train, scored, split)
    found = census(data, both)
    console.say(found.in_words())
    if found.problem() is not None and len(both) < len(data):
        everything = np.arange(len(data))  # a class may be rare: look at all there is before refusing
        found = census(data, np.setdiff1d(everything, list(data.unusable(everything, LABELS))))
    if (problem := found.problem()) is not None:
        raise DataError(f"{data.path}: {problem}")
    if (doubt := found.doubt()) is not None:
        console.warn(f"{data.path}: {doubt}")
    refuse_one = refuse_one or _is_all(data, train)
    _check_split(data, train, f"the {len(train)} training images", refuse_one=refuse_one)
    _check_split(data, scored, f"the {split} split", refuse_one=False)


def check_image_classes(data: LabelledSet, train: NDArray[np.int64]) -> None:
    """Refuse images of one class alone, and say which classes have no image among them.

    Args:
        data: images with a class each.
        train: positions of those that are learned from, such as can be used.

    Raises:
        DataError: all of them are of one class.
    """
    counts = np.bincount(data.image_classes(train), minlength=data.num_classes)
    occurring, absent = np.flatnonzero(counts), np.flatnonzero(counts == 0)
    if not len(absent):
        return
    where = f"{data.path}: the {len(train)} images that are learned from"
    missing = " or ".join(_listed([data.class_names[number] for number in absent]))
    if len(occurring) < 2:
        raise DataError(
            f"{where} are all of one class, '{data.class_names[occurring[0]]}', and two at least are needed "
            f"to tell apart. No image of {missing} that can be used is among them: mend those files, or "
            "learn from more images."
        )
    console.warn(f"{where} hold no image of {missing}: nothing will be learned of that.")


def _check_split(data: LabelledSet, rows: NDArray[np.int64], where: str, *, refuse_one: bool) -> None:
    """Refuse a part without labels, and say or refuse that it has one class only."""
    found = census(data, rows)
    if not found.occurring:
        raise DataError(f"{data.path}: all labels of {where} are ignored (255) from edge to edge.")
    if len(found.occurring) > 1:
        return
    sentence = f"{data.path}: {where} show nothing but {found.names[found.occurring[0]]}."
    if refuse_one:
        raise DataError(f"{sentence} Two classes at least must occur to be learned.")
    console.warn(f"{sentence} The score will say little; other images, or another --subset-seed, will do.")


def _is_all(data: LabelledSet, train: NDArray[np.int64]) -> bool:
    return len(train) >= data.counts.get("train", 0)


def refuse_overlap(
    data: LabelledSet, train: NDArray[np.int64], scored: NDArray[np.int64], split: str
) -> None:
    """Raise DataError where a picture that is learned from is also scored, under whatever name."""
    pairs = _same_pictures(data, train, scored)
    if not pairs:
        return
    count = those(len(pairs), "picture")
    first, second = data.names(pairs[0])
    raise DataError(
        f"{data.path}: {count} both in train and in {split}; {first} (train) is {second} ({split}), for "
        "example. A score on what was learned by heart means nothing: take them out of one of the two."
    )


def _same_pictures(
    data: LabelledSet, train: NDArray[np.int64], scored: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Return the pairs of positions whose pictures are equal; digests only point to candidates."""
    first, second = data.picture_digests(train), data.picture_digests(scored)
    by_digest = dict(zip(first.tolist(), train.tolist(), strict=True))
    candidates = [
        (by_digest[value], position)
        for value, position in zip(second.tolist(), scored.tolist(), strict=True)
        if value in by_digest
    ]
    return [pair for pair in candidates if _equal_pictures(data, pair)]


def _equal_pictures(data: LabelledSet, pair: tuple[int, int]) -> bool:
    one, other = data.read(pair, IMAGES).images
    return bool((one == other).all())


def _listed(names: list[str]) -> list[str]:
    """Return some names with commas, and the last of them or how many more there are."""
    more = len(names) - _NAMED
    return [", ".join(names[:_NAMED]), f"{more} more"] if more > 0 else _but_last(names)


def _but_last(names: list[str]) -> list[str]:
    """Return all but the last with commas, and the last."""
    return [", ".join(names[:-1]), names[-1]] if len(names) > 1 else names


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
