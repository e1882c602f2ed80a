"""Lists of images and labels, wherever the files lie."""

from __future__ import annotations

import pytest
from native_trees import SIZE, grey, halves, picture

from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.errors import DataError


def files(root, count=10, name="bild {}.png"):
    """Write pictures and labels in two folders; return the names of each pair, relative to ``root``."""
    pairs = []
    for i in range(count):
        image, label = f"pictures/{name.format(i)}", f"drawn/{name.format(i)}"
        picture(root / image, i)
        grey(root / label, halves(0, 1))
        pairs.append((image, label))
    return pairs


def listed(root, pairs, text="{}\t{}", name="mine.txt", title=""):
    root.mkdir(parents=True, exist_ok=True)
    lines = [text.format(*pair) for pair in pairs]
    (root / name).write_text("\n".join([title] * bool(title) + lines) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("road\nsky\n")
    return root / name


@pytest.mark.parametrize("text", ["{}\t{}", "{},{}", "{}; {}", '"{}","{}"', "{} {}"])
@pytest.mark.parametrize("where", ["beside", "elsewhere"])
def test_one_list_of_any_writing_names_files_of_any_folder(tmp_path, text, where):
    pairs = files(tmp_path / "däta")
    if where == "elsewhere":
        pairs = [tuple(str(tmp_path / "däta" / name) for name in pair) for pair in pairs]
    file = listed(tmp_path / ("däta" if where == "beside" else "lists"), pairs, text)
    data = LabelledSet.open(file, SIZE)
    assert data.counts == {"train": 7, "val": 1, "test": 2}
    assert data.read([0], LABELS).labels[0].unique().tolist() == [0, 1]
    assert all(name.endswith(".png") for name in data.names(range(10)))
    assert data.fingerprint() == LabelledSet.open(file, SIZE).fingerprint()


def test_a_column_of_splits_and_titles(tmp_path):
    splits = ["train"] * 6 + ["valid"] * 2 + ["Test"] * 2
    pairs = [(*pair, split) for pair, split in zip(files(tmp_path), splits, strict=True)]
    file = listed(tmp_path, pairs, "{},{},{}", "mine.csv", title="image,label,split")
    assert LabelledSet.open(file, SIZE).counts == {"train": 6, "val": 2, "test": 2}
    file = listed(tmp_path, [*pairs[:9], (*pairs[9][:2], "later")], "{},{},{}", "mine.csv")
    with pytest.raises(DataError, match=r"mine\.csv, line 10: 'later' is no split"):
        LabelledSet.open(file)


@pytest.mark.parametrize("titles", ["image path,label path", "Foto;Maske", "rgb file\tseg-mask file", "x y"])
def test_titles_may_be_called_anything(tmp_path, titles):
    separator = next((one for one in ",;\t" if one in titles), " ")
    file = listed(tmp_path, files(tmp_path, name="{}.png"), f"{{}}{separator}{{}}", title=titles)
    assert sum(LabelledSet.open(file).counts.values()) == 10


def test_lists_called_after_splits_belong_together(tmp_path):
    pairs = files(tmp_path)
    for name, part in (("train", pairs[:6]), ("val", pairs[6:8]), ("test", pairs[8:])):
        listed(tmp_path, part, name=f"my_{name}.txt")
    assert LabelledSet.open(tmp_path / "my_train.txt", SIZE).counts == {"train": 6, "val": 2, "test": 2}


def test_a_folder_needs_the_list_of_train_only(tmp_path):
    listed(tmp_path, files(tmp_path), name="train.txt")
    assert sum(LabelledSet.open(tmp_path, SIZE).counts.values()) == 10


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pictures/bild.png", "line 11: expected 'image label'"),
        ("pictures/x.png drawn/x.png", "names pictures/x.png, which does not exist under"),
        ("pictures/no 1.png drawn/no 1.png", "Put a tab between names with blanks"),
        ("pictures/bild 0.png\tdrawn/bild 0.png", r"names pictures/bild 0\.png twice, in lines 1 and 11"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path, line, expected):
    file = listed(tmp_path, files(tmp_path))
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(DataError, match=expected):
        LabelledSet.open(file)


def test_a_list_without_classes_says_what_is_missing(tmp_path):
    file = listed(tmp_path, files(tmp_path))
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"classes\.txt is missing"):
        LabelledSet.open(file)
