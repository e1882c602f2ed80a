"""One page of whatever lies in a folder: finished, in training, stopped, failed or damaged."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
import subprocess
import sys

import pytest
from browsing import browser, open_page
from fake_comparison import fake_comparison
from fake_runs import being_written, fake_begun_comparison, fake_finetuning, fake_pretraining

from geopretrain import manifest
from geopretrain.files import write_json
from geopretrain.report import build_report
from geopretrain.report.figures import REFERENCE_COLOUR
from geopretrain.report.overview import build_overview, look_through
from geopretrain.report.runs import run_curves
from geopretrain.runs.folder import RunFolder


def kept_in(page, name):
    """Return the text of a download."""
    (address,) = re.findall(rf'download="{re.escape(name)}" href="data:[^,]*,([^"]*)"', page)
    return base64.b64decode(address).decode()


def standings(folder):
    seen = look_through(folder)
    entries = [*seen.comparisons, *seen.recipes, *seen.runs]
    return {**{one.place: one.standing for one in entries}, **dict(seen.damaged)}


def page_of(folder):
    return build_overview(look_through(folder), folder / "report.html").read_text(encoding="utf-8")


def test_how_far_runs_are(tmp_path):
    fake_pretraining(tmp_path / "a/done")
    fake_pretraining(tmp_path / "a/stopped", steps=20)
    going = fake_pretraining(tmp_path / "going", steps=10)
    failed = fake_pretraining(tmp_path / "failed", steps=20)
    failed.append_metrics({"kind": "stopped", "step": 21, "sentence": "The loss is no number."})
    torn = fake_pretraining(tmp_path / "torn")
    (torn.path / "metrics.jsonl").write_text('{"kind": "train"\n{"kind": "train", "step": 3}\n')
    odd = fake_pretraining(tmp_path / "odd")
    (odd.path / "results.json").write_text("[]")
    unread = fake_pretraining(tmp_path / "unread")
    (unread.path / "config.yaml").write_text("geopretrain: [")
    with being_written(going.path):
        found = standings(tmp_path)
    assert {place: one.state for place, one in found.items()} == {
        "a/done": "finished",
        "a/stopped": "stopped",
        "going": "training",
        "failed": "failed",
        "torn": "damaged",
        "odd": "damaged",
        "unread": "damaged",
    }
    assert found["going"].words == "step 10 of 30"
    assert found["failed"].words == "The loss is no number."
    assert "metrics.jsonl' is damaged: line 1" in found["torn"].words
    assert standings(tmp_path)["going"].state == "stopped"  # its process was killed
    page = page_of(tmp_path)
    assert "7 " not in look_through(tmp_path).sentence().split(":")[0]
    assert all(one.words in html.unescape(page) for one in standings(tmp_path).values())


def test_numbers_curves_and_commands_of_runs(tmp_path):
    fake_pretraining(tmp_path / "depth")
    fake_pretraining(tmp_path / "masks", method="simmim")
    fake_finetuning(tmp_path / "seg", miou=0.412)
    page = page_of(tmp_path)
    for words in ("Pre-training: monodepth", "Pre-training: simmim", "41.2 %", "0.750 bits a pixel"):
        assert words in page
    assert "geopretrain pretrain simmim --data store --out" in page
    assert "torch 2.15.0" in page
    assert page.count('class="drawing"') == 3


def test_a_loss_that_was_logged_once_can_be_seen(tmp_path):
    run = fake_pretraining(tmp_path / "depth")
    (run.path / "metrics.jsonl").write_text('{"kind": "train", "step": 3, "loss": 0.5}\n')
    (entry,) = look_through(tmp_path).runs
    (line,) = run_curves([entry]).data
    assert (list(line.x), line.mode) == ([3], "lines+markers")


def test_an_unfinished_comparison_shows_what_is_there(tmp_path):
    begun = fake_begun_comparison(tmp_path / "cmp")
    (begun / "trials/depth-full-seed2.json").write_text("{")
    seen = look_through(tmp_path)
    (entry,) = seen.comparisons
    assert entry.standing.state == "stopped"
    assert entry.standing.words.startswith("4 of 6 trainings are finished")
    assert "depth-full-seed2.json" in entry.failures[0]
    (group,) = entry.groups
    assert [line["mean"] for line in group["lines"]] == ["30.5", "35.6"]
    assert group["lines"][1]["difference"]["mean"] == "+5.1"
    assert not seen.finished
    page = page_of(tmp_path)
    assert "<b>35.6</b>" in page
    with being_written(begun):
        assert standings(tmp_path)["cmp"].state == "training"


def test_how_far_an_unfinished_comparison_is_with_a_seed_for_each_set(tmp_path):
    begun = fake_begun_comparison(tmp_path / "cmp")
    config = (begun / "config.yaml").read_text().replace("labels: 16", "labels: [2, 4]\nseed_per_set: true")
    (begun / "config.yaml").write_text(config.replace("subsets: 1", "subsets: 3"))
    (entry,) = look_through(tmp_path).comparisons
    assert entry.standing.words.startswith("4 of at most 12 trainings are finished"), "2 starts, 2 x 3 sets"


@pytest.mark.parametrize(
    "damage",
    [
        {"config.yaml": "geopretrain: 0.2.0\ncommand: compare\nmodes: 3\nseeds: x\ntask: odd\n"},
        {"inits.json": "[1]"},
        {"trials/random-full-seed0.json": '{"init": "random", "mode": "full", "seed": 0, "lr": 1.0, '
         '"curve": [{"x": 1.0}], "seconds": 1.0, "run": ""}'},
        {"comparison.json": '{"headline": 3}'},
    ],
)  # fmt: skip
def test_a_damaged_comparison_is_shown_as_that(tmp_path, damage):
    begun = fake_begun_comparison(tmp_path / "cmp")
    for name, content in damage.items():
        (begun / name).write_text(content)
    assert standings(tmp_path)["cmp"].state == "damaged"
    assert "damaged" in page_of(tmp_path)


def test_finished_comparisons_have_their_sentence_and_a_link(tmp_path):
    comparison = fake_comparison(tmp_path / "one two#%")
    comparison.report.write_text("its own page")
    seen = look_through(tmp_path)
    assert seen.finished
    page = page_of(tmp_path)
    assert comparison.sentence in page
    assert 'href="one%20two%23%25/report.html"' in page
    (tmp_path / "pages").mkdir()
    elsewhere = build_overview(seen, tmp_path / "pages/all.html").read_text(encoding="utf-8")
    assert 'href="../one%20two%23%25/report.html"' in elsewhere


def test_a_comparison_beside_a_paper_shows_how_far_it_is_from_it(tmp_path):
    comparison = fake_comparison(tmp_path / "a/cmp")
    of = {"words": "Theirs", "init": "depth", "mode": "full", "labels": None, "number": "mIoU, %"}
    lines = [{**of, "paper": 31.5, "ours": 30.25, "sd": None}]
    comparison.results["printed"] = {"paper": "Lao et al.", "item": "T 1", "lines": lines, "differs": []}
    comparison.save()
    page = page_of(tmp_path)
    assert '<td class="number">\N{MINUS SIGN}1.2</td>' in page
    (row,) = csv.DictReader(io.StringIO(kept_in(page, "a-cmp-paper.csv")))
    assert (row["ours"], row["paper"], row["difference"]) == ("30.25", "31.5", "-1.25")
    assert kept_in(page, "a-cmp.csv") == comparison.csv()
    assert "python 3.11, geopretrain 0.1.0, torch 2.15.0" in page


def test_numbers_of_runs_can_be_kept(tmp_path):
    fake_finetuning(tmp_path / "seg", miou=0.412)
    page = page_of(tmp_path)
    (row,) = csv.DictReader(io.StringIO(kept_in(page, "finetune-segmentation.csv")))
    assert (row["run"], row["state"], float(row["mIoU"])) == ("seg", "finished", 0.412)
    assert row["command"].startswith("geopretrain finetune segmentation")
    assert r"41.2 \%" in kept_in(page, "finetune-segmentation.tex")


def test_a_recipe_that_is_looked_at_leads_to_its_own_page(tmp_path):
    number = {"values": [0.1], "mean": 0.1, "sd": None, "paper": None, "difference_to_first": None}
    rows = [{"row": "MP", "seeds": [0], "numbers": {"abs_rel": number}}]
    results = {"recipe": "mesa/table-1", "protocol": "nyu-10", "rows": rows, "failures": []}
    folder = recipe_folder(tmp_path / "recipe", "mesa/table-1", results=results)
    (folder / "report.html").write_text("its own page")
    seen = look_through(folder)
    page = build_overview(seen, folder / "runs.html").read_text(encoding="utf-8")
    assert '<a href="report.html">The whole page of this recipe</a>' in page
    assert "What differs from the paper stands on the recipe’s own page" in page
    elsewhere = build_overview(seen, tmp_path / "all.html").read_text(encoding="utf-8")
    assert 'href="recipe/report.html"' in elsewhere
    over = build_overview(seen, folder / "report.html").read_text(encoding="utf-8")
    assert "whole page of this recipe" not in over, "it was written over that page"
    assert "own page" not in over


def test_recipes_show_paper_and_ours(tmp_path):
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: reproduce\nrecipe: mesa/table-1\n")
    (folder / "stages.json").write_text(json.dumps({"a": {"call": "x", "seconds": 1.0}}))
    assert standings(tmp_path)["recipe"].words.startswith("1 stage finished; nothing trains")
    number = {"values": [0.1], "mean": 0.1, "sd": None, "paper": 0.09, "difference_to_first": None}
    rows = [{"row": "MP", "seeds": [0], "numbers": {"abs_rel": number}}]
    results = {"recipe": "mesa/table-1", "protocol": "nyu-10", "rows": rows, "failures": []}
    (folder / "results.json").write_text(json.dumps(results))
    assert standings(tmp_path)["recipe"].state == "finished"
    page = page_of(tmp_path)
    assert '<b>0.100</b> <span class="soft">(0.09; +0.010)</span>' in page
    assert "own page" not in page, "there is none"
    (row,) = csv.DictReader(io.StringIO(kept_in(page, "mesa-table-1.csv")))
    assert [row[name] for name in ("row", "number", "ours", "paper", "difference", "protocol")] == [
        *("MP", "abs_rel", "0.1", "0.09", "0.01", "nyu-10")
    ]
    lines = kept_in(page, "mesa-table-1.tex").splitlines()
    cells = [line.split(" & ")[1:] for line in lines if line.startswith(" & ")]
    assert cells == [["paper", r"0.09 \\"], ["ours", r"0.100 \\"], ["difference", r"+0.010 \\"]]
    (folder / "results.json").write_text(json.dumps({**results, "rows": 3}))
    assert standings(tmp_path)["recipe"].state == "damaged"


def test_maps_of_layers_and_damaged_ones(tmp_path):
    folder = tmp_path / "cka"
    folder.mkdir()
    (folder / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: analyse cka\n")
    found = {"first": "a", "second": "b", "protocol": "linear CKA", "layers_of_first": ["x"]}
    found |= {"layers_of_second": ["y", "z"], "cka": [[1.0, 0.5]], "standard_error": [[0.0, 0.1]]}
    (folder / "cka.json").write_text(json.dumps(found))
    seen = look_through(tmp_path)
    assert seen.maps[0].title == "a and b"
    assert '"z":[[1.0,0.5]]' in seen.maps[0].drawing.data.replace(" ", "")
    (folder / "cka.json").write_text(json.dumps({**found, "cka": [[1.0]]}))
    ((place, standing),) = look_through(tmp_path).damaged
    assert place == "cka"
    assert "cka must be a table of 1 x 2 numbers" in standing.words


def map_of(folder, first, second, cka=0.5, **more):
    folder.mkdir()
    (folder / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: analyse cka\n")
    found = {"first": first, "second": second, "protocol": "linear CKA", "layers_of_first": ["x"]}
    found |= {"layers_of_second": ["y"], "cka": [[cka]], "standard_error": [[None]], **more}
    write_json(folder / "cka.json", found)


def features_of(folder, first="random", second="/some/place/runs/depth"):
    """Write an analysis of features in which the last of two layers has moved farther."""
    folder.mkdir()
    (folder / "config.yaml").write_text("geopretrain: 0.2.0\ncommand: analyse features\n")
    numbers = {"rank_me": 20.5, "linear_miou": 0.25, "knn_miou": 0.375}
    inits = {first: numbers, second: {**numbers, "moved": 0.125}}
    write_json(folder / "features.json", {"protocol": "ridge regression", "inits": inits})
    (folder / "features.csv").write_text("init,rank_me\n")
    with (folder / "moved.csv").open("w", newline="\n") as file:
        rows = [["layer", second], ["stem", 0.015], ["<b>last</b>", 0.5], ["bias", ""]]
        csv.writer(file, lineterminator="\n").writerows(rows)


def test_how_far_weights_have_moved_is_shown_layer_by_layer(tmp_path):
    features_of(tmp_path / "features")
    seen = look_through(tmp_path)
    (found,) = seen.features
    assert seen.sentence() == "1 feature table."
    assert (found.title, found.networks) == ("random, depth", {"depth": "/some/place/runs/depth"})
    assert found.rows == [
        ("random", ["20.5", "25.0", "37.5", "–"]),
        ("depth", ["20.5", "25.0", "37.5", "12.5"]),
    ]
    assert found.sentences == [
        "depth has moved from random: all weights together 12.5 %, most of all <b>last</b>, 50.0 %."
    ]
    first, line = json.loads(found.drawing.data)["data"]
    assert (first["name"], first["y"]) == ("random", [0, 0, 0])
    assert first["line"]["color"] == REFERENCE_COLOUR, "it has the colour that it has elsewhere"
    assert line["x"] == ["stem", "&lt;b&gt;last&lt;/b&gt;", "bias"]
    assert line["y"] == [1.5, 50.0, None]
    page = page_of(tmp_path)
    assert "most of all &lt;b&gt;last&lt;/b&gt;, 50.0 %." in page
    assert kept_in(page, "features-moved.csv") == (tmp_path / "features/moved.csv").read_bytes().decode()


def test_features_in_a_comparison_stand_on_its_page(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    features_of(tmp_path / "cmp/features")
    page = build_report(comparison, comparison.report).read_text(encoding="utf-8")
    assert "What features are worth, and how far weights have moved" in page
    assert "depth has moved from random" in page
    (tmp_path / "cmp/features/moved.csv").write_text("layer,x\nstem,far\n")
    assert "moved.csv' is damaged" in html.unescape(build_report(comparison, comparison.report).read_text())


@pytest.mark.parametrize(
    "damage",
    [
        {"features.json": '{"protocol": "x", "inits": {}}'},
        {"features.json": '{"protocol": "x", "inits": {"random": {"rank_me": "much"}}}'},
        {"moved.csv": ""},
        {"moved.csv": "layer,depth\nstem\n"},
    ],
)
def test_damaged_features_are_said(tmp_path, damage):
    features_of(tmp_path / "features")
    for name, content in damage.items():
        (tmp_path / "features" / name).write_text(content)
    ((place, standing),) = look_through(tmp_path).damaged
    assert place == "features"
    assert next(iter(damage)) in standing.words


def test_features_of_one_initialisation_have_nothing_that_moved(tmp_path):
    features_of(tmp_path / "features")
    (tmp_path / "features/moved.csv").unlink()
    (found,) = look_through(tmp_path).features
    assert (found.drawing, found.sentences) == (None, [])
    assert "most of all" not in page_of(tmp_path)


def test_maps_are_called_by_short_names_and_the_whole_places_stand_below(tmp_path):
    map_of(tmp_path / "cka", "/some/place/runs/masked", "/some/place/rows/MP/finetuned", cka=-0.012)
    (found,) = look_through(tmp_path).maps
    assert found.title == "masked and finetuned"
    assert "/some/place" not in found.drawing.data + found.drawing.words
    layout = json.loads(found.drawing.data)["layout"]
    assert layout["xaxis"]["title"]["text"] == "finetuned"
    assert layout["yaxis"]["title"]["text"] == "masked"
    assert json.loads(found.drawing.data)["data"][0]["customdata"] == [["\N{MINUS SIGN}0.012"]]
    page = page_of(tmp_path)
    assert "masked: <code>/some/place/runs/masked</code>" in page
    assert "finetuned: <code>/some/place/rows/MP/finetuned</code>" in page


def test_maps_of_one_network_and_of_two_of_the_same_name(tmp_path):
    map_of(tmp_path / "one", "/a/depth", "/a/depth")
    map_of(tmp_path / "two", "/a/depth", "/b/depth")
    map_of(tmp_path / "word", "random", "random")
    assert [found.title for found in look_through(tmp_path).maps] == [
        "depth",
        "a-depth and b-depth",
        "random",
    ]


def test_maps_have_room_for_the_names_of_layers(tmp_path):
    map_of(tmp_path / "a", "random", "random")
    long = ["stages.2.blocks.11.norm1"]
    map_of(tmp_path / "b", "random", "random", layers_of_first=long, layers_of_second=long)
    short, named = (found.drawing for found in look_through(tmp_path).maps)
    assert named.height - short.height > 5 * 20
    assert named.width - short.width > 5 * 20


def test_groups_of_fine_tunings_are_told_apart(tmp_path):
    for name, supervision in (("few", "labels"), ("video", "mono")):
        config = {"command": "finetune depth", "supervision": supervision, "steps": 4}
        RunFolder.create(tmp_path / name, config=config)
    page = page_of(tmp_path)
    for words in ("with labels", "without labels"):
        assert page.count(f"<h2>Fine-tuning for depth {words}</h2>") == 1


def test_negative_numbers_have_a_real_minus(tmp_path):
    run = fake_pretraining(tmp_path / "depth")
    run.write_results({"command": "pretrain", "steps": 30, "validation": {"loss": -0.695}})
    run.append_metrics({"kind": "train", "step": 30, "loss": -0.25})
    (entry,) = look_through(tmp_path).runs
    assert entry.numbers == {"validation loss": "\N{MINUS SIGN}0.695"}
    assert "\N{MINUS SIGN}0.25" in run_curves([entry]).data[0].customdata
    number = {"values": [-0.1], "mean": -0.1, "sd": None, "paper": -0.25, "difference_to_first": None}
    rows = [{"row": "MP", "seeds": [0], "numbers": {"abs_rel": number}}]
    results = {"recipe": "mesa/table-1", "protocol": "nyu-10", "rows": rows, "failures": []}
    recipe_folder(tmp_path / "recipe", "mesa/table-1", results=results)
    (table,) = look_through(tmp_path).recipes[0].tables
    (cell,) = table.rows[0].cells
    assert (cell.ours, cell.paper) == ("\N{MINUS SIGN}0.100", "\N{MINUS SIGN}0.25")
    assert cell.difference == "+0.150"


def test_only_maps_are_a_finished_set(tmp_path):
    assert not look_through(tmp_path).finished
    map_of(tmp_path / "cka", "random", "random")
    assert look_through(tmp_path).finished


def test_trials_and_links_are_no_runs_of_their_own(tmp_path):
    begun = fake_begun_comparison(tmp_path / "cmp")
    fake_finetuning(begun / "trials/random-full-seed0")
    outside = fake_pretraining(tmp_path / "elsewhere/depth")
    (tmp_path / "cmp/link").symlink_to(outside.path)
    assert set(standings(tmp_path / "cmp")) == {"."}


def test_the_page_in_a_browser(tmp_path):
    fake_begun_comparison(tmp_path / "cmp")
    fake_pretraining(tmp_path / "<img src=x onerror=alert(1)>")
    fake_pretraining(tmp_path / "depth")
    page = build_overview(look_through(tmp_path), tmp_path / "report.html", every=600)
    with browser() as started:
        seen = open_page(started, page, viewport={"width": 390, "height": 844})
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
        seen.page.get_by_role("button", name="<img").click()
        assert seen.page.get_by_role("button", name="Pause").is_visible()
        assert seen.complaints == []


def recipe_folder(folder, name, **files):
    folder.mkdir()
    manifest.begin(folder)
    (folder / "config.yaml").write_text(f"geopretrain: 0.2.0\ncommand: reproduce\nrecipe: {name}\n")
    (folder / "stages.json").write_text(json.dumps({"a": {"call": "x", "seconds": 1.0}}))
    for file, content in files.items():
        write_json(folder / f"{file}.json", content)
    return folder


def test_recipes_of_several_tables_and_figures(tmp_path):
    number = {"values": [0.1], "mean": 0.1, "sd": None, "paper": 0.09, "difference_to_first": None}
    table = {"protocol": "nyu-10", "rows": [{"row": "MP", "seeds": [0], "numbers": {"abs_rel": number}}]}
    head = {"recipe": "mesa/chain", "failures": []}
    one, two = {**head, "items": {"table-1": table}}, {**head, "items": {"table-1": table, "table-2": table}}
    (tmp_path / "mine.json").write_text("[]")
    recipe_folder(tmp_path / "whole", "mesa/chain", results=two)
    recipe_folder(tmp_path / "table", "mesa/table-1", **{"table-1": one})
    recipe_folder(tmp_path / "figure", "mesa/fig-2", **{"fig-2": head})
    recipe_folder(tmp_path / "begun", "mesa/chain", **{"table-1": one})
    (tmp_path / "begun/mine.json").write_text("[]")
    found = {one.place: one for one in look_through(tmp_path).recipes}
    assert {place: one.standing.state for place, one in found.items()} == {
        "begun": "stopped",
        "figure": "finished",
        "table": "finished",
        "whole": "finished",
    }
    assert [part.name for part in found["whole"].tables] == ["table-1", "table-2"]
    assert [part.name for part in found["begun"].tables] == ["table-1"]
    assert page_of(tmp_path).count('<b>0.100</b> <span class="soft">(0.09; +0.010)</span>') == 4


def test_a_study_that_stopped_between_its_comparisons_is_not_finished(tmp_path):
    folder = recipe_folder(tmp_path / "study", "what-helps/levers")
    fake_comparison(folder / "first")
    assert standings(tmp_path)["study"].state == "stopped"
    write_json(folder / "results.json", {"recipe": "what-helps/levers", "failures": []})
    assert standings(tmp_path)["study"].state == "finished"


@pytest.mark.parametrize("step", ["1e400", "-1e400", "NaN"])
def test_steps_that_are_no_numbers_are_damage(tmp_path, step):
    run = fake_pretraining(tmp_path / "run", steps=20)
    run.checkpoint.write_text("")
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(f'{{"kind": "train", "step": {step}, "loss": 1}}\n')
    assert standings(tmp_path)["run"].state == "damaged"


def test_pages_are_written_without_what_trains():
    """Importing it takes seconds, and a page that follows trainings is written again and again."""
    code = "import sys, geopretrain.report.overview; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
