"""The demo at a size of seconds: the same calls, the same files."""

from __future__ import annotations

import json

import pytest

from geopretrain import cli
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.recipes.demo import demo

TINY = {
    "video": "synthetic:street?worlds=1&frames=12&seed=100",
    "labelled": "synthetic:street?train=8&val=4&test=4",
    "size": (64, 96),
    "steps": 3,
    "finetune_steps": 2,
    "labels": 4,
    "seeds": 2,
    "modes": "full",
    "open_report": False,
}


@pytest.mark.slow
def test_the_demo_ends_with_a_report_and_continues_when_repeated(tmp_path, capsys):
    report = demo(tmp_path / "demo", **TINY)
    assert report.is_file()
    results = json.loads((report.parent / "comparison.json").read_text())
    assert {trial["init"] for trial in results["trials"]} == {"random", "depth"}
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


def test_the_worlds_need_a_size():
    with pytest.raises(OptionError, match="size must be HEIGHTxWIDTH"):
        demo("nowhere", size="auto")
