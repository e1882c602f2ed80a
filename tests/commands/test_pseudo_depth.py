"""Teachers: models of transformers saved locally, runs of ours; what they see is stored beside the frames."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from geopretrain import cli
from geopretrain.commands.pretrain import pretrain
from geopretrain.commands.pseudo_depth import pseudo_depth
from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.summary import store_in_words
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.store.pseudo_depth import FOLDER, INFO_FILE, PseudoDepthInfo, usable_values
from geopretrain.errors import ConfigError, DataError, RunFolderError, WeightsError
from geopretrain.prediction.teachers import _given_by, load_teacher
from geopretrain.runs.folder import RunFolder
from geopretrain.tasks.building import build_task, task_config
from geopretrain.tasks.registry import task_class
from geopretrain.weights import parse_init, save_weights

SIZE = (64, 96)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "store"
    prepare("synthetic:street?frames=14&height=64&width=96", folder, size=SIZE, progress=False)
    return folder


@pytest.fixture
def store(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "store")


@pytest.fixture(scope="module")
def depth_anything(tmp_path_factory):
    """A tiny Depth Anything with random weights that looks at 42 x 56 px: a teacher of another size."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    backbone = transformers.Dinov2Config(
        image_size=42, patch_size=14, out_indices=[1, 2], reshape_hidden_states=False, **sizes
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    folder = tmp_path_factory.mktemp("depth_anything")
    model = transformers.DepthAnythingForDepthEstimation(config)
    with torch.no_grad():  # random heads see almost nothing
        model.head.conv3.weight.mul_(1e4)
        model.head.conv3.bias.add_(0.5)
    model.save_pretrained(folder)
    processor = transformers.DPTImageProcessor(size={"height": 42, "width": 56}, ensure_multiple_of=14)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dpt(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.DPTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        backbone_out_indices=[0, 1],
        neck_hidden_sizes=[8, 8],
        reassemble_factors=[2, 1],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    folder = tmp_path_factory.mktemp("dpt")
    transformers.DPTForDepthEstimation(config).save_pretrained(folder)
    transformers.DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def make_run(folder, method="monodepth", size="64x96", **settings):
    cls = task_class(method)
    config = task_config(cls, settings, backbone="test_resnet")
    run = RunFolder.create(folder, config={"command": "pretrain", "method": method, "size": size})
    run.write_lineage({"method": method, "task": asdict(config)})
    save_weights(build_task(cls, config, parse_init("random"), seed=0)[0], run.path)
    return run


def quiet(store, teacher, **options):
    return pseudo_depth(store, teacher, progress=False, **options)


def test_a_transformers_model_sees_the_pictures_as_its_own_pipeline_does(store, depth_anything):
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    found = quiet(store, depth_anything)
    info = found.pseudo_depth
    assert (info.quantity, info.meaning) == ("disparity", "scale_shift")
    assert info.teacher == str(depth_anything)
    assert found.has("pseudo_depth")
    numbers = np.array([2, 0])
    batch = found.read(numbers, Fields(names=("pseudo_depth",)))
    assert batch.pseudo_depth.shape == (2, 1, *SIZE)
    assert batch.pseudo_depth.min() > 0
    processor = AutoImageProcessor.from_pretrained(depth_anything)
    model = AutoModelForDepthEstimation.from_pretrained(depth_anything)
    with torch.no_grad():
        outputs = model(**processor(images=list(batch.images[:, 0]), return_tensors="pt"))
    direct = processor.post_process_depth_estimation(outputs, target_sizes=[SIZE] * 2)
    for ours, theirs in zip(batch.pseudo_depth[:, 0], direct, strict=True):
        offset = (ours - theirs["predicted_depth"]).flatten()
        assert offset.max() - offset.min() < 1e-4 * ours.max()  # equal up to the free shift


def test_a_dpt_gives_disparity_and_its_meaning_can_be_said(dpt):
    images = torch.randint(0, 255, (2, 3, *SIZE), dtype=torch.uint8)
    teacher = load_teacher(dpt)
    assert teacher.info == PseudoDepthInfo(str(dpt), "disparity", "scale_shift")
    assert teacher(images).shape == (2, *SIZE)
    said = load_teacher(dpt, quantity="depth", meaning="metric").info
    assert (said.quantity, said.meaning) == ("depth", "metric")


def test_a_run_of_ours_is_a_teacher_also_at_another_size(store, tmp_path):
    run = make_run(tmp_path / "run", size="96x128")
    found = quiet(store, run.path)
    assert (found.pseudo_depth.quantity, found.pseudo_depth.meaning) == ("depth", "scale")
    depth = found.read([1], Fields(names=("pseudo_depth",))).pseudo_depth
    assert depth.shape == (1, 1, *SIZE)
    assert depth.min() >= 0.1
    assert depth.max() <= 100


def test_a_method_learns_from_what_the_teacher_saw(store, tmp_path, depth_anything):
    quiet(store, depth_anything)
    options = {"backbone": "test_resnet", "steps": 2, "batch_size": 2, "preset": "short", "progress": False}
    settings = {"target": "pseudo_depth", "loss": "ssi"}
    run = pretrain("depth_supervised", data=store, out=tmp_path / "run", settings=settings, **options)
    assert run.results["training_loss"] > 0
    with pytest.raises(ConfigError, match="needs depth"):
        pretrain(
            "depth_supervised",
            data=store,
            out=tmp_path / "l1",
            settings={"target": "pseudo_depth"},
            **options,
        )


def scdepth_learns(store, out, *options):
    """Run version 3 for three steps by the command line; return the last value of everything logged."""
    command = f"pretrain scdepth --data {store} --out {out} --backbone test_convnext --steps 3 --batch-size 2"
    settings = ["version=3", "pose_backbone=test_resnet", "enlarge=1", "flip=0"]
    plain = ["--preset", "short", "--precision", "fp32"]
    assert cli.main([*command.split(), *options, *plain, "--settings", *settings]) == 0
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return {name: value for line in lines for name, value in json.loads(line).items()}


def test_relative_disparity_teaches_scdepth_by_the_command_line(store, tmp_path, depth_anything):
    """A teacher of random weights fits nothing; the run that the network starts from fits."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert cli.main(["data", "pseudo-depth", str(store), "--teacher", str(depth_anything)]) == 0
    logged = scdepth_learns(store, first)
    assert logged["teacher_fraction"] == 1
    assert logged["aligned_fraction"] < 0.5
    teacher = ["--teacher", str(first), "--meaning", "scale_shift", "--overwrite"]
    assert cli.main(["data", "pseudo-depth", str(store), *teacher]) == 0
    assert FrameStore.open(store).pseudo_depth.quantity == "disparity"
    logged = scdepth_learns(store, second, "--init", str(first), "--lr", "1e-6")
    assert logged["aligned_fraction"] > 0.5
    assert logged["unaligned_batch"] == 0
    assert logged["normals"] > 0


def test_without_a_teacher_the_sentence_names_the_command(store):
    opened = FrameStore.open(store)
    assert opened.pseudo_depth is None
    assert not opened.has("pseudo_depth")
    with pytest.raises(DataError, match="geopretrain data pseudo-depth"):
        opened.splits(Fields(names=("pseudo_depth",)))


def test_an_interrupted_command_continues_where_it_was(store, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    whole = quiet(shutil.copytree(store, tmp_path / "other"), run.path, batch_size=2)
    original, calls = load_teacher, []

    class Stopping:
        def __init__(self, teacher, limit):
            self.teacher, self.limit, self.info = teacher, limit, teacher.info
            self.identity = teacher.identity

        def __call__(self, images):
            calls.append(len(images))
            if len(calls) > self.limit:
                raise KeyboardInterrupt
            return self.teacher(images)

    monkeypatch.setattr(
        "geopretrain.prediction.teachers.load_teacher", lambda *a, **k: Stopping(original(*a, **k), 2)
    )
    with pytest.raises(KeyboardInterrupt):
        quiet(store, run.path, batch_size=2)
    assert FrameStore.open(store).pseudo_depth is None
    values = next((store / FOLDER).glob("values_*.f32"))
    with values.open("ab") as file:
        file.write(b"torn")  # as a machine that went off in the middle of writing would leave it
    calls.clear()
    monkeypatch.setattr(
        "geopretrain.prediction.teachers.load_teacher", lambda *a, **k: Stopping(original(*a, **k), 1000)
    )
    found = quiet(store, run.path, batch_size=2)
    assert sum(calls) == len(found) - 4
    everything = np.arange(len(found))
    ours, expected = (
        s.read(everything, Fields(names=("pseudo_depth",))).pseudo_depth for s in (found, whole)
    )
    assert torch.equal(ours, expected)
    calls.clear()
    quiet(store, run.path, batch_size=2)
    assert calls == []


def test_another_teacher_replaces_the_maps_only_when_asked_to(store, tmp_path, dpt):
    run = make_run(tmp_path / "run")
    quiet(store, run.path)
    with pytest.raises(RunFolderError, match=r"already holds pseudo-depth by .*run.*--overwrite"):
        quiet(store, dpt)
    assert FrameStore.open(store).pseudo_depth.teacher == str(run.path)
    assert quiet(store, dpt, overwrite=True).pseudo_depth.teacher == str(dpt)
    assert len(list((store / FOLDER).iterdir())) == 2


@pytest.mark.parametrize("linked", ["folder", "info.json", "values"])
def test_nothing_is_written_through_a_link(store, tmp_path, linked):
    run, elsewhere = make_run(tmp_path / "run"), tmp_path / "elsewhere"
    quiet(store, run.path)
    (values,) = (store / FOLDER).glob("*.f32")
    link = {"folder": store / FOLDER, "info.json": store / FOLDER / "info.json", "values": values}[linked]
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    before = sorted(path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.glob("*")))
    with pytest.raises(RunFolderError, match="is a link"):
        quiet(store, make_run(tmp_path / "other").path, overwrite=True)
    assert sorted(path.stat().st_mtime_ns for path in (elsewhere, *elsewhere.glob("*"))) == before
    assert link.is_symlink()


def test_a_file_of_the_user_in_the_place_of_ours_is_left_alone(store, tmp_path):
    run, info = make_run(tmp_path / "run"), store / FOLDER / "info.json"
    info.parent.mkdir()
    for text, overwrite, word in (
        ('{"notes": "mine"}', False, "not written by geopretrain"),
        ('{"notes": "mine"}', True, "not written by geopretrain"),
        ("my notes", False, "--overwrite"),
    ):
        info.write_text(text)
        with pytest.raises(RunFolderError, match=word):
            quiet(store, run.path, overwrite=overwrite)
        assert info.read_text() == text
        assert [path.name for path in info.parent.iterdir()] == ["info.json"]
    assert quiet(store, run.path, overwrite=True).pseudo_depth.teacher == str(run.path)


def test_settings_of_the_user_under_our_name_are_found_before_a_map_is_made(store, tmp_path):
    run, mine = make_run(tmp_path / "run"), store / "data-pseudo-depth.yaml"
    (store / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: data prepare\n")
    mine.write_text("command: data pseudo-depth\nteacher: mine\n")
    with pytest.raises(RunFolderError, match="not written by geopretrain"):
        quiet(store, run.path, overwrite=True)
    assert not (store / FOLDER / "info.json").exists()
    mine.rename(tmp_path / "mine.yaml")
    assert quiet(store, run.path).pseudo_depth.teacher == str(run.path)
    assert quiet(store, run.path).pseudo_depth.teacher == str(run.path)


class FakeTeacher:
    identity = "fake"

    def __init__(self, values, quantity="depth", meaning="metric"):
        self.values, self.info = values, PseudoDepthInfo("fake", quantity, meaning)

    def __call__(self, images):
        return self.values(images)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (lambda images: torch.full((len(images), *SIZE), float("nan")), "NaN or infinity for frame"),
        (lambda images: torch.full((len(images), *SIZE), -1.0), "no positive depth for frame .*scale_shift"),
        (lambda images: torch.full((len(images), *SIZE), 2.0), "the same value for every pixel"),
    ],
)
def test_a_teacher_that_sees_nothing_is_refused_and_nothing_is_lost(store, monkeypatch, values, sentence):
    monkeypatch.setattr("geopretrain.prediction.teachers.load_teacher", lambda *a, **k: FakeTeacher(values))
    with pytest.raises(DataError, match=sentence):
        quiet(store, "fake")
    assert FrameStore.open(store).pseudo_depth is None
    assert FrameStore.open(store).read([0]).images.shape[1] == 3


def test_metres_that_are_none_are_said(store, monkeypatch, capsys):
    millimetres = lambda images: 5000 + 1000 * images[:, 0].float()
    monkeypatch.setattr(
        "geopretrain.prediction.teachers.load_teacher", lambda *a, **k: FakeTeacher(millimetres)
    )
    pseudo_depth(store, "fake")
    assert "median depth is" in capsys.readouterr().out


def test_a_new_preparation_forgets_the_maps_of_the_old_one(store, tmp_path):
    found = quiet(store, make_run(tmp_path / "run").path)
    assert "Pseudo-depth: depth up to one unknown factor, by" in store_in_words(found)
    anew = prepare(
        "synthetic:street?frames=12&height=64&width=96", store, size=SIZE, overwrite=True, progress=False
    )
    assert anew.pseudo_depth is None
    assert not (store / FOLDER).exists()


def test_maps_of_an_earlier_preparation_or_damaged_ones_are_refused(store, tmp_path):
    quiet(store, make_run(tmp_path / "run").path)
    info_file = store / FOLDER / INFO_FILE
    info = json.loads(info_file.read_text())
    info_file.write_text(json.dumps(info | {"store": "another"}))
    with pytest.raises(DataError, match="earlier preparation"):
        FrameStore.open(store).read([0], Fields(names=("pseudo_depth",)))
    info_file.write_text(json.dumps(info))
    with (store / FOLDER / info["file"]).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="is damaged: 100 bytes"):
        _ = FrameStore.open(store).pseudo_depth


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 5.0), (-3.0, 2.0), (0.5, 7.0), (0.0, 0.0), (-2.0, -2.0), (0.0, 1e-9)]
)
def test_values_of_unknown_offset_stay_above_zero_and_in_order(low, high):
    values = np.linspace(low, high, 24, dtype=np.float32).reshape(1, 4, 6)
    stored = usable_values(values, PseudoDepthInfo("t", "disparity", "scale_shift"), ["f"])
    assert stored.min() > 0
    steps = np.diff(stored.ravel())
    assert (steps >= 0).all()
    assert np.ptp(steps) <= 1e-5 * max(high - low, 1e-30)


def test_disparity_of_known_offset_is_stored_as_depth():
    values = np.array([[[0.5, 0.1, 0.0, -1.0]]], np.float32)
    stored = usable_values(values, PseudoDepthInfo("t", "disparity", "metric"), ["f"])
    np.testing.assert_allclose(stored, [[[2, 10, 0, 0]]])


def test_what_is_no_teacher_is_said_in_a_sentence(store, tmp_path, dpt, monkeypatch):
    flow = make_run(tmp_path / "flow", "optical_flow")
    empty = tmp_path / "empty"
    empty.mkdir()
    for teacher, error, sentence in (
        (flow.path, ConfigError, "trained for optical_flow and gives no depth"),
        (empty, WeightsError, "neither a run of ours nor a folder of a transformers model"),
        (tmp_path / "nothing", WeightsError, "does not exist"),
        (None, ConfigError, "teacher is missing"),
    ):
        with pytest.raises(error, match=sentence):
            quiet(store, teacher)
    with pytest.raises(
        ConfigError,
        match=r"meaning must be one of metric, scale, scale_shift, .*Did you mean 'metric'",
    ):
        quiet(store, dpt, meaning="metrik")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"could not be fetched .*hf download somebody/depth --local-dir"):
        quiet(store, "somebody/depth")


def test_weights_without_a_depth_head_are_refused(store, tmp_path, dpt):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(dpt, tmp_path / "headless")
    tensors = load_file(broken / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    save_file(kept, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="it would answer at random"):
        quiet(store, broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="holds no usable depth model"):
        quiet(store, broken)


def test_a_head_on_dinov2_must_say_what_it_gives():
    config = SimpleNamespace(model_type="dpt", backbone_config=SimpleNamespace(model_type="dinov2"))
    assert _given_by(config) is None


def test_the_command_line_runs_it(store, tmp_path, capsys):
    run = make_run(tmp_path / "run")
    assert cli.main(["data", "pseudo-depth", str(store), "--teacher", str(run.path)]) == 0
    assert "maps: depth up to one unknown factor, by" in capsys.readouterr().out
