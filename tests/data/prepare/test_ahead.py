"""Reading ahead changes neither order nor errors, and ends when nobody asks any more."""

import threading

import pytest

from geopretrain.data.prepare.ahead import read_ahead


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_items_come_in_order():
    assert list(read_ahead(range(100), 4)) == list(range(100))
    assert list(read_ahead([], 4)) == []
    assert not alive()


def test_no_more_than_asked_for_are_read_ahead():
    read = []

    def items():
        for i in range(50):
            read.append(i)
            yield i

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    for _ in range(100):
        if len(read) >= 5:
            break
        threading.Event().wait(0.01)
    assert len(read) <= 6  # three in the queue, one on its way there, one in hand
    ahead.close()
    assert not alive()


def test_an_error_comes_where_it_happened():
    def items():
        yield 1
        raise OSError("gone")

    ahead = read_ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="gone"):
        next(ahead)
    assert not alive()
