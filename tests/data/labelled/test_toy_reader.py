"""A stranger adds a layout: one class, one row in the table, and every command reads it."""

import pytest
from labelled_reader import TOY, write_stripes

import geopretrain
from geopretrain.data.labelled import detect
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.errors import DataError


@pytest.fixture
def toy(monkeypatch, tmp_path):
    monkeypatch.setattr(detect, "LAYOUTS", [*detect.LAYOUTS, TOY])
    return write_stripes(tmp_path / "stripes")


def test_a_row_in_the_table_is_enough_to_be_read_and_named(toy, tmp_path):
    data = LabelledSet.open(toy)
    assert (
        data.describe().in_words()
        == "toy stripes: 8 train, 2 val, 2 test, 2 classes, 64x96 px (height x width)"
    )
    assert data.names(data.splits()["test"]) == ["10.txt", "11.txt"]
    batch = data.read(data.splits()["val"])
    assert [int((labels[0] == 0).sum()) for labels in batch.labels] == [60, 65]
    with pytest.raises(DataError, match="toy:FOLDER"):
        LabelledSet.open(tmp_path)


def test_the_training_loop_reads_it(toy, tmp_path):
    run = geopretrain.finetune_segmentation(
        data=toy, out=tmp_path / "run", backbone="test_resnet", labels=4, steps=2,
        batch_size=2, device="cpu", progress=False,
    )  # fmt: skip
    assert set(run.results["iou"]) == {"left", "right"}
