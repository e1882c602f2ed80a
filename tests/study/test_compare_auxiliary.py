"""What is learned beside the labels is the same for all initialisations of a comparison."""

from __future__ import annotations

import pytest
import torch

import geopretrain as gp
from geopretrain.config.options import CompareOptions
from geopretrain.errors import ConfigError, OptionError, RunFolderError
from geopretrain.networks import Backbone
from geopretrain.study.folder import prepare_folder
from geopretrain.study.plan import make_plan
from geopretrain.study.protocol import describe_protocol
from geopretrain.weights import save_tensors


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores of video, and beside them the weights of an initialisation."""
    folder = tmp_path_factory.mktemp("video")
    torch.manual_seed(3)
    state = Backbone("test_resnet").model.state_dict()
    save_tensors(folder / "init.safetensors", {f"backbone.{name}": value for name, value in state.items()})
    specs = [f"synthetic:street?frames=12&seed={seed}" for seed in (1, 2)]
    return [gp.prepare(s, folder / s[-1], size=(64, 96), progress=False).path for s in specs]


def options(out, store, **more):
    inits = ["random", str(store.parent / "init.safetensors")]
    usual = {"inits": inits, "data": "synthetic:street", "out": out, "labels": 4, "seeds": 2, "steps": 2}
    usual |= {"backbone": "test_resnet", "size": (64, 96), "device": "cpu", "progress": False}
    usual |= {"auxiliary": "monodepth", "auxiliary_data": store, "auxiliary_weight": 0.2}
    return CompareOptions(**{**usual, **more})


def test_every_trial_that_trains_its_encoder_gets_it(tmp_path, stores):
    plan = make_plan(options(tmp_path / "cmp", stores[0]))
    beside = {
        (t.mode, t.settings.get("auxiliary"), t.settings.get("auxiliary_weight")) for t in plan.trials([])
    }
    assert beside == {("full", "monodepth", 0.2), ("frozen", None, None)}
    first, again = (make_plan(options(tmp_path / "cmp", stores[0])).check() for _ in range(2))
    assert first == again
    other = make_plan(options(tmp_path / "cmp", stores[1])).check()
    assert other != first != plan.data.fingerprint(plan.fields)
    prepare_folder(plan.out, plan.config, plan.weights(), first, overwrite=False)
    with pytest.raises(RunFolderError, match="or what is learned from beside them"):
        prepare_folder(plan.out, plan.config, plan.weights(), other, overwrite=False)


def test_images_are_mixed_in_every_mode(tmp_path, stores):
    mixing = {"auxiliary": None, "auxiliary_data": None, "auxiliary_weight": 1.0}
    mixing |= {"depth_from": "someone/depth", "settings": {"depth_mix": 0.5}, "batch_size": 2}
    plan = make_plan(options(tmp_path / "cmp", stores[0], **mixing))
    assert {(t.mode, t.settings["depth_from"]) for t in plan.trials([])} == {
        ("full", "someone/depth"),
        ("frozen", "someone/depth"),
    }
    assert plan.check() != plan.data.fingerprint(plan.fields), "other depth makes other trials"
    mixing |= {"settings": {}}
    with pytest.raises(OptionError, match="depth_from says nothing alone"):
        make_plan(options(tmp_path / "cmp", stores[0], **mixing)).check()


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"modes": "frozen"}, OptionError, "in mode frozen it learns nothing"),
        ({"task": "detection"}, OptionError, "auxiliary belongs to --task segmentation"),
        (
            {"task": "detection", "depth_from": "run"}
            | dict.fromkeys(("auxiliary", "auxiliary_data"))
            | {"auxiliary_weight": 1.0},
            OptionError,
            "depth_from belongs to --task segmentation",
        ),
        (
            {"task": "depth", "data": "synthetic:street?worlds=2&frames=24"},
            OptionError,
            "--task segmentation",
        ),
        ({"auxiliary_data": None}, OptionError, "auxiliary_data is missing"),
        ({"auxiliary": "nothing"}, ConfigError, "Unknown auxiliary"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, stores, more, error, words):
    with pytest.raises(error, match=words):
        make_plan(options(tmp_path / "cmp", stores[0], **more))


def test_the_protocol_says_what_was_learned_beside_the_labels(tmp_path, stores):
    plan = make_plan(options(tmp_path / "cmp", stores[0]))
    found = describe_protocol(plan, [{"run": str(tmp_path / "none"), "seconds": 1.0}])
    assert (found["auxiliary"], found["auxiliary_weight"]) == ("monodepth", plan.config["auxiliary_weight"])
    assert found["auxiliary_batch_size"] is None, "it was left away"


@pytest.mark.slow
def test_a_comparison_with_it(tmp_path, stores):
    given = {"jobs": 1, "threads": 1, "precision": "fp32", "batch_size": 2, "pictures": 1, "modes": "full"}
    usual = vars(options(tmp_path / "cmp", stores[0], **given))
    comparison = gp.compare(**{name: value for name, value in usual.items() if not name.startswith("_")})
    assert comparison.results["protocol"]["auxiliary"] == "monodepth"
    assert len(comparison.results["trials"]) == 4
    assert "beside the labels" in comparison.report.read_text()
