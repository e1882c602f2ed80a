"""Folders of ours that have lost what says what they hold."""

from __future__ import annotations

import pytest

from geopretrain.errors import RunFolderError
from geopretrain.files import write_json
from geopretrain.runs.folder import RunFolder
from geopretrain.study.folder import prepare_folder

DAMAGE = [lambda path: path.unlink(), lambda path: path.write_text("{}"), lambda path: path.write_text("")]


@pytest.mark.parametrize("damage", DAMAGE, ids=["missing", "empty object", "empty"])
def test_a_run_without_readable_settings_is_not_taken_for_an_empty_folder(tmp_path, damage):
    run = RunFolder.create(tmp_path / "run", config={"command": "pretrain", "seed": 0})
    run.write_results({"steps": 1})
    damage(run.path / "config.yaml")
    with pytest.raises(RunFolderError, match=r"config.yaml is damaged or missing .*--overwrite"):
        RunFolder.create(run.path, config={"command": "pretrain", "seed": 1})
    assert run.results == {"steps": 1}
    (run.path / "notes.txt").write_text("mine")
    (run.path / "notes.txt").unlink()
    again = RunFolder.create(run.path, config={"command": "pretrain", "seed": 1}, overwrite=True)
    assert not again.finished


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
