import codecs

import pytest

from geopretrain.data.text_lists import listed_path, read_lines, read_text
from geopretrain.errors import DataError


@pytest.mark.parametrize(
    "data",
    [
        "# list\na.png\n\n b ü.png \n".encode(),
        codecs.BOM_UTF8 + "# list\r\na.png\r\n\r\n b ü.png \r\n".encode(),
        codecs.BOM_UTF16_LE + "# list\r\na.png\r\n\r\n b ü.png".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "# list\ra.png\r\rb ü.png\r".encode("utf-16-be"),
    ],
    ids=["unix", "windows", "utf-16", "old mac"],
)
def test_lists_of_every_system_are_the_same(tmp_path, data):
    (tmp_path / "list.txt").write_bytes(data)
    assert read_lines(tmp_path / "list.txt") == [(2, "a.png"), (4, "b ü.png")]


def test_what_is_no_text_is_refused(tmp_path):
    file = tmp_path / "list.txt"
    with pytest.raises(DataError, match=r"list\.txt cannot be read \(No such file"):
        read_text(file)
    file.write_bytes(b"road\nStra\xdfe\n")
    with pytest.raises(DataError, match=r"line 2, is no UTF-8 text. Save"):
        read_text(file)
    assert read_text(file, "replace").startswith("road\nStra")
    file.write_bytes("road\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="zero bytes"):
        read_text(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_text(tmp_path)


@pytest.mark.parametrize("text", ["train\\a b.png", '"train/a b.png"', " train/a b.png "])
def test_paths_of_windows_are_paths(text):
    assert listed_path(text) == "train/a b.png"
