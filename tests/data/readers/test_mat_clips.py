"""Pictures in files of MATLAB as frames with depth."""

from __future__ import annotations

import numpy as np
import pytest
from native_trees import SIZE, ibims, nyu

from geopretrain.data.readers import open_source
from geopretrain.errors import DataError


def test_the_labelled_pictures_of_nyu_are_a_clip_for_each_split(tmp_path):
    root = nyu(tmp_path)
    for spec in (root, root / "nyu_depth_v2_labeled.mat"):
        train, test = open_source(spec)
        assert [train.name, train.length, test.name, test.length] == ["nyuv2/train", 6, "nyuv2/test", 6]
    frame = test.frame(2)
    assert frame.name == "0005"
    expected = np.random.default_rng(5).integers(0, 255, (*SIZE, 3))
    assert (frame.image == expected).all()
    depth = test.depth(2)
    assert (depth[:, :10] == 4).all()
    assert (depth[:, 10:] == 2.5).all()
    assert not test.ordered


def test_nyu_without_its_split_is_one_clip(tmp_path):
    (clip,) = open_source(nyu(tmp_path, splits=False))
    assert (clip.name, clip.length) == ("nyuv2/all", 12)


@pytest.mark.parametrize("level", ["", "ibims1_core_mat"])
def test_ibims_has_depth_boundaries_planes_and_a_camera(tmp_path, level):
    (clip,) = open_source(ibims(tmp_path) / level)
    assert (clip.kind, clip.length, clip.size) == ("ibims1", 2, SIZE)
    frame = clip.frame(1)
    assert frame.name == "office_02"
    assert (frame.image == np.random.default_rng(1).integers(0, 255, (*SIZE, 3))).all()
    depth = clip.depth(0)
    assert (depth[:, :5] == 0).all()
    assert (depth[:, 5:] == 3).all()
    assert clip.intrinsics.tolist() == [[500, 0, 48], [0, 510, 32], [0, 0, 1]]  # pixels from 0
    structure = clip.structure(0)
    assert np.flatnonzero(structure.edges.any(1)).tolist() == [40]
    (floor,) = structure.planes
    assert floor.kind == "floor"
    assert floor.normal.tolist() == [0, -1, 0]  # up, in camera axes
    assert (floor.mask[40:] == 1).all()


def test_damaged_files_are_named(tmp_path):
    root = ibims(tmp_path)
    second = root / "ibims1_core_mat" / "office_02.mat"
    second.write_bytes(second.read_bytes()[:300])
    (clip,) = open_source(root)
    assert clip.frame(0).error is None
    assert "office_02.mat" in clip.frame(1).error
    with pytest.raises(DataError, match=r"office_02\.mat"):
        clip.depth(1)
    from scipy.io import savemat

    savemat(root / "ibims1_core_mat" / "corridor_01.mat", {"data": {"rgb": np.zeros((*SIZE, 3), np.uint8)}})
    with pytest.raises(DataError, match=r"corridor_01\.mat is no file of iBims-1: it holds no depth"):
        open_source(root)
