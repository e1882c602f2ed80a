"""Every file that is read back is checked: one sentence that names it, or it can be used; nothing else."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch
from damage import CONTENTS, changed, cut, damaged
from fake_comparison import fake_comparison
from making_clips import sliding_frames, write_images

import geopretrain
from geopretrain.config.options import PretrainOptions
from geopretrain.config.saved import read_saved
from geopretrain.data.dataset import Fields
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.prepare.source_summary import read_summary
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.errors import DataError, RunFolderError, UserError
from geopretrain.report import build_report
from geopretrain.report.drawing import Drawing
from geopretrain.runs.folder import RunFolder
from geopretrain.runs.loading import load_task
from geopretrain.study.comparison import Comparison
from geopretrain.study.inits import read_inits
from geopretrain.study.protocol import describe_inits
from geopretrain.training.checkpoint import read_checkpoint
from geopretrain.weights import (
    ancestors,
    parse_init,
    read_init,
    read_metadata,
    read_normalisation,
    read_tensors,
)

SIZE = (64, 96)
BACKBONE = "test_resnet"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("damage")
    write_images(root / "a", sliding_frames(12, 3.0, SIZE))
    return prepare(root / "a", root / "store", size=SIZE, holdout=0.2, progress=False).path


@pytest.fixture(scope="module")
def trained(store):
    return geopretrain.pretrain(
        data=store,
        out=store.parent / "run",
        backbone=BACKBONE,
        **{"steps": 2, "batch_size": 2, "threads": 1, "device": "cpu", "progress": False},
    ).path


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def outcome(read):
    """Return the sentence that refuses, empty where it was read; anything else fails the test."""
    sentence = ""
    try:
        read()
    except UserError as error:
        sentence = str(error)
    assert "\n" not in sentence
    return sentence


def all_refused_or_read(file, read, every=1):
    """Damage a file in every way; return how often it was refused."""
    refusals = 0
    for what in damaged(file, every):
        try:
            sentence = outcome(read)
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} after {what}")
        assert not sentence or file.name in sentence or str(file.parent) in sentence, (sentence, what)
        refusals += bool(sentence)
    return refusals


def use_store(path):
    store = FrameStore.open(path)
    store.fingerprint()
    store.describe().in_words(remarks=True)
    store.doubts()
    for split in store.splits().values():
        store.names(split)
        batch = store.read(split)
        assert torch.isfinite(batch.intrinsics).all()
    store.depth_frames()


def test_store(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "store")
    assert all_refused_or_read(copy / "store.json", lambda: use_store(copy)) > 200
    use_store(copy)
    all_refused_or_read(copy / "summary.json", lambda: read_summary(copy))


def change(store, **fields):
    index = json.loads((store / "store.json").read_text())
    index["clips"][0] |= fields
    (store / "store.json").write_text(json.dumps(index))


GOOD = [[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]]


def camera(fx=80.0, fy=80.0, cx=47.5, cy=31.5):
    return [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "fields",
    [
        *({"intrinsics": camera(fx=focal)} for focal in (0, -80.0, 1e-9, 1e30, float("nan"), float("inf"))),
        *({"intrinsics": camera(fy=focal)} for focal in (0, 1e-9, 1e30)),
        *({"intrinsics": camera(cx=x)} for x in (1e6, -1e6, float("nan"))),
        {"intrinsics": [[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 0.0]]},
        {"intrinsics": [[80.0, 0.0, 47.5], [0.0, 80.0, 31.5]]},
        {"intrinsics": [[80.0, 0.0], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]]},
        *({"stride": stride} for stride in (0, -1, 1.5, "1", None)),
        {"first_row": 1},
        {"first_row": -1},
        {"frames": [3, 2, 1]},
        {"frames": [0, 10**15]},
        {"targets": [1, 1, 2]},
        {"targets": [10**9]},
        {"train_end": 99},
        {"target_motion": []},
        {"original_size": [64, -96]},
    ],
)
def test_what_a_store_cannot_hold_is_refused(store, tmp_path, fields):
    copy = shutil.copytree(store, tmp_path / "store")
    change(copy, **fields)
    with pytest.raises(DataError, match=r"store.json' is damaged: .*(again|copy)"):
        FrameStore.open(copy)


def test_an_odd_camera_is_told(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "store")
    assert FrameStore.open(copy).doubts() == []
    for odd, words in ((camera(fx=5.0), "168 degrees"), (camera(cx=-5.0), "principal point")):
        change(copy, intrinsics=odd)
        (doubt,) = FrameStore.open(copy).doubts()
        assert words in doubt


def test_pseudo_depth(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "store")
    opened = FrameStore.open(copy)
    from geopretrain.data.dataset import PseudoDepthInfo
    from geopretrain.data.store.pseudo_depth import writing_pseudo_depth

    info = PseudoDepthInfo("teacher", "depth", "metric")
    with writing_pseudo_depth(opened, info, "teacher", overwrite=False) as writer:
        writer.append(torch.ones(len(opened), *SIZE).numpy())
        writer.publish()

    def read():
        store = FrameStore.open(copy)
        if store.has("pseudo_depth"):
            store.read([0], Fields(names=("pseudo_depth",)))

    assert all_refused_or_read(copy / "pseudo_depth" / "info.json", read) > 40


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_lineage(run, every):
    def read():
        init = parse_init(run)
        ancestors(init)
        init.trained_size()
        read_init(init, BACKBONE)
        load_task(RunFolder.open(run))
        describe_inits(read_inits(["random", str(run)]))

    assert all_refused_or_read(run / "lineage.json", read, every) > 100 / every
    read()


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_results(run, every):
    results = json.loads((run / "results.json").read_text())
    errors = {"abs_rel": 0.2, "rmse": 3.0, "a1": 0.7}
    depth = {**errors, "images": 9, "protocol": "dense-80-median", "baselines": {"constant": errors}}
    (run / "results.json").write_text(json.dumps({**results, "depth": {"held_out": depth}}))

    def read():
        folder = RunFolder.open(run)
        assert isinstance(folder.trained_steps, int)
        describe_inits(read_inits(["random", str(run)]))

    assert all_refused_or_read(run / "results.json", read, every) > 60 / every


def test_metrics(run):
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines()
    for odd in ("[]", "5", "null", '"x"', "{}", '{"kind": 5, "step": 1}', '{"kind": "train"}', "{", "\x00"):
        for at in range(len(lines) + 1):
            file.write_text("\n".join([*lines[:at], odd, *lines[at:]]) + "\n")
            sentence = outcome(lambda: (RunFolder(run).metrics("train"), RunFolder(run).cut_metrics(1)))
            assert not sentence or f"line {at + 1}" in sentence
    file.write_text("\n".join([*lines, '{"kind": "tr']))
    assert len(RunFolder(run).metrics()) == len(lines), "a line that a kill has torn is no record"


def test_configuration(run):
    file = run / "config.yaml"
    whole = file.read_text()
    bad = (
        "steps: [",
        "size: 3x",
        "size: {a: 1}",
        "steps: x",
        "- a",
        "? [1, 2]\n: 3",
        "a: 2020-99-99",
        "&a [*a]",
    )
    for content in (*(b.decode("latin-1") for b in CONTENTS), *bad, *(f"{whole}\n{line}\n" for line in bad)):
        file.write_text(content)

        def read():
            folder = RunFolder(run)
            if folder.is_ours():
                assert folder.size is None or len(folder.size) == 2
                assert folder.kind is not None
            read_saved(run, "pretrain", PretrainOptions)

        outcome(read)
    file.write_text(whole.replace("batch_size: 2", "batch_size: -2"))
    with pytest.raises(UserError, match=r"config.yaml' cannot be used: batch_size must be"):
        geopretrain.pretrain(resume=run)


@pytest.mark.parametrize("report", [False, pytest.param(True, marks=pytest.mark.slow)])  # takes long
def test_comparison(tmp_path, monkeypatch, report):
    comparison = fake_comparison(tmp_path / "cmp", seeds=2)

    def read():
        found = Comparison.open(tmp_path / "cmp")
        found.table()
        found.csv()
        if report:
            build_report(found, tmp_path / "page.html")

    file = comparison.path / "comparison.json"
    content = json.loads(file.read_text())
    content["trials"] = content["trials"][:1]
    content["pictures"] = content["pictures"][:1]
    content["summary"] = content["summary"][:3]
    file.write_text(json.dumps(content))
    monkeypatch.setattr("geopretrain.report.build.drawing", lambda *_, **__: Drawing("{}", "", 1, 0))
    monkeypatch.setattr("plotly.offline.get_plotlyjs", str)
    assert all_refused_or_read(file, read, every=1 if report else 5) > 50


def tensors_of(file):
    read_metadata(file)
    read_normalisation(file)
    return read_tensors(file)


def test_weights(run):
    file = run / "model.safetensors"
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    small = {name: header[name] for name in ["__metadata__", *list(header)[1:3]]}
    for wrong in [*changed(small)][::3]:
        text = json.dumps({**header, **wrong} if isinstance(wrong, dict) else wrong).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
        outcome(lambda: tensors_of(file))
    for wrong in (*CONTENTS, *cut(whole), b"\xff" * 8 + whole[8:]):
        file.write_bytes(wrong)
        assert "model.safetensors" in outcome(lambda: tensors_of(file))
    for name in ("w.pth", "w.pt", "w.ckpt", "w.bin"):
        for wrong in (*CONTENTS, *cut(whole)):
            (run / name).write_bytes(wrong)
            assert name in outcome(lambda: read_tensors(run / name))  # noqa: B023


class Shell:
    def __reduce__(self):
        return print, ("this must never run",)


@pytest.mark.parametrize("read", [read_checkpoint, read_tensors], ids=["checkpoint", "weights"])
@pytest.mark.parametrize("form", ["pickle", "torch", "old torch"])
def test_code_in_a_file_is_not_run_and_nothing_suggests_to(tmp_path, capsys, read, form):
    file = tmp_path / "last.ckpt"
    if form == "pickle":
        file.write_bytes(pickle.dumps({"state_dict": Shell()}))
    else:
        torch.save({"state_dict": Shell()}, file, _use_new_zipfile_serialization=form == "torch")
    sentence = outcome(lambda: read(file))
    assert "last.ckpt" in sentence
    assert "weights_only" not in sentence
    assert "torch.load" not in sentence
    assert "this must never run" not in capsys.readouterr().out


def wrong_checkpoints(whole):
    """Yield checkpoints that are not those of the run."""
    yield from ({}, [], 5, None, "x", torch.zeros(3))
    for name in whole:
        yield {key: value for key, value in whole.items() if key != name}
        for odd in (None, -1, "x", [], {}, float("nan"), torch.zeros(2)):
            yield {**whole, name: odd}
    state = whole["state_dict"]
    first, second, *_ = (name for name, value in state.items() if value.ndim == 4)
    yield {**whole, "state_dict": {**state, first: state[first][:1]}}
    yield {**whole, "state_dict": {**state, first: state[first] * float("nan")}}
    yield {**whole, "state_dict": {**state, first: 5}}
    yield {**whole, "state_dict": {name: value for name, value in state.items() if name != second}}
    yield {**whole, "state_dict": {**state, "more": state[first]}}
    for step in (10**12, 1.5, "1", True):
        yield {**whole, "global_step": step}
    optimizer = whole["optimizer_states"][0]
    moments = {key: dict(value) for key, value in optimizer["state"].items()}
    moments[0]["exp_avg"] = torch.zeros(3)
    yield {**whole, "optimizer_states": [{**optimizer, "state": moments}]}
    yield {**whole, "optimizer_states": [{**optimizer, "state": {}}]}
    yield {**whole, "optimizer_states": [{**optimizer, "param_groups": []}]}
    yield {**whole, "callbacks": {"Recorder": {}}}
    yield {**whole, "callbacks": {"Recorder": {"averages": {"sums": 5}, "said": 3}}}


def test_checkpoints_that_are_none(trained, tmp_path):
    file = tmp_path / "last.ckpt"
    content = (trained / "checkpoints" / "last.ckpt").read_bytes()
    for wrong in (*CONTENTS, *cut(content)):
        file.write_bytes(wrong)
        assert "last.ckpt" in outcome(lambda: read_checkpoint(file))
    for wrong in ({}, [], 5, None, {"state_dict": {}}, {"state_dict": {}, "global_step": 1}):
        torch.save(wrong, file)
        assert "last.ckpt' is damaged" in outcome(lambda: read_checkpoint(file))


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: {**whole, "global_step": 10**9},
        lambda whole: {**whole, "global_step": 0},
        lambda whole: {**whole, "optimizer_states": []},
        lambda whole: {**whole, "callbacks": {"Recorder": {}}},
        lambda whole: {**whole, "state_dict": {"task.x": torch.zeros(1)}},
    ],
)
def test_a_checkpoint_of_another_training_is_refused(run, change):
    file = run / "checkpoints" / "last.ckpt"
    whole = torch.load(file, weights_only=True)
    torch.save(change({**whole, "global_step": 1}), file)
    (run / "results.json").unlink()
    with pytest.raises(RunFolderError, match=r"last.ckpt' is damaged.*--overwrite"):
        geopretrain.pretrain(resume=run, progress=False)


@pytest.mark.slow
def test_checkpoints(trained, tmp_path):
    """A run that goes on from a damaged checkpoint says so, and does not go on."""
    run = shutil.copytree(trained, tmp_path / "run")
    file = run / "checkpoints" / "last.ckpt"
    whole = torch.load(file, weights_only=True)
    (run / "results.json").unlink()
    refused = total = 0
    for wrong in wrong_checkpoints({**whole, "global_step": 1}):
        torch.save(wrong, file)
        total += 1
        refused += bool(outcome(lambda: geopretrain.pretrain(resume=run, progress=False)))
        (run / "results.json").unlink(missing_ok=True)
    assert refused > total / 2
