"""Depth maps as ``.npy``: what a file claims, and what it is."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from geopretrain.data.readers.depth_maps import read_depth
from geopretrain.errors import DataError


class RunsCodeWhenRead:
    def __reduce__(self):
        return (os.mkdir, ("proof",))


def claiming(shape, content=b"\0" * 24):
    written = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(written, header)
    return written.getvalue() + content


def objects():
    written = io.BytesIO()
    np.save(written, np.array([[RunsCodeWhenRead()]], dtype=object), allow_pickle=True)
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        claiming((10**6, 10**6)),  # 3.6 TB
        claiming((-1, 5)),
        claiming((3, 3)),
        b"PK\x03\x04 no archive",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': __import",
        b"\x93NUMPY\x02\x00" + (20_000).to_bytes(4, "little") + b"(" * 20_000,
        b"\x80\x04K\x01.",
        b"",
        objects(),
    ],
    ids=["huge", "negative", "cut", "archive", "header", "deep", "pickle", "empty", "objects"],
)
def test_files_that_lie_are_refused_in_a_sentence_and_nothing_is_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy cannot be read \(.+\)\.$") as error:
        read_depth(tmp_path / "a.npy")
    assert "allow_pickle" not in str(error.value)
    assert not (tmp_path / "proof").exists()


def test_a_good_file_is_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(claiming((2, 3)))
    assert read_depth(tmp_path / "a.npy").shape == (2, 3)
