from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from geopretrain import files
from geopretrain.errors import RunFolderError
from geopretrain.runs.folder import RunFolder

CONFIG = {"command": "pretrain", "data": "store", "steps": 10, "lr": 1e-3}


def make(path, **config):
    return RunFolder.create(path, config=CONFIG | config)


def everything_in(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def test_create_then_open(tmp_path):
    make(tmp_path / "a/b/run").write_lineage({"method": "monodepth"})
    run = RunFolder.open(tmp_path / "a/b/run")
    assert run.kind == "pretrain"
    assert run.config["steps"] == 10
    assert run.lineage == {"method": "monodepth"}
    assert run.figures.is_dir()
    assert not run.finished
    with pytest.raises(RunFolderError, match=r"no results.json.*--resume"):
        _ = run.results
    run.write_results({"miou": 0.5})
    assert run.finished
    assert run.results["miou"] == 0.5


def test_open_refuses_what_is_no_run(tmp_path):
    (tmp_path / "config.yaml").write_text("learning_rate: 3\n")
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(RunFolderError, match="no run folder"):
        RunFolder.open(tmp_path / "nowhere")


def test_a_folder_with_a_run_is_refused_and_every_way_out_is_named(tmp_path):
    make(tmp_path / "run")
    before = everything_in(tmp_path)
    with pytest.raises(RunFolderError, match=r"--resume.*--overwrite.*--init"):
        make(tmp_path / "run")
    assert everything_in(tmp_path) == before


def test_resume_removes_what_a_kill_left_half_written(tmp_path):
    run = make(tmp_path / "run")
    (run.figures / "depth_000002.png").write_bytes(b"whole")
    before = everything_in(run)
    for folder in (run.path, run.figures, run.checkpoint.parent):
        (folder / ".torn.png.4711.partial").write_bytes(b"half")
    RunFolder.create(run, config=CONFIG, resume=True)
    assert everything_in(run) == before


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}])
def test_a_foreign_folder_is_never_touched(tmp_path, how):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "config.yaml").write_text("not: ours")
    before = everything_in(tmp_path)
    with pytest.raises(RunFolderError, match="left alone"):
        RunFolder.create(tmp_path, config=CONFIG, **how)
    assert everything_in(tmp_path) == before


def test_overwrite_removes_the_run_and_nothing_else(tmp_path):
    run = make(tmp_path / "run")
    run.write_results({"x": 1})
    run.append_metrics({"kind": "train", "step": 1})
    files.write_text(run.figures / "depth_000001.png", "picture")
    mine = [
        run.path / "notes.txt",
        run.figures / "my_drawing.svg",
        run.path / "checkpoints/copy_of_last.ckpt",
    ]
    for path in mine:
        path.write_text("mine")
    again = RunFolder.create(run.path, config=CONFIG | {"steps": 3}, overwrite=True)
    assert again.config["steps"] == 3
    assert not again.finished
    assert again.metrics() == []
    assert not (run.figures / "depth_000001.png").exists()
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_a_finished_run_that_is_to_have_more_steps_is_reopened(tmp_path):
    run = make(tmp_path / "run")
    run.write_results({"steps": 10})
    assert run.trained_steps == 10
    run.reopen()
    assert not run.finished
    more = RunFolder.create(run, config=CONFIG | {"steps": 20}, resume=True)
    assert more.config["steps"] == 20


def test_resume_where_nothing_was_written_yet_starts(tmp_path):
    (tmp_path / "run" / "figures").mkdir(parents=True)
    (tmp_path / "run" / f".config.yaml.77{files.PARTIAL_SUFFIX}").write_text("half")
    run = RunFolder.create(tmp_path / "run", config=CONFIG, resume=True)
    assert run.config["steps"] == 10
    assert sorted(p.name for p in run.path.iterdir()) == [
        ".geopretrain",
        "checkpoints",
        "config.yaml",
        "figures",
    ]


def test_contradictions(tmp_path):
    run = make(tmp_path / "run")
    with pytest.raises(RunFolderError, match="contradict"):
        run.check_free(overwrite=True, resume=True)
    with pytest.raises(RunFolderError, match="same folder"):
        run.check_free(overwrite=True, resume=False, init=run.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        make(tmp_path / "file")


def test_metrics_survive_a_torn_line_and_are_cut_for_a_resume(tmp_path):
    run = make(tmp_path / "run")
    for step in (1, 2, 3):
        run.append_metrics({"kind": "train", "step": step})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tra')
    assert [r["step"] for r in run.metrics()] == [1, 2, 3]
    run.cut_metrics(2)
    run.append_metrics({"kind": "validation", "step": 3})
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [r["step"] for r in run.metrics("validation")] == [3]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "read-only")],
)
def test_a_disk_that_takes_nothing_gives_a_sentence_and_keeps_the_old_file(
    tmp_path, monkeypatch, code, words
):
    path = tmp_path / "results.json"
    files.write_json(path, {"old": 1})

    def refuse(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunFolderError, match=words):
        files.write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_writer_that_dies_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def die():
        with files.atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def finished(path):
    """Make a run as a training leaves it."""
    run = make(path)
    for name in (
        "lineage.json",
        "model.safetensors",
        "checkpoints/last.ckpt",
        "figures/sample_00_000005.png",
    ):
        files.write_text(run.path / name, "ours")
    (run.path / "tensorboard").mkdir()
    (run.path / "tensorboard" / "events.out.tfevents.1700000000.host.1.0").write_text("ours")
    (run.path / "evaluation").mkdir()
    score = {"run": "r", "data": "d", "protocol": "p", "images": 3}
    (run.path / "evaluation" / "d-all-p.json").write_text(json.dumps(score))
    (run.path / "evaluation" / "d-all-p.csv").write_text("ours")
    run.write_results({"steps": 10})
    return run


def as_of_an_earlier_version(run):
    (run.path / ".geopretrain" / "files.jsonl").unlink()
    (run.path / ".geopretrain").rmdir()


@pytest.mark.parametrize("old", [False, True])
def test_overwrite_leaves_what_a_user_put_beside_it(tmp_path, old):
    run = finished(tmp_path / "run")
    if old:
        as_of_an_earlier_version(run)
    mine = [
        "figures/holiday.png",
        "figures/sample.png",
        "evaluation/mine.json",
        "tensorboard/events.txt",
        "a.json",
    ]
    for name in mine:
        (run.path / name).write_text("mine")
    again = RunFolder.create(run.path, config=CONFIG, overwrite=True)
    there = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    assert there == {*mine, "config.yaml", ".geopretrain/files.jsonl"}
    assert not again.finished


def test_a_picture_of_a_user_stays_also_where_its_name_looks_like_ours(tmp_path):
    run = finished(tmp_path / "run")
    (run.figures / "sample_07_000123.png").write_text("mine")
    RunFolder.create(run.path, config=CONFIG, overwrite=True)
    assert [path.name for path in run.figures.iterdir()] == ["sample_07_000123.png"]


@pytest.mark.parametrize("old", [False, True])
def test_overwrite_follows_no_link(tmp_path, old):
    run, elsewhere = finished(tmp_path / "run"), tmp_path / "elsewhere"
    if old:
        as_of_an_earlier_version(run)
    run.figures.rename(elsewhere)
    run.figures.symlink_to(elsewhere)
    RunFolder.create(run.path, config=CONFIG, overwrite=True)
    assert (elsewhere / "sample_00_000005.png").read_text() == "ours"
    assert not run.checkpoint.exists()


@pytest.mark.parametrize("name", ["checkpoints", "evaluation"])
def test_what_decides_how_a_run_goes_on_is_not_left_behind_a_link(tmp_path, name):
    run, elsewhere = finished(tmp_path / "run"), tmp_path / "elsewhere"
    (run.path / name).rename(elsewhere)
    (run.path / name).symlink_to(elsewhere)
    before = everything_in(run)
    with pytest.raises(RunFolderError, match=rf"{name}' is a link"):
        RunFolder.create(run.path, config=CONFIG, overwrite=True)
    assert everything_in(run) == before


def test_a_folder_that_is_a_link_itself_is_written_like_any_other(tmp_path):
    run = finished(tmp_path / "run")
    (tmp_path / "link").symlink_to(run.path)
    RunFolder.create(tmp_path / "link", config=CONFIG, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert not run.checkpoint.exists()
