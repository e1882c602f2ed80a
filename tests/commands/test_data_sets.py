"""``data list``, ``data check``, and data sets by name in the commands that take data."""

from __future__ import annotations

import pytest
from native_trees import kitti_semantics

import geopretrain as gp
from geopretrain import cli
from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.config.saved import as_saved
from geopretrain.data.catalogue.table import data_sets
from geopretrain.errors import ConfigError


def test_the_list_names_every_data_set_and_what_is_there(tmp_path, capsys):
    place = kitti_semantics(tmp_path / "kitti", 10)
    assert cli.main(["data", "list", "--data-root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}: " in out for name in data_sets())
    assert f"kitti-semantics: KITTI semantics  [{place}]" in out
    assert "cityscapes: Cityscapes, fine labels  [not there]" in out
    assert gp.data_list().places == {}


def test_a_copy_that_is_not_whole_ends_with_code_2(tmp_path, capsys, monkeypatch):
    kitti_semantics(tmp_path / "kitti", 10)
    assert cli.main(["data", "check", "kitti-semantics", "--data-root", str(tmp_path)]) == 2
    assert "Missing: 190 of 200 images" in capsys.readouterr().out
    assert cli.main(["data", "check", "kitti-semantic", "--data-root", str(tmp_path)]) == 2
    assert "Did you mean 'kitti-semantics'" in capsys.readouterr().err
    assert cli.main(["data", "check", "camvid"]) == 2
    assert "--data-root is missing" in capsys.readouterr().err
    monkeypatch.setenv("GEOPRETRAIN_DATA_ROOT", str(tmp_path))
    report = gp.data_check("kitti-semantics")
    assert not report.whole
    assert report.place == tmp_path / "kitti"


def test_a_data_set_is_given_by_its_name(tmp_path):
    place = kitti_semantics(tmp_path / "kitti", 10)
    found = gp.inspect("kitti-semantics", data_root=tmp_path)
    assert found.path == str(place)
    assert "KITTI semantics: 7 train, 1 val, 2 test" in found.text()
    with pytest.raises(ConfigError, match="'kitti-semantics' is the name of a data set"):
        gp.inspect("kitti-semantics")


def test_data_with_options_are_saved_as_a_whole_path(tmp_path, monkeypatch):
    kitti_semantics(tmp_path / "kitti", 10)
    monkeypatch.chdir(tmp_path)
    options = FinetuneSegmentationOptions(data="kitti?train=4", out="run")
    assert as_saved("finetune segmentation", options)["data"] == f"{tmp_path / 'kitti'}?train=4"
