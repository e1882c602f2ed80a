"""``report``: the page of a folder, once or while something trains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fake_comparison import fake_comparison
from fake_runs import being_written, fake_begun_comparison, fake_finetuning, fake_pretraining

import geopretrain as gp
from geopretrain.cli import main
from geopretrain.errors import RunFolderError
from geopretrain.report.overview import Overview
from geopretrain.report.page import write_page


def test_a_mixture_becomes_one_page(tmp_path, capsys):
    fake_pretraining(tmp_path / "depth")
    fake_finetuning(tmp_path / "seg")
    fake_comparison(tmp_path / "cmp")
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 comparison, 1 pre-training and 1 fine-tuning: 3 finished." in said
    assert f"The report is {tmp_path / 'report.html'}." in said
    assert "Pre-training: monodepth" in (tmp_path / "report.html").read_text()
    assert main(["report", str(tmp_path)]) == 0  # its own page is replaced


def test_a_finished_comparison_gets_its_own_page(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    comparison.report.write_text("an earlier page")
    assert gp.make_report(comparison.path) == comparison.report
    page = comparison.report.read_text()
    assert "How the numbers were made" in page
    assert "data-every" not in page
    (comparison.path / "comparison.json").write_text("{")
    gp.make_report(comparison.path, out=tmp_path / "other.html")
    assert "comparison.json" in (tmp_path / "other.html").read_text()


def test_an_unfinished_one_gets_a_page_of_what_is_there(tmp_path):
    begun = fake_begun_comparison(tmp_path / "cmp")
    assert "4 of 6 trainings" in gp.make_report(begun).read_text()


def test_what_cannot_be_reported_or_replaced(tmp_path, capsys):
    with pytest.raises(RunFolderError, match="does not exist"):
        gp.make_report(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == 2
    assert "holds no comparison" in capsys.readouterr().err
    fake_finetuning(tmp_path / "runs/seg")
    page = tmp_path / "runs/report.html"
    page.write_text("<html>mine</html>")
    with pytest.raises(RunFolderError, match="was not written by geopretrain"):
        gp.make_report(tmp_path / "runs")
    assert page.read_text() == "<html>mine</html>"


def test_a_finished_set_ends_the_watch_with_a_sentence(tmp_path, capsys):
    fake_finetuning(tmp_path / "seg")
    assert main(["report", str(tmp_path), "--watch", "--interval", "600"]) == 0
    assert "1 fine-tuning: 1 finished. Nothing is left to watch." in capsys.readouterr().out
    assert "data-every" not in (tmp_path / "report.html").read_text()


def until(condition, process):
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to that")


@pytest.fixture
def watching(tmp_path):
    run = fake_pretraining(tmp_path / "depth", steps=10)
    command = [sys.executable, "-m", "geopretrain", "report", str(tmp_path), "--watch", "--interval", "0.2"]
    with being_written(run.path):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        page = tmp_path / "report.html"
        until(page.is_file, process)
        assert 'data-every="0.2"' in page.read_text()
        yield run, page, process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_watch_waits_for_the_first_training(tmp_path, capsys, monkeypatch, is_there):
    folder = tmp_path / "runs"
    if is_there:
        folder.mkdir()
    slept = []

    def training_begins(seconds):
        slept.append(seconds)
        assert not (folder.is_dir() and any(folder.iterdir())), (
            "a training refuses a folder that holds something"
        )
        if len(slept) == 3:
            fake_finetuning(folder)

    monkeypatch.setattr(time, "sleep", training_begins)
    assert main(["report", str(folder), "--watch", "--interval", "5"]) == 0
    said = capsys.readouterr().out
    what = f"Nothing of geopretrain is in '{folder}' yet" if is_there else f"'{folder}' is not there yet"
    assert said.count(f"{what}: waiting for the first training to begin there.") == 1
    assert slept == [5, 5, 5]
    assert "Nothing is left to watch." in said
    assert (folder / "report.html").is_file()


def test_the_page_of_a_recipe_that_begins_while_waiting_lies_beside_its_own(tmp_path, monkeypatch):
    folder = tmp_path / "recipe"

    def recipe_ends(seconds):
        folder.mkdir()
        (folder / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: reproduce\nrecipe: mesa/table-1\n")
        results = {"recipe": "mesa/table-1", "protocol": "nyu-10", "rows": [], "failures": []}
        (folder / "results.json").write_text(json.dumps(results))

    monkeypatch.setattr(time, "sleep", recipe_ends)
    assert gp.make_report(folder, watch=True).name == "runs.html"


def test_a_watched_page_follows_and_ends_with_the_training(watching):
    run, page, process = watching
    run.append_metrics({"kind": "train", "step": 20, "loss": 0.1})
    until(lambda: "step 20 of 30" in page.read_text(), process)
    run.write_results({"command": "pretrain", "steps": 30})
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "1 pre-training: 1 in training." in out
    assert "1 pre-training: 1 finished. Nothing is left to watch." in out
    assert "data-every" not in page.read_text()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupted_watch_leaves_a_page_that_does_not_reload(watching):
    _, page, process = watching
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "A page that was written stays as it was last" in err
    assert "data-every" not in page.read_text()
    assert "step 10 of 30" in page.read_text()


def test_a_watched_folder_that_goes_is_not_made_anew(watching, tmp_path):
    _, _, process = watching
    tmp_path.rename(f"{tmp_path}-moved")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "is gone" in err
    assert not tmp_path.exists()


@pytest.mark.skipif(os.name == "nt", reason="names of any bytes")
def test_names_that_are_no_text_stand_in_the_page(tmp_path, capsys):
    folder = tmp_path / os.fsdecode(b"odd\xff")
    comparison = fake_comparison(folder / "cmp")
    fake_finetuning(folder / "seg")
    comparison.report.write_text("its own page")
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "odd\\udcff/seg" in page
    assert 'href="odd%FF/cmp/report.html"' in page


def test_a_text_that_is_none_in_a_comparison_is_shown(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    file = comparison.path / "comparison.json"
    found = json.loads(file.read_text())
    found["headline"] = found["protocol"]["command"] = found["protocol"]["score"] = "\ud800"
    file.write_text(json.dumps(found))
    assert "\\ud800" in gp.make_report(comparison.path).read_text(encoding="utf-8")


def test_links_of_a_page_elsewhere_lead_to_the_folder(tmp_path):
    fake_comparison(tmp_path / "runs/cmp").report.write_text("its own page")
    page = gp.make_report(tmp_path / "runs", out=tmp_path / "pages/all.html")
    assert 'href="../runs/cmp/report.html"' in page.read_text()


def test_the_own_page_of_a_recipe_stays(tmp_path, capsys):
    fake_pretraining(tmp_path / "depth")
    (tmp_path / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: reproduce\nrecipe: mesa/chain\n")
    own = write_page(tmp_path / "report.html", "overview.html.j2", seen=Overview(tmp_path), title="its own",
                     groups=[], states={}, link=str)  # fmt: skip
    before = own.read_text()
    assert main(["report", str(tmp_path)]) == 0
    assert f"The report is {tmp_path / 'runs.html'}." in capsys.readouterr().out
    assert own.read_text() == before
