"""NYU Depth v2's labelled file, written as MATLAB 7.3 writes it."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import SIZE, nyu

from geopretrain.data.dataset import Fields
from geopretrain.data.labelled.labelled_set import LABELS, LabelledSet
from geopretrain.data.labelled.native.nyu import NAMES_13, TO_13
from geopretrain.errors import ConfigError, DataError, UserError

DEPTH = Fields(names=("depth",))
BOTH = Fields(names=("labels", "depth"))


@pytest.mark.parametrize("named", ["folder", "file"])
def test_pictures_depth_and_classes_have_their_axes_right(tmp_path, named):
    root = nyu(tmp_path)
    data = LabelledSet.open(root if named == "folder" else root / "nyu_depth_v2_labeled.mat", SIZE)
    assert data.counts == {"train": 5, "val": 1, "test": 6}
    batch = data.read([0], BOTH)
    expected = np.random.default_rng(0).integers(0, 255, (*SIZE, 3))
    assert (batch.images[0].numpy() == expected.transpose(2, 0, 1)).all()
    labels = batch.labels[0].numpy()
    assert (labels[0] == 255).all()
    assert (labels[1:32] == data.class_names.index("wall")).all()
    assert (labels[32:] == data.class_names.index("bed")).all()
    depth = batch.depth[0, 0].numpy()
    assert (depth[:, :10] == 4).all()
    assert (depth[:, 10:] == 2.5).all()


def test_the_official_split_is_the_one_of_the_file_beside_it(tmp_path):
    data = LabelledSet.open(nyu(tmp_path), SIZE)
    numbers = [int(name[-4:]) for name in data.names(data.splits()["test"])]
    assert numbers == [1, 3, 5, 7, 9, 11]  # written from 1


def test_without_its_split_it_is_split_at_random_and_that_is_said(tmp_path):
    data = LabelledSet.open(nyu(tmp_path, splits=False), SIZE)
    assert sum(data.counts.values()) == 12
    assert any("not the official split: splits.mat" in said for said in data.source.warnings)


def test_13_classes_are_groups_of_the_40(tmp_path):
    data = LabelledSet.open(f"{nyu(tmp_path)}?classes=13", SIZE)
    assert data.class_names == NAMES_13
    labels = data.read([0], LABELS).labels[0].numpy()
    assert (labels[1:32] == NAMES_13.index("wall")).all()
    assert (labels[32:] == NAMES_13.index("bed")).all()
    assert len(TO_13) == 41
    assert set(TO_13) == set(range(14))


def test_depth_as_measured_has_holes(tmp_path):
    data = LabelledSet.open(f"{nyu(tmp_path)}?depth=raw", SIZE)
    assert (data.read([0], DEPTH).depth[0, 0, 5] == 0).all()


def test_without_the_grouping_of_classes_there_is_depth_alone(tmp_path):
    data = LabelledSet.open(nyu(tmp_path, mapping=False), SIZE)
    assert data.source.fields == ("depth",)
    with pytest.raises(DataError, match=r"no class maps.*classMapping40\.mat.*is not beside it"):
        data.splits(LABELS)


@pytest.mark.parametrize("damage", ["cut off", "another file", "splits", "mapping", "option", "transposed"])
def test_what_is_wrong_is_said(tmp_path, damage):
    root, spec = nyu(tmp_path), str(tmp_path)
    file = root / "nyu_depth_v2_labeled.mat"
    if damage == "cut off":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "another file":
        file.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(1000))
    elif damage == "splits":
        small = nyu(tmp_path / "small", 4)
        (root / "nyu_depth_v2_labeled.mat").write_bytes((small / file.name).read_bytes())
    elif damage == "mapping":
        (root / "classMapping40.mat").write_bytes((root / "splits.mat").read_bytes())
    elif damage == "option":
        spec += "?classes=37"
    else:
        import h5py

        with h5py.File(file, "r+") as content:
            values = content["labels"][:].transpose(0, 2, 1)
            del content["labels"]
            content["labels"] = values
    expected = {
        "cut off": r"nyu_depth_v2_labeled\.mat is cut off",
        "another file": r"is no file of MATLAB 7\.3",
        "splits": "numbers from 1 to 4",
        "mapping": "holds no mapClass and className",
        "option": "classes must be one of 13, 40",
        "transposed": "do not fit together",
    }[damage]
    with pytest.raises(UserError, match=expected):
        LabelledSet.open(spec)


def test_the_library_that_is_missing_is_named(tmp_path, monkeypatch):
    root = nyu(tmp_path)
    monkeypatch.setattr("geopretrain.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"h5py: pip install 'geopretrain\[datasets\]'"):
        LabelledSet.open(root)
