"""Interlaced video: each frame holds two moments in alternating rows, which moving edges show as combs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import av

FRAMES_LOOKED_AT = 8
MARKED = "its frames are marked so"
_COMBED = 1.15
"""Times that neighbouring rows differ more than those two apart, in combed pictures; others have under 1."""


def interlacing(frames: Sequence[av.VideoFrame]) -> str | None:
    """Return how it is known that some frames of a video are interlaced, None where they are not."""
    if any(frame.interlaced_frame for frame in frames):
        return MARKED
    from av.video.reformatter import VideoReformatter

    converter = VideoReformatter()  # for each frame it would have to be set up
    combs = [combing(converter.reformat(frame, format="gray").to_ndarray()) for frame in frames]
    return "its rows show combs" if combs and float(np.median(combs)) > _COMBED else None


def combing(grey: np.ndarray) -> float:
    """Return how much neighbouring rows of ``H W`` uint8 differ, over rows two apart (of one moment)."""
    import cv2

    if len(grey) < 3:
        return 0.0
    apart = cv2.mean(cv2.absdiff(grey[2:], grey[:-2]))[0]
    return cv2.mean(cv2.absdiff(grey[1:], grey[:-1]))[0] / apart if apart > 0.5 else 0.0


def deinterlaced(
    items: Iterable[av.VideoFrame | str], every: bool
) -> Iterator[tuple[av.VideoFrame, av.VideoFrame] | str]:
    """Yield each frame with its deinterlaced form, in order; sentences about broken ones pass through.

    Args:
        items: decoded frames, or what is wrong with one.
        every: deinterlace frames that are not marked as interlaced, too.
    """
    graph: av.filter.Graph | None = None
    waiting: deque[av.VideoFrame] = deque()
    for item in items:
        if isinstance(item, str):
            yield from _flushed(graph, waiting)
            graph = None
            yield item
            continue
        if graph is not None and waiting and _shape(item) != _shape(waiting[-1]):
            yield from _flushed(graph, waiting)
            graph = None
        graph = graph or _graph(item, every)
        graph.push(item)
        waiting.append(item)
        yield from _pulled(graph, waiting)
    yield from _flushed(graph, waiting)


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _graph(frame: av.VideoFrame, every: bool) -> av.filter.Graph:
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    which = "all" if every else "interlaced"
    bwdif = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


def _pulled(
    graph: av.filter.Graph, waiting: deque[av.VideoFrame]
) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
    import av

    while waiting:
        try:
            done = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield waiting.popleft(), done


def _flushed(
    graph: av.filter.Graph | None, waiting: deque[av.VideoFrame]
) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph, waiting)
    while waiting:  # never lose a frame
        frame = waiting.popleft()
        yield frame, frame
