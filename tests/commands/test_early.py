"""Mistakes that can be told from names alone are told before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from making_clips import texture, write_images

from geopretrain.cli import main
from geopretrain.commands.early import check_early
from geopretrain.errors import DataError, RunFolderError, WeightsError

REFUSED = [
    "pretrain monodepth --data nowhere --out run",
    "pretrain monodept --data . --out run",
    "pretrain monodepth --data . --out run --device gpuu",
    "pretrain monodepth --data . --out run --init nowhere",
    "pretrain classification --data images:nowhere --out run",
    "finetune segmentation --data nowhere --out run",
    "finetune depth --data . --out run --evaluate-data nowhere",
    "compare --inits random,nowhere --data . --out comparison",
    "predict nowhere picture.png --out pictures",
    "evaluate nowhere .",
    "export nowhere --format timm --out x",
    "data prepare nowhere --out store",
    "pretrain monodepth --data . --out run --preset shrt",
    "pretrain dino --data . --out run --settings head_dim=3",
    "finetune segmentation --data . --out run --settings nowhere=3",
    "finetune detection --data . --out run --preset nowhere",
    "finetune depth --data . --out run --supervision labels --settings pose_backbone=resnet18",
    "compare --inits random,imagenet --data . --out comparison --settings nowhere=1",
    "compare --inits random,imagenet --data . --out comparison --backbone resnet18x",
    "pretrain monodepth --data . --out run --backbone tf_efficientnet_lite_0",
]
UNNAMED = 7
"""Of these, that do not say 'nowhere'."""
PROGRAM = f"""
import sys
from geopretrain.cli import main
for command in {REFUSED!r}:
    code = main(command.split())
    heavy = [name for name in ("torch", "lightning", "timm", "cv2") if name in sys.modules]
    assert (code, heavy) == (2, []), (command, code, heavy)
"""


def test_refusals_import_nothing_heavy(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == len(REFUSED)
    assert all(line.startswith("error: ") for line in said)
    assert sum("nowhere" in line for line in said) == len(REFUSED) - UNNAMED
    assert "Did you mean 'short'?" in done.stderr
    assert "Did you mean 'tf_efficientnet_lite0'?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_known_pass(monkeypatch):
    known = {"preset": "paper", "settings": {"smoothness": 0.1}, "method": "monodepth"}
    for backbone in ("resnet18", "resnet18.a1_in1k", "geopretrain_swinv2_mini", "vit_base_patch16_224_in21k"):
        check_early(options(backbone=backbone, **known))
    check_early(options(method="a plugin's", preset="own", settings={"any": 1}))
    check_early(options(method="monodepth", preset="gone", settings={"gone": 1}, resume=True))


def test_names_below_the_data_root_are_there(tmp_path, capsys):
    write_images(tmp_path / "walk", [texture(96, 128)] * 4)
    assert main(["data", "inspect", "walk", "--data-root", str(tmp_path)]) == 0
    assert "walk is a folder of images" in capsys.readouterr().out
    assert main(["data", "inspect", "wlk", "--data-root", str(tmp_path)]) == 2
    assert "'wlk' does not exist" in capsys.readouterr().err


def options(**values):
    return SimpleNamespace(_given=tuple(values), **values)


def test_the_nearest_name_is_told_and_what_is_no_path_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street.mp4").touch()
    with pytest.raises(
        DataError, match=r"'stret.mp4' does not exist. Did you mean 'street.mp4'\? Give a store"
    ):
        check_early(options(data="stret.mp4"))
    (tmp_path / "odd:name").touch()
    for data in (
        "synthetic:street",
        "toy:FOLDER",
        "street.mp4",
        "odd:name",
        "*.mp4",
        ["street.mp4", "images:."],
    ):
        check_early(options(data=data))
    with pytest.raises(DataError, match="'gone' does not exist"):
        check_early(options(data=["street.mp4", "images:gone"]))
    with pytest.raises(WeightsError, match=r"Unknown initialisation 'imagenett'\. Did you mean 'imagenet'"):
        check_early(options(inits=("random", "imagenett")))
    check_early(options(init="gone", resume=True))  # what a run began with is not needed again


def test_a_folder_that_cannot_receive_a_run_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    training = {"resume": False, "overwrite": True, "init": "random", "devices": 1, "num_nodes": 1}
    with pytest.raises(RunFolderError, match="was not written by geopretrain"):
        check_early(options(out=str(tmp_path / "mine"), **training))
    check_early(options(out=str(tmp_path / "new"), **training))
