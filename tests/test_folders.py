"""Folders of ours that have lost what says what they hold, or were left by a killed process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from geopretrain import cli
from geopretrain.config.options import CompareOptions
from geopretrain.config.saved import as_saved
from geopretrain.errors import RunFolderError
from geopretrain.files import write_json
from geopretrain.folders import owned, tidy_finished
from geopretrain.runs.folder import RunFolder
from geopretrain.study.folder import prepare_folder

DAMAGE = [lambda path: path.unlink(), lambda path: path.write_text("{}"), lambda path: path.write_text("")]


@pytest.mark.parametrize("damage", DAMAGE, ids=["missing", "empty object", "empty"])
def test_a_run_without_readable_settings_is_not_taken_for_an_empty_folder(tmp_path, damage):
    run = RunFolder.create(tmp_path / "run", config={"command": "pretrain", "seed": 0})
    run.write_results({"steps": 1})
    (run.path / "tensorboard").mkdir()
    (run.path / "tensorboard" / "events.out.tfevents.1700000000.host.1.0").touch()  # listed nowhere
    with owned(run.path / "evaluation"):
        write_json(run.path / "evaluation" / "scores.json", {})
    damage(run.path / "config.yaml")
    with pytest.raises(RunFolderError, match=r"config.yaml is damaged or missing .*--overwrite"):
        RunFolder.create(run.path, config={"command": "pretrain", "seed": 1})
    assert run.results == {"steps": 1}
    (run.path / "notes.txt").write_text("mine")
    (run.path / "notes.txt").unlink()
    again = RunFolder.create(run.path, config={"command": "pretrain", "seed": 1}, overwrite=True)
    assert not again.finished


def begun_comparison(tmp_path):
    """Begin a comparison; return its folder, and what continues it with data of some fingerprint."""
    options = CompareOptions(inits=["a", "b"], data="d", out=tmp_path / "cmp", labels=4, subset_by="chance")
    out, config = tmp_path / "cmp", as_saved("compare", options)

    def again(fingerprint="digits"):
        prepare_folder(out, config, {"a": "1", "b": "2"}, fingerprint, overwrite=False)

    again()
    return out, again


@pytest.mark.parametrize("name", ["data.json", "inits.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"fingerprint": 1}', '{"fingerpr'])
def test_what_a_comparison_knows_its_inputs_by_may_be_removed_where_it_is_damaged(tmp_path, name, text):
    out, again = begun_comparison(tmp_path)
    (out / name).write_text(text)
    expected = rf"{name}' (is damaged|cannot be read).* [Rr]emove it .*--overwrite"
    with pytest.raises(RunFolderError, match=expected):
        again()
    (out / name).unlink()
    again()


def test_the_fingerprint_of_the_data_is_not_forgotten_where_it_is_missing(tmp_path):
    out, again = begun_comparison(tmp_path)
    (out / "data.json").write_text("{}")
    with pytest.raises(RunFolderError, match="fingerprint is missing"):
        again("others")


@pytest.mark.parametrize("damage", DAMAGE, ids=["missing", "empty object", "empty"])
def test_a_comparison_without_readable_settings_is_not_continued(tmp_path, damage):
    out, config = tmp_path / "cmp", {"command": "compare", "inits": ["a", "b"], "out": "cmp", "labels": 4}
    prepare_folder(out, config, {"a": "1", "b": "2"}, "digits", overwrite=False)
    write_json(out / "comparison.json", {})
    damage(out / "config.yaml")
    with pytest.raises(RunFolderError, match=r"config.yaml is damaged or missing .*--overwrite"):
        prepare_folder(out, {**config, "labels": 8}, {"a": "1", "b": "2"}, "digits", overwrite=False)
    prepare_folder(out, {**config, "labels": 8}, {"a": "1", "b": "2"}, "digits", overwrite=True)
    assert not (out / "comparison.json").exists()


def test_the_lock_of_a_killed_process_goes_where_everything_was_written(tmp_path):
    books = tmp_path / ".geopretrain"
    books.mkdir()
    (books / "lock").touch()
    (books / "owner.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("mine")
    tidy_finished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_lock_of_a_process_that_is_at_it_stays(tmp_path):
    code = (
        "import sys, time; from geopretrain.folders import owned\n"
        "with owned(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        tidy_finished(tmp_path)
        assert (tmp_path / ".geopretrain/lock").exists()
        other.kill()
    tidy_finished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_that_is_resumed_is_tidied(tmp_path, capsys):
    words = [
        "pretrain",
        "monodepth",
        "--data",
        "synthetic:street?worlds=1&frames=8&height=64&width=96",
        "--out",
    ]
    words += [str(tmp_path / "run"), "--steps", "1"]
    words += ["--preset", "tiny", "--backbone", "test_resnet"]
    assert cli.main([*words, "--threads", "1"]) == 0
    (tmp_path / "run/.geopretrain").mkdir(exist_ok=True)
    (tmp_path / "run/.geopretrain/lock").touch()
    assert cli.main([*words, "--threads", "1", "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert not (tmp_path / "run/.geopretrain/lock").exists()
