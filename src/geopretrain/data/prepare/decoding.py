"""Source clips decoded in a thread, the next one while motion of the last is measured and it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geopretrain.console import ProgressLine
from geopretrain.data.options import PreparationOptions
from geopretrain.data.prepare.ahead import read_ahead
from geopretrain.data.prepare.decode import Decoded, decode
from geopretrain.data.prepare.intrinsics import Camera
from geopretrain.data.readers import SourceClip
from geopretrain.data.resize import bottom_crop, central_crop
from geopretrain.data.store.index import DEPTH_FOLDER

_CLIPS_AHEAD = 1


class _Unwanted(Exception):
    """Ends the thread where nobody waits for it any more."""


@dataclass
class Decoding:
    """A source clip on its way into a store.

    Attributes:
        clip: what to read.
        name: unique in the store.
        number: of the source clip among all of them.
        camera: chosen for it.
        size: (height, width) of the stored frames, px.
    """

    clip: SourceClip
    name: str
    number: int
    camera: Camera
    size: tuple[int, int]
    _done: int = 0
    _line: ProgressLine | None = None
    _unwanted: bool = False

    @property
    def folder(self) -> str:
        """Name of its working folder."""
        return f"decoding_{self.number:03d}"

    @property
    def depth_folder(self) -> str:
        """Where its depth maps go, in the store."""
        return f"{DEPTH_FOLDER}/{self.number:03d}"

    def crop(self, options: PreparationOptions) -> tuple[int, int, int, int]:
        """Return the part of the frames that is used, (top, left, height, width) px."""
        cropped = bottom_crop if options.crop == "bottom" else central_crop
        return cropped(self.clip.size, self.size)

    def decoded(self, work: Path, options: PreparationOptions) -> Decoded:
        """Decode into the working folder ``work``, continuing what is there already."""
        return decode(
            self.clip,
            work / self.folder,
            work / self.depth_folder,
            self.crop(options),
            self.size,
            max_frames=options.max_frames,
            motion=not options.still_images,
            advance=self._advance,
        )

    def show(self, line: ProgressLine, total: int | None) -> None:
        """Show on the line from now on how far it is."""
        line.begin(f"{self.name}: decoding", total, done=self._done)
        self._line = line

    def give_up(self) -> None:
        """Let its thread end."""
        self._unwanted = True

    def _advance(self, count: int) -> None:
        if self._unwanted:
            raise _Unwanted
        self._done += count
        if self._line is not None:
            self._line.move(self._done)


@contextmanager
def decoded_ahead(
    clips: Sequence[Decoding], work: Path, options: PreparationOptions
) -> Iterator[Iterator[Decoded]]:
    """Give what is decoded of each clip, in order; the thread has ended behind the ``with``.

    What is decoded lies on the disk (`Decoded`), so that memory does not grow with what is ahead.
    """
    ahead = read_ahead((clip.decoded(work, options) for clip in clips), _CLIPS_AHEAD)
    try:
        yield ahead
    finally:
        for clip in clips:
            clip.give_up()
        ahead.close()
