"""Whether a copy of a data set is whole: its parts, number and size of pictures, a few of them decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from geopretrain.data.catalogue.finding import found, has, not_found, shared, spec_of
from geopretrain.data.catalogue.table import DataSet, data_set, data_sets
from geopretrain.data.dataset import NAMES
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

if TYPE_CHECKING:
    from geopretrain.data.readers.base import SourceClip
    from geopretrain.data.readers.folder import ImageSequence

SAMPLES = 5
"""Pictures of each split, evenly spread, that are decoded."""
NOT_ALL = "are there."
"""End of the sentence of a clip that says how much of a split is not there."""
_MAX_CLIPS, _MAX_FRAMES = 20, 3  # sequences of which frames are decoded, and frames of each


@dataclass
class DataCheck:
    """What was found of a data set.

    Attributes:
        name: of the data set.
        options: that stand behind it, as ``split=eigen-test``.
        place: its folder, None where it is not there.
        found: sentences about what is there.
        missing: sentences about what is not, or cannot be used; none where the copy is whole.
    """

    name: str
    options: str = ""
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

    Args:
        name: of the data set, with options behind it as data may have (``kitti-raw?split=eigen-test``).
        root: folder that data sets lie in.

    Raises:
        ConfigError: there is no data set of this name, or a library that reads it is not installed.
    """
    name, _, options = name.partition("?")
    wanted = data_set(name)
    place = found(name, root)
    report = DataCheck(name, options, place)
    if place is None:
        report.missing.append(not_found(name, root))
        return report
    for part in wanted.parts:
        _note_part(report, place, part.words, has(place, part), part.needed, part.any_of)
    parts_missing = not report.whole
    try:
        {"labelled": _labelled, "frames": _frames, "flow": _flow}[wanted.kind](report, wanted, place)
    except DataError as error:
        if not parts_missing:  # else it is said already why it cannot be opened
            report.missing.append(str(error))
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
    """Note what cannot be read instead of stopping at it."""
    try:
        yield
    except DataError as error:
        report.missing.append(str(error))


def _count(report: DataCheck, wanted: DataSet, count: int, noun: str, in_words: str) -> None:
    if wanted.count is None or report.options:
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

    source = open_labelled_source(spec_of(report.name, place, report.options), tuple(wanted.fields))
    if lacking := [name for name in wanted.fields if name not in source.fields]:
        why = source.absent.get(lacking[0])
        report.missing.append(f"{NAMES[lacking[0]]}{f': {why}' if why else ''}.")
    counts = ", ".join(f"{count} {split}" for split, count in source.counts.items() if count)
    total = len({source.name(split, row) for split, count in source.counts.items() for row in range(count)})
    _count(report, wanted, total, "images", f"{_many(total, 'image')} read ({counts})")
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
    clips = open_source(spec_of(report.name, place, report.options), unusable=unusable)
    report.missing += [one.reason for one in unusable]
    if not report.options:
        _count(report, wanted, len(clips), "sequences", f"{_many(len(clips), 'sequence')} read")
    _note_frames(report, clips)
    _note_other_kind(report, wanted, place, clips[0])
    read, sizes = 0, set()
    for clip in (clips[number] for number in _spread(len(clips), _MAX_CLIPS)):
        for index in _spread(clip.length or 1, _MAX_FRAMES):
            with _problems(report):
                frame = clip.frame(index)
                if frame.error is not None or frame.image is None:
                    raise DataError(f"{clip.name}: {frame.error}")
                sizes.add(frame.image.shape[:2])
                read += 1
        _read_beside(report, clip)
    _note_sizes(report, wanted, read, sizes)


def _note_other_kind(report: DataCheck, wanted: DataSet, place: Path, clip: SourceClip) -> None:
    """Note that the folder is taken for another data set, which lies in it, too."""
    if wanted.clips and clip.kind not in wanted.clips:
        report.missing.append(shared(report.name, place, clip.title))


def _read_beside(report: DataCheck, clip: SourceClip) -> None:
    """Read depth, right images and poses of a few frames of a sequence."""
    from geopretrain.data.readers.folder import ImageSequence

    measured, paired = clip.depth_indices(), clip.stereo_indices()
    for place in _spread(len(measured), _MAX_FRAMES):
        with _problems(report):
            clip.depth(measured[place])
            if isinstance(clip, ImageSequence):
                _note_smaller(report, clip, clip.depth_files[measured[place]])
    for place in _spread(len(paired), _MAX_FRAMES):
        with _problems(report):
            clip.stereo(paired[place])
    for index in _spread(clip.length or 0, _MAX_FRAMES) if clip.has_poses else ():
        with _problems(report):
            clip.pose(index)


def _note_smaller(report: DataCheck, clip: ImageSequence, file: Path) -> None:
    """Note a depth map smaller than its picture, which a phone's may be, and none of a data set is."""
    shape = clip.read_depth(file).shape
    if shape != tuple(clip.size):
        report.missing.append(
            f"the depth map {file} as it was released: it is {in_px(shape)}, the pictures are "
            f"{sides(clip.size)}. Unpack the archive again."
        )


def _note_frames(report: DataCheck, clips: Sequence[SourceClip]) -> None:
    """Note how many pictures there are, or are chosen by options, and what is known beside them."""
    frames = measured = paired = 0
    for clip in clips:
        chosen = set(range(clip.length or 0)) if clip.listed is None else clip.listed
        frames += len(chosen)
        measured += len(chosen.intersection(clip.depth_indices()))
        paired += len(chosen.intersection(clip.stereo_indices()))
    beside = [f"{n} with {what}" for n, what in ((measured, "depth"), (paired, "a right image")) if n]
    by = f" by {report.options.replace('&', ', ')}" if report.options else ""
    sequences = f"{len(clips)} sequence{'s' * (len(clips) != 1)}"
    report.found.append(f"{', '.join([f'{frames} pictures of {sequences}{by}', *beside])}.")
    report.missing += [said for clip in clips for said in clip.warnings if said.endswith(NOT_ALL)]


def _many(count: int, noun: str, one: str = "is", more: str = "are") -> str:
    """Return e.g. ``1 picture is`` or ``2 pictures are``."""
    return f"{count} {noun} {one}" if count == 1 else f"{count} {noun}s {more}"


def _flow(report: DataCheck, wanted: DataSet, place: Path) -> None:
    from geopretrain.data.readers.flow_pairs import open_flow_pairs

    pairs = open_flow_pairs(place)
    _count(report, wanted, len(pairs), "pairs", f"{_many(len(pairs), 'pair')} read")
    read, sizes = 0, set()
    for number in _spread(len(pairs)):
        with _problems(report):
            sizes.add(pairs[number].read().target.shape[:2])
            read += 1
    _note_sizes(report, wanted, read, sizes)


def _note_sizes(report: DataCheck, wanted: DataSet, read: int, sizes: set[tuple[int, ...]]) -> None:
    report.found.append(f"{_many(read, 'picture', 'was', 'were')} decoded as a sample.")
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
