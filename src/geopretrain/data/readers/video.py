"""Video files, decoded with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geopretrain.data.options import Range
from geopretrain.data.readers.base import Frame, SourceClip
from geopretrain.data.readers.foreign import hint_for_file
from geopretrain.data.readers.interlaced import FRAMES_LOOKED_AT, MARKED, deinterlaced, interlacing
from geopretrain.data.value_range import narrow_warning, range_beside, to_8_bits
from geopretrain.errors import DataError
from geopretrain.wording import in_px, sides

if TYPE_CHECKING:
    import av
    from av.video.reformatter import VideoReformatter

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
    }
)
CUT_OFF = "the file is cut off."
"""What the sentence of the frame behind the last one ends with, where a file holds less than it promises."""
_CORRUPT = "decoded with errors."
_HDR = {16: "PQ", 18: "HLG"}
"""Curves of brightness (ITU-T H.273) for screens of high dynamic range."""
_ERRORS_IN_A_ROW = 50  # undecodable packets after which the rest of the file is given up


class VideoClip(SourceClip):
    """The first real video stream of a file, upright and with square pixels.

    Rotation stored in the file is applied, pixels that are not square are made square by resizing the width,
    a file cut off in the middle gives its readable part and one broken frame which says so.
    """

    kind = "video"
    title = "a video"

    def __init__(self, path: Path, name: str, intrinsics: np.ndarray | None = None) -> None:
        found = _probe(path)
        super().__init__(
            name, str(path), found.size, fps=found.fps, intrinsics=intrinsics, length=found.length
        )
        self._duration, self._interlaced, self._values = found.duration, found.interlaced, found.values
        self._times: list[float | None] = []
        self._value_range: Range | None = None
        if self._interlaced is not None:
            self.warnings.append(f"The video is interlaced ({self._interlaced}): it is deinterlaced (bwdif).")
        if found.curve is not None:
            self.warnings.append(
                f"The video is of high dynamic range ({found.curve}), so its pictures come out pale: convert "
                "it to a standard one (SDR, by tone mapping) if other data are."
            )

    def use_range(self, value_range: Range | None) -> None:
        """Set which values of video of over 8 bits become 0 and 255; None: as range.txt beside it says."""
        if self._values is None:
            super().use_range(value_range)
            return
        self._value_range = value_range or range_beside(Path(self.path))
        if self._value_range is None and (warning := narrow_warning(*self._values)):
            self.warnings.append(warning)

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield decoded frames; undecodable packets, corrupt or resized frames come with ``error`` set."""
        import av
        from av.video.reformatter import VideoReformatter

        index, converter = 0, VideoReformatter()
        with av.open(self.path) as container:
            stream = _video_stream(container, Path(self.path))
            stream.thread_type = "AUTO"
            for decoded, shown in self._shown(_decoded(container, stream)):
                if len(self._times) == index:
                    self._times.append(None if isinstance(decoded, str) else decoded.time)
                if index >= start:
                    yield self._frame(index, decoded, shown, stream.sample_aspect_ratio, converter)
                index += 1
        if index >= start and self._ends_early(index):
            promise = f"promises {self._duration:.1f} s but ends after {index} frames"
            name = f"end of {Path(self.path).name}"
            yield Frame(index, name, None, f"{self.path} {promise}: {CUT_OFF}")

    def time(self, index: int) -> float | None:
        """Return the presentation time of a frame already read, else an estimate from the frame rate."""
        if index < len(self._times) and self._times[index] is not None:
            return self._times[index]
        return super().time(index)

    def starts_anew(self, index: int) -> bool:
        """Return whether more than five usual frame intervals passed before this frame."""
        if not 0 < index < len(self._times) or self.fps is None:
            return False
        now, before = self._times[index], self._times[index - 1]
        return now is not None and before is not None and (now - before) * self.fps > 5

    def _ends_early(self, count: int) -> bool:
        """Return whether the last time seen is well before the duration in the header."""
        times = [t for t in self._times[:count] if t is not None]
        if self._duration is None or not times or self.fps is None:
            return False
        return times[-1] - times[0] + 3 / self.fps < 0.97 * self._duration

    def _shown(
        self, items: Iterator[av.VideoFrame | str]
    ) -> Iterator[tuple[av.VideoFrame | str, av.VideoFrame | None]]:
        """Yield what was decoded, and its picture: deinterlaced where the video is interlaced."""
        if self._interlaced is None:
            yield from ((item, None if isinstance(item, str) else item) for item in items)
            return
        sound = (_CORRUPT if not isinstance(item, str) and item.is_corrupt else item for item in items)
        for item in deinterlaced(sound, every=self._interlaced != MARKED):
            yield (item, None) if isinstance(item, str) else item

    def _frame(
        self,
        index: int,
        decoded: av.VideoFrame | str,
        shown: av.VideoFrame | None,
        pixel_aspect: Any,
        converter: VideoReformatter,
    ) -> Frame:
        name = f"frame {index}"
        if isinstance(decoded, str) or shown is None:
            return Frame(index, name, None, f"{self.path}, {name}: {decoded}")
        if decoded.is_corrupt:
            return Frame(index, name, None, f"{self.path}, {name}: {_CORRUPT}")
        image = upright(shown, pixel_aspect, decoded.rotation, self._value_range, converter)
        if image.shape[:2] != self.size:
            other = f"{name} is {in_px(image.shape)}, the first frame is {sides(self.size)}"
            return Frame(index, name, None, f"{self.path}, {other}.")
        return Frame(index, name, image)


def upright(
    decoded: av.VideoFrame,
    pixel_aspect: Any,
    rotation: int,
    value_range: Range | None = None,
    converter: VideoReformatter | None = None,
) -> np.ndarray:
    """Return a decoded frame as ``H W 3`` uint8 RGB, upright by its rotation (degrees), pixels square.

    A converter that is kept for all frames of a video need not be set up for each.
    """
    width = decoded.width
    if pixel_aspect and pixel_aspect > 0:
        width = max(1, round(width * float(pixel_aspect)))
    if value_range is not None and _is_wide(decoded):
        values = decoded.to_ndarray(format=_wide_format(decoded), width=width, height=decoded.height)
        image = to_8_bits(values, Path(), value_range)
        image = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    else:
        convert = decoded.reformat if converter is None else partial(converter.reformat, decoded)
        image = convert(format="rgb24", width=width, height=decoded.height).to_ndarray()
    quarter_turns = round(rotation / 90) % 4  # counter-clockwise, degrees
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def _decoded(container: Any, stream: Any) -> Iterator[av.VideoFrame | str]:
    """Yield decoded frames, and one sentence for each packet that cannot be decoded."""
    import av

    errors = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
            errors = 0
        except EOFError:
            return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            errors += 1
            yield f"cannot be decoded ({getattr(error, 'strerror', None) or error})."
            if errors >= _ERRORS_IN_A_ROW:
                return
            continue
        yield from frames


class _Probed(NamedTuple):
    """What the header and the first frames say.

    Attributes:
        size: (height, width) px, upright.
        fps: frames per second.
        length: number of frames.
        duration: s.
        interlaced: how it is known that the video is interlaced, None where it is not.
        values: lowest and highest of video of more than 8 bits, as 16 bits; None for other video.
        curve: of brightness, where it is made for screens of high dynamic range.
    """

    size: tuple[int, int]
    fps: float | None
    length: int | None
    duration: float | None
    interlaced: str | None
    values: Range | None
    curve: str | None


def _probe(path: Path) -> _Probed:
    """Look at the header and the first frames of a file.

    Raises:
        DataError: not there, empty, no video, or not one frame of it can be decoded.
    """
    import av

    if not path.exists():
        reason = "is a link to what is not there" if path.is_symlink() else "does not exist"
        raise DataError(f"{path} {reason}.")
    if path.is_dir():
        raise DataError(f"{path} is a folder; a video file was expected.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes). Copy or record the video again.")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            frames = (f for f in _decoded(container, stream) if not isinstance(f, str) and not f.is_corrupt)
            first_ones = list(islice(frames, FRAMES_LOOKED_AT))
            if not first_ones:
                raise DataError(
                    f"{path} has a video stream but no frame of it can be decoded: it is damaged."
                )
            first = first_ones[0]
            height, width = upright(first, stream.sample_aspect_ratio, first.rotation).shape[:2]
            rate = stream.average_rate or stream.guessed_rate
            fps = float(rate) if rate else None
            duration = _duration(container, stream)
            length = stream.frames or (round(duration * fps) if duration and fps else None)
            values = _values(first) if _is_wide(first) else None
            curve = _HDR.get(first.color_trc)
            return _Probed((height, width), fps, length, duration, interlacing(first_ones), values, curve)
    except PermissionError as error:
        raise DataError(f"{path} cannot be opened: permission denied.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if hint := hint_for_file(path):
            raise DataError(hint) from error
        raise DataError(
            f"{path} cannot be read as a video ({getattr(error, 'strerror', None) or error}). It may be "
            "truncated or of an unknown format: convert it to .mp4 (H.264) or record it again."
        ) from error


def _is_wide(frame: av.VideoFrame) -> bool:
    return any(component.bits > 8 for component in frame.format.components)


def _wide_format(frame: av.VideoFrame) -> str:
    """Return the format of 16 bits that holds all of a frame: grey, or RGB."""
    return "gray16le" if len(frame.format.components) == 1 else "rgb48le"


def _values(frame: av.VideoFrame) -> Range:
    """Return lowest and highest values; colours of 10 and 12 bits use the whole of these, however dark."""
    if len(frame.format.components) > 1 and max(one.bits for one in frame.format.components) < 16:
        return 0.0, 65535.0
    low, high = np.percentile(frame.to_ndarray(format=_wide_format(frame)), (0.1, 99.9))
    return float(low), float(high)


def _duration(container: Any, stream: Any) -> float | None:
    """Return the duration in s of the video stream; that of the file when it is the only stream."""
    import av

    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _video_stream(container: Any, path: Path) -> Any:
    """Return the first video stream which is no attached picture (DataError when there is none)."""
    import av

    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    if hint := hint_for_file(path):
        raise DataError(hint)
    kinds = ", ".join(sorted({s.type for s in container.streams})) or "no streams"
    raise DataError(f"{path} has no video stream (it holds: {kinds}).")
