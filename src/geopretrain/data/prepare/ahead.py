"""Reading ahead: frames are decoded in a thread of their own while those before them are worked on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
_WAIT = 0.1  # s, after which a waiting thread looks whether it is still wanted


class _End:
    """What the thread puts behind the last item: the error that ended it, or None."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Iterable[T], count: int) -> Generator[T, None, None]:
    """Yield the items, up to ``count`` of them read before they are asked for.

    An error of the items is raised in their place; whoever stops asking ends the thread.
    """
    queue: Queue[T | _End] = Queue(maxsize=max(count, 1))
    unwanted = threading.Event()
    thread = threading.Thread(target=_read, args=(items, queue, unwanted), name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unwanted.set()
        _empty(queue)
        thread.join()


def _read(items: Iterable[T], queue: Queue[T | _End], unwanted: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(queue, item, unwanted):
                break
    except BaseException as error:  # raised again where the items are asked for
        end = _End(error)
    finally:
        _put(queue, end, unwanted)


def _put(queue: Queue[T | _End], item: T | _End, unwanted: threading.Event) -> bool:
    """Put an item; return whether it is still wanted."""
    while not unwanted.is_set():
        try:
            queue.put(item, timeout=_WAIT)
            return True
        except Full:
            continue
    return False


def _empty(queue: Queue[T | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
