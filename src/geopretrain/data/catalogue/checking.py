"""Whether a copy of a data set is whole: its parts, number and size of pictures, a few of them decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from geopretrain.data.catalogue.finding import found, has, not_found, spec_of
from geopretrain.data.catalogue.table import DataSet, data_set, data_sets
from geopretrain.data.dataset import NAMES
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

SAMPLES = 5
"""Pictures of each split, evenly spread, that are decoded."""
_MAX_CLIPS, _MAX_FRAMES = 20, 3  # sequences of which frames are decoded, and frames of each


@dataclass
class DataCheck:
    """What was found of a data set.

    Attributes:
        name: of the data set.
        place: its folder, None where it is not there.
        found: sentences about what is there.
        missing: sentences about what is not, or cannot be used; none where the copy is whole.
    """

    name: str
    place: Path | None = None
    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def text(self) -> str:
        """Return the report in words."""
        title = data_set(self.name).title
        where = f" in {self.place}" if self.place is not None else ""
        verdict = "is whole as far as was looked." if self.whole else "is not whole."
        lines = [f"{title}{where}", *(f"  {one}" for one in self.found)]
        return "\n".join([*lines, *(f"  Missing: {one}" for one in self.missing), f"{title} {verdict}"])


@dataclass(frozen=True)
class DataListing:
    """The data sets that are known, and which of them are below a root.

    Attributes:
        places: folder of each, None where it is not there; no entry where no root was given.
    """

    places: dict[str, Path | None]

    def text(self) -> str:
        """Return the table in words: what each is, needs and gives, and where it is had."""
        blocks = [self._block(name, one) for name, one in data_sets().items()]
        return "\n\n".join([*blocks, "`geopretrain data check NAME --data-root FOLDER` verifies a copy."])

    def _block(self, name: str, one: DataSet) -> str:
        there = ""
        if name in self.places:
            place = self.places[name]
            there = f"  [{place}]" if place is not None else "  [not there]"
        needs = "; ".join(f"{part.words}{'' if part.needed else ' (optional)'}" for part in one.parts)
        lines = [
            f"{name}: {one.title}{there}",
            f"  gives  {one.gives}",
            f"  needs  {needs}",
            f"  whole  {one.counted}" if one.counted else "",
            f"  takes  {one.options}" if one.options else "",
            f"  from   {one.page} ({one.terms})",
        ]
        return "\n".join(line for line in lines if line)


def listing(root: Path | None) -> DataListing:
    """Return all data sets, and where they are below a root (DataError where that is no folder)."""
    if root is None:
        return DataListing({})
    if not root.is_dir():
        raise DataError(f"The data root {root} is not a folder.")
    return DataListing({name: found(name, root) for name in data_sets()})


def check(name: str, root: Path) -> DataCheck:
    """Verify the copy of a data set below a root; what is wrong is in the report.

    Raises:
        ConfigError: there is no data set of this name, or a library that reads it is not installed.
    """
    wanted = data_set(name)
    place = found(name, root)
    report = DataCheck(name, place)
    if place is None:
        report.missing.append(not_found(name, root))
        return report
    for part in wanted.parts:
        _note_part(report, place, part.words, has(place, part), part.needed, part.any_of)
    with _problems(report):
        {"labelled": _labelled, "frames": _frames, "flow": _flow}[wanted.kind](report, wanted, place)
    return report


def _note_part(
    report: DataCheck, place: Path, words: str, there: bool, needed: bool, patterns: Sequence[str]
) -> None:
    if there:
        report.found.append(f"{words[0].upper()}{words[1:]}: there.")
    elif needed:
        report.missing.append(f"{words}; looked for {' or '.join(patterns)}.")
    else:
        report.found.append(f"{words[0].upper()}{words[1:]}: not there, which is no fault.")


@contextmanager
def _problems(report: DataCheck) -> Iterator[None]:
    """Note what cannot be opened or read instead of stopping at it."""
    try:
        yield
    except DataError as error:
        report.missing.append(str(error))


def _count(report: DataCheck, wanted: DataSet, count: int, noun: str, in_words: str) -> None:
    if wanted.count is None:
        report.found.append(f"{in_words} (all of it: {wanted.counted}).")
    elif count == wanted.count:
        report.found.append(f"{in_words}.")
    elif count < wanted.count:
        report.missing.append(
            f"{wanted.count - count} of {wanted.count} {noun}: {in_words}, where all of it has "
            f"{wanted.counted}."
        )
    else:
        report.missing.append(
            f"nothing, but there are {count} {noun} instead of {wanted.count} ({wanted.counted}): it is not "
            "as it was released."
        )


def _labelled(report: DataCheck, wanted: DataSet, place: Path) -> None:
    from geopretrain.data.labelled.detect import open_labelled_source

    source = open_labelled_source(spec_of(report.name, place), tuple(wanted.fields))
    if lacking := [name for name in wanted.fields if name not in source.fields]:
        why = source.absent.get(lacking[0])
        report.missing.append(f"{NAMES[lacking[0]]}{f': {why}' if why else ''}.")
    counts = ", ".join(f"{count} {split}" for split, count in source.counts.items() if count)
    total = len({source.name(split, row) for split, count in source.counts.items() for row in range(count)})
    _count(report, wanted, total, "images", f"{total} images are read ({counts})")
    report.found += [f"{said[0].upper()}{said[1:]}." for said in source.warnings]
    read, sizes = 0, set()
    for split, count in source.counts.items():
        for row in _spread(count):
            with _problems(report):
                sizes.add(source.read(split, row, source.original_size()).image.shape[:2])
                read += 1
    _note_sizes(report, wanted, read, sizes)


def _frames(report: DataCheck, wanted: DataSet, place: Path) -> None:
    from geopretrain.data.readers import open_source
    from geopretrain.data.readers.base import Unusable

    unusable: list[Unusable] = []
    clips = open_source(place, unusable=unusable)
    report.missing += [one.reason for one in unusable]
    _count(report, wanted, len(clips), "sequences", f"{len(clips)} sequences are read")
    read, sizes = 0, set()
    for clip in (clips[number] for number in _spread(len(clips), _MAX_CLIPS)):
        for index in _spread(clip.length or 1, _MAX_FRAMES):
            with _problems(report):
                frame = clip.frame(index)
                if frame.error is not None or frame.image is None:
                    raise DataError(f"{clip.name}: {frame.error}")
                sizes.add(frame.image.shape[:2])
                read += 1
        with_depth = clip.depth_indices()
        for index in (with_depth[place] for place in _spread(len(with_depth), _MAX_FRAMES)):
            with _problems(report):
                clip.depth(index)
    _note_sizes(report, wanted, read, sizes)


def _flow(report: DataCheck, wanted: DataSet, place: Path) -> None:
    from geopretrain.data.readers.flow_pairs import open_flow_pairs

    pairs = open_flow_pairs(place)
    _count(report, wanted, len(pairs), "pairs", f"{len(pairs)} pairs are read")
    read, sizes = 0, set()
    for number in _spread(len(pairs)):
        with _problems(report):
            sizes.add(pairs[number].read().target.shape[:2])
            read += 1
    _note_sizes(report, wanted, read, sizes)


def _note_sizes(report: DataCheck, wanted: DataSet, read: int, sizes: set[tuple[int, ...]]) -> None:
    report.found.append(f"{read} pictures were decoded as a sample.")
    other = sorted(size for size in sizes if wanted.size is not None and size != wanted.size)
    if other and wanted.size is not None:
        report.found.append(
            f"Pictures are {in_px(other[0])}, not {sides(wanted.size)} as released: whoever made this copy "
            "has resized them, so that numbers compare with those of such copies only."
        )


def _spread(count: int, most: int = SAMPLES) -> list[int]:
    """Return at most some numbers below ``count``, evenly spread from the first to the last."""
    import numpy as np

    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist() if count else []
