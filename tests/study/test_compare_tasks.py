"""``compare`` on detection and depth: the number, which way is better, and what is refused."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from PIL import Image

import geopretrain as gp
from geopretrain import cli
from geopretrain.errors import DataError, OptionError
from geopretrain.study.comparison import Comparison
from geopretrain.study.contests import CONTESTS
from geopretrain.study.contests.base import Contest

OBJECTS = "synthetic:street?train=6&val=2&test=3"
VIDEO = "synthetic:street?worlds=2&frames=24"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Return a file of other weights of the default backbone."""
    import torch

    from geopretrain.networks import Backbone
    from geopretrain.weights import save_tensors

    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "depth.safetensors"
    save_tensors(file, {f"backbone.{n}": t for n, t in Backbone("resnet18").model.state_dict().items()})
    return file


def run(task, data, out, other, **options):
    usual = {
        "labels": 4,
        "seeds": 3,
        "steps": 6,
        "jobs": 1,
        "progress": False,
        "pictures": 1,
        "size": (64, 96),
        "device": "cpu",
    }
    return gp.compare(f"random,{other}", task=task, data=data, out=out, **{**usual, **options})


@pytest.mark.parametrize(("first", "second"), [("2", "2,4"), ("2,4", "2")])
def test_steps_that_follow_from_the_labels_are_those_of_each_number(tmp_path, scripted, other, first, second):
    more = {"preset": "paper", "steps": None, "subsets": 2, "curve_points": 2, "seeds": 2}
    both = [run("detection", OBJECTS, tmp_path / "cmp", other, labels=n, **more) for n in (first, second)]
    steps = [one.results["protocol"]["steps_of"] for one in both]
    assert [len(one) for one in steps] == [len(first.split(",")), len(second.split(","))]
    assert steps[0]["2"] == steps[1]["2"]


def test_detectors_are_compared_by_map(tmp_path, scripted, other):
    comparison = run("detection", OBJECTS, tmp_path / "cmp", other)
    again = Comparison.open(tmp_path / "cmp")
    assert again.rows == comparison.rows
    assert again.measure.name == "mAP"
    assert "points of mAP" in comparison.sentence
    head, *_ = csv.reader(io.StringIO((tmp_path / "cmp" / "comparison.csv").read_text()))
    assert {"box_map_mean", "box_map_50_mean", "box_map_per_seed"} < set(head)
    page = comparison.report.read_text()
    assert "The same detector was trained" in page
    assert "Average precision of each class" in page
    assert "mIoU" not in page.partition("</script>")[2].replace("plotly", "")
    assert "mAP, %" in page
    assert "--task detection" in comparison.results["protocol"]["command"]
    assert (tmp_path / "cmp" / "figures" / "test0-truth.png").is_file()


def test_depth_networks_are_compared_by_an_error_of_which_less_is_better(tmp_path, scripted, other):
    comparison = run("depth", VIDEO, tmp_path / "cmp", other, labels=3)
    assert {row.mode for row in comparison.rows} == {"full"}
    (row,) = [row for row in comparison.rows if row.difference is not None]
    assert row.difference.mean == pytest.approx(-0.051)  # its error is smaller
    assert row.difference.verdict == "better"
    assert "is better than random" in comparison.sentence
    assert "of AbsRel, lower is better" in comparison.sentence
    assert "AbsRel" in comparison.table()
    assert "%" not in comparison.table().splitlines()[0]
    page = comparison.report.read_text()
    assert "lower is better" in page
    assert "The same depth network was trained" in page
    assert Comparison.open(tmp_path / "cmp").rows == comparison.rows
    assert comparison.results["protocol"]["splits"]["test"] == 7
    assert "protocol dense-80" in comparison.results["protocol"]["score"]


def test_what_is_learned_from_video_without_labels_is_not_called_labels(tmp_path, scripted, other, capsys):
    made = run("depth", VIDEO, tmp_path / "cmp", other, labels=(3, 6), supervision="mono", progress=True)
    said = [made.sentence, *made.results["sentences"], *made.results["cautions"], made.table()]
    page = re.sub(r"<(script|style).*?</\1>|<pre>.*?</pre>", "", made.report.read_text(), flags=re.DOTALL)
    page = re.sub(r"<[^>]*>", "", page)
    for text in [*said, page, capsys.readouterr().err]:
        assert not re.search(r"label", text.replace("with labels", "")), "ImageNet's are"
    assert "With 3 samples" in made.sentence
    assert "trained on the same 3 or 6 samples of the video, 3 times" in page
    again = Comparison.open(tmp_path / "cmp")
    assert again.measure.learned == "sample"


def test_a_comparison_goes_on_and_one_of_another_task_is_refused(tmp_path, scripted, other):
    run("detection", OBJECTS, tmp_path / "cmp", other, seeds=2)
    run("detection", OBJECTS, tmp_path / "cmp", other, seeds=3)
    assert len((tmp_path / "cmp" / "calls.log").read_text().splitlines()) == 2 * 2 * 3
    with pytest.raises(gp.RunFolderError, match="task = 'detection', not 'segmentation'"):
        run("segmentation", OBJECTS, tmp_path / "cmp", other)


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        (
            "depth",
            {"supervision": "mono", "modes": "full,frozen"},
            "frozen, which goes with --supervision labels",
        ),
        ("depth", {"lr": "1e-4,1e-3"}, "chosen on the held-out frames"),
        ("depth", {"supervision": "stereo", "modes": "frozen"}, "with --supervision labels only"),
        ("segmentation", {"protocol": "dense-80"}, "belongs to --task depth"),
        ("segmentation", {"supervision": "mono"}, "belongs to --task depth"),
        ("detection", {"evaluate_data": "somewhere"}, "belongs to --task depth"),
    ],
)
def test_what_a_task_does_not_know_is_refused(tmp_path, scripted, other, task, options, said):
    with pytest.raises(OptionError, match=said):
        run(task, VIDEO if task == "depth" else OBJECTS, tmp_path / "cmp", other, **options)
    assert not (tmp_path / "cmp").exists()


def test_images_without_objects_or_depth_are_told(tmp_path, scripted, other):
    for kind in ("images", "labels"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for k in range(6):
            values = np.random.default_rng(k).integers(0, 2, (64, 64), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / "data" / kind / f"{k}.png")
    (tmp_path / "data" / "classes.txt").write_text("road\ncar\n")
    with pytest.raises(DataError, match="no boxes"):
        run("detection", tmp_path / "data", tmp_path / "cmp", other, labels=2)


def test_every_task_says_what_a_report_needs():
    assert set(CONTESTS) == {"segmentation", "detection", "depth"}
    for contest in CONTESTS.values():
        assert isinstance(contest, Contest)
        assert contest.measure.key
        assert contest.words.score
        assert contest.modes[0] == "full"


@pytest.mark.slow
def test_detectors_and_depth_networks_are_really_trained_and_compared(tmp_path, other):
    words = [
        "--labels",
        "4",
        "--seeds",
        "2",
        "--steps",
        "3",
        "--preset",
        "tiny",
        "--jobs",
        "1",
        "--size",
        "64x96",
    ]
    inits = ["--inits", f"random,{other}", "--pictures", "1"]
    heads = ["--settings", "channels=8", "regions=8"]
    common = ["compare", *inits, *words, "--out"]
    assert (
        cli.main([*common, str(tmp_path / "objects"), "--task", "detection", "--data", OBJECTS, *heads]) == 0
    )
    comparison = Comparison.open(tmp_path / "objects")
    assert len(comparison.results["trials"]) == 2 * 2 * 2
    assert all(0 <= one["box_map"] <= 1 for one in comparison.results["trials"])
    assert (
        tmp_path / "objects" / comparison.results["pictures"][0]["predictions"]["full"]["random"]
    ).is_file()
    modes = ["--modes", "full,frozen"]
    assert cli.main([*common, str(tmp_path / "depth"), "--task", "depth", "--data", VIDEO, *modes]) == 0
    comparison = Comparison.open(tmp_path / "depth")
    assert all(one["abs_rel"] > 0 for one in comparison.results["trials"])
    assert {one["mode"] for one in comparison.results["trials"]} == {"full", "frozen"}
    (shown,) = comparison.results["pictures"]
    assert set(shown["predictions"]) == {"full", "frozen"}
    assert set(shown["predictions"]["frozen"]) == {one["name"] for one in comparison.results["inits"]}
    sizes = {
        name: Image.open(tmp_path / "depth" / file).size
        for name, file in (("truth", shown["truth"]), *shown["predictions"]["frozen"].items())
    }
    assert sizes["random"][0] == sizes["truth"][0]
    assert sizes["random"][1] > 2 * sizes["truth"][1]  # depth, its errors, and what the colours mean
    assert "below each prediction is its relative error" in comparison.report.read_text()
    assert (tmp_path / "depth" / "figures" / "inits-frozen.png").is_file()
