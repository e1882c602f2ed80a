from __future__ import annotations

import pytest
import yaml

from geopretrain import manifest
from geopretrain.config.analysis_options import CkaOptions
from geopretrain.config.options import (
    CompareOptions,
    EvaluateOptions,
    FinetuneDepthOptions,
    FinetuneSegmentationOptions,
    PretrainOptions,
)
from geopretrain.config.run_options import PredictOptions
from geopretrain.config.saved import as_saved, check_saved, read_saved, reserve_saved, write_saved
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.folders import owned


def test_options_come_back_as_they_were(tmp_path):
    options = PretrainOptions(
        "scdepth",
        data=["a", "b"],
        out=tmp_path,
        size=(96, 128),
        subset="5%",
        settings={"version": 2},
        lr=1e-4,
        overwrite=True,
        progress=False,
    )
    path = write_saved(tmp_path, as_saved("pretrain", options, batch_size=12))
    assert path == tmp_path / "config.yaml"
    written = yaml.safe_load(path.read_text())
    assert list(written)[:2] == ["geopretrain", "command"]
    assert written["size"] == "96x128"
    assert not {"resume", "overwrite", "progress"} & set(written), "these are of the call, not of the run"
    read = PretrainOptions(**read_saved(tmp_path, "pretrain", PretrainOptions))
    assert (read.method, read.data, read.size, read.subset) == ("scdepth", ["a", "b"], (96, 128), 0.05)
    assert (read.settings, read.lr, read.batch_size, read.steps) == ({"version": 2}, 1e-4, 12, None)


def test_words_for_initialisations_stay_words_beside_folders_that_are_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("imagenet", "kitti"):
        (tmp_path / name).mkdir()
    kept = as_saved("pretrain", PretrainOptions("monodepth", data=["imagenet"], out="run", init="imagenet"))
    assert (kept["data"], kept["init"]) == ([str(tmp_path / "imagenet")], "imagenet")
    kept = as_saved("analyse cka", CkaOptions(["imagenet", "kitti"], data="kitti", out="maps"))
    assert kept["inits"] == ["imagenet", str(tmp_path / "kitti")]


def test_lists_behind_a_path_are_kept_absolute_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kitti").mkdir()
    (tmp_path / "train.txt").touch()
    options = PretrainOptions("monodepth", data=["kitti?split=train.txt&depth=raw"], out="run")
    kept = as_saved("pretrain", options)["data"]
    assert kept == [f"{tmp_path / 'kitti'}?split={tmp_path / 'train.txt'}&depth=raw"]


def test_paths_that_exist_are_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir()
    options = EvaluateOptions("store", "synthetic:street", split_file="nowhere.txt")
    saved = as_saved("evaluate", options)
    assert saved["run"] == str(tmp_path / "store")
    assert (saved["data"], saved["split_file"]) == ("synthetic:street", "nowhere.txt")


def test_a_folder_of_another_command_keeps_its_own_configuration(tmp_path):
    write_saved(tmp_path, as_saved("pretrain", PretrainOptions(data="d", out="o")))
    path = write_saved(tmp_path, as_saved("predict", PredictOptions("run", "a.png", tmp_path)))
    assert path == tmp_path / "predict.yaml"
    assert read_saved(tmp_path, "predict", PredictOptions)["inputs"] == "a.png"
    assert read_saved(tmp_path, "pretrain", PretrainOptions)["data"] == "d"


@pytest.mark.parametrize("content", ["mine: yes\n", "command: predict\ninputs: a.png\n", "[", "link"])
def test_a_file_of_the_user_under_our_name_is_never_replaced(tmp_path, content):
    write_saved(tmp_path, as_saved("pretrain", PretrainOptions(data="d", out="o")))
    path = tmp_path / "predict.yaml"
    path.symlink_to("nowhere") if content == "link" else path.write_text(content)
    options = as_saved("predict", PredictOptions("run", "a.png", tmp_path))
    for call in (lambda: check_saved(tmp_path, "predict"), lambda: write_saved(tmp_path, options)):
        with pytest.raises(RunFolderError, match=r"holds a config\.yaml and a predict\.yaml that are not"):
            call()
    assert path.is_symlink() if content == "link" else path.read_text() == content


def test_where_files_are_listed_the_list_decides_and_what_older_versions_wrote_is_ours(tmp_path):
    options = as_saved("predict", PredictOptions("run", "a.png", tmp_path))
    with owned(tmp_path):
        assert write_saved(tmp_path, options).name == "config.yaml"
        assert write_saved(tmp_path, options).name == "config.yaml"
    (tmp_path / ".geopretrain" / "files.jsonl").write_text("")  # now it is a copy that the user has made
    assert write_saved(tmp_path, options).name == "predict.yaml"
    (tmp_path / ".geopretrain" / "files.jsonl").unlink()
    with owned(tmp_path):
        reserve_saved(tmp_path, "predict")
        assert manifest.listed(tmp_path) == ["config.yaml"]
        assert write_saved(tmp_path, options).name == "config.yaml"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("command: finetune", "is of a finetune segmentation run, not of pretrain"),
        ("command: pretrain\nstep: 3", "Unknown setting 'step' in .*Did you mean 'steps'?"),
        ("- a\n- b", "is not a list of settings"),
        ("", "is not a list of settings"),
        ("a: [", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_configurations_that_do_not_fit(tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_saved(tmp_path / "c.yaml", "pretrain", PretrainOptions)


# ---- what version 0.1 wrote
OLD_PRETRAIN = """\
geopretrain: 0.1.0
command: pretrain
method: monodepth
data: street
out: /runs/depth
backbone: resnet18
init: random
preset: short
size: 64x96
steps: 6
batch_size: 2
lr: 0.0003
schedule: warm_cosine
warmup_steps: 1
subset: 50%
subset_seed: 0
settings: {supervision: both, scales: 2}
precision: bf16
channels_last: true
compile_loss: false
seed: 0
validate_every: 1
checkpoint_every: 3
log_every: 2
device: cpu
threads: 1
"""
OLD_FINETUNE = """\
geopretrain: 0.1.0
command: finetune
task: segmentation
data: synthetic:street
out: /runs/seg
init: /runs/depth
backbone: resnet18
labels: 4
mode: full
preset: short
size: 64x96
iterations: 6
batch_size: 2
lr: 0.001
schedule: cosine
warmup_steps: 1
seed: 0
subset_seed: 0
curve_points: [1, 3, 6]
evaluate_on: test
as_released: false
settings: {}
precision: bf16
channels_last: true
checkpoint_every: 3
log_every: 2
device: cpu
threads: 1
"""
OLD_COMPARISON = """\
geopretrain: 0.1.0
command: compare
data: synthetic:street
backbone: resnet18
labels: 16
subset_seed: 0
size: 64x96
preset: short
iterations: 50
batch_size: 8
precision: auto
inits: {random: random, depth: 0123456789abcdef}
modes: [full, frozen]
seeds: [0, 1]
lr: [0.001]
search_seeds: []
curve: [8, 17, 25, 33, 42, 50]
pictures: [1, 5]
device: cpu
"""


def old(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path


def test_an_old_pretraining_is_read(tmp_path):
    options = PretrainOptions(**read_saved(old(tmp_path, OLD_PRETRAIN), "pretrain", PretrainOptions))
    assert (options.steps, options.subset, options.size, options.threads) == (6, 0.5, (64, 96), 1)


def test_an_old_transfer_is_read(tmp_path):
    saved = read_saved(old(tmp_path, OLD_FINETUNE), "finetune segmentation", FinetuneSegmentationOptions)
    options = FinetuneSegmentationOptions(**saved)
    assert (options.steps, options.curve_points, options.labels) == (6, (1, 3, 6), 4)


def test_an_old_transfer_to_depth_is_read_although_it_was_kept_as_pretraining(tmp_path):
    saved = read_saved(old(tmp_path, OLD_PRETRAIN), "finetune depth", FinetuneDepthOptions)
    options = FinetuneDepthOptions(**saved)
    assert (options.supervision, options.settings, options.steps) == ("both", {"scales": 2}, 6)


def test_an_old_comparison_is_read_but_for_its_initialisations(tmp_path):
    saved = read_saved(old(tmp_path, OLD_COMPARISON), "compare", CompareOptions)
    options = CompareOptions(**{"inits": "random,runs/depth", "out": tmp_path, **saved})
    assert (options.steps, options.curve_points, options.pictures) == (50, (8, 17, 25, 33, 42, 50), 2)
    assert (options.seeds, options.lr, options.search_seeds) == ((0, 1), (0.001,), 2)
