"""Pages of recipes and studies, made of invented numbers: nothing is trained."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path

from fake_comparison import fake_comparison
from fake_runs import fake_pretraining

from geopretrain.config.groups import listed
from geopretrain.config.options import ReproduceOptions
from geopretrain.files import write_json
from geopretrain.recipes.journal import Journal
from geopretrain.recipes.page import write_overview, write_report
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.results import Line, Outcome
from geopretrain.study.comparison import Comparison
from geopretrain.study.statistics import paired_difference

MINUS = "\N{MINUS SIGN}"


def plan_of(name, out):
    return make_plan(ReproduceOptions(name, tiny=True, dry_run=True, out=out))


def outcome_of(plan, item):
    """Return a table whose later rows have the lower numbers, which are far below the paper's."""
    lines, columns = [], [column.name for column in item.columns]
    for k, row in enumerate(row for row in plan.recipe.rows if row.name in item.rows):
        printed = item.numbers.get(row.name, {})
        values = dict.fromkeys(columns, (-0.5 - 0.1 * k, -0.6 - 0.11 * k))
        differences = {
            name: paired_difference(values[name], lines[0].values[name]) if lines else None
            for name in columns
        }
        lines.append(Line(replace(row, printed=printed), (0, 1), values, differences, ("p",)))
    return Outcome(item.columns, lines, "p", 12, "held_out", item.others)


def page_of(plan, tables):
    path = plan.out / "page.html"
    plan.out.mkdir(exist_ok=True)
    written = write_report(path, plan, tables, plan.measured, Journal(plan.out), [], "the command")
    return written.read_text(encoding="utf-8")


def words_of(page, *tags):
    """Return the texts of elements, without their tags."""
    found = re.findall(rf"<({'|'.join(tags)})\b[^>]*>(.*?)</\1>", page, flags=re.S)
    return [" ".join(html.unescape(re.sub("<[^>]+>", "", inside)).split()) for _, inside in found]


def assert_tables_can_be_heard(page):
    tables = re.findall(r"<table.*?</table>", page, flags=re.S)
    assert tables
    for table in tables:
        assert '<caption class="unseen">' in table
        assert re.findall(r"<th\b[^>]*", table)
        assert all("scope=" in head for head in re.findall(r"<th\b[^>]*", table))
        assert all(
            'scope="row"' in row for row in re.findall(r"<tr>.*?</tr>", table.split("<tbody>")[1], re.S)
        )


def test_tables_of_a_recipe_have_captions_and_heads(tmp_path):
    plan = plan_of("mesa/chain", tmp_path / "out")
    tables = {name: outcome_of(plan, item) for name, item in plan.items.items() if item.numbers}
    page = page_of(plan, tables)
    assert_tables_can_be_heard(page)
    assert page.count("<table") == 2 * 2 + 1 + 3, "two with differences, one alone; data, settings, calls"
    assert page.count("<nav") == 1
    assert set(re.findall(r'href="#([^"]+)"', page)) - {"content"} <= set(re.findall(r'id="([^"]+)"', page))


def test_numbers_of_a_recipe_have_a_real_minus(tmp_path):
    plan = plan_of("mesa/table-1", tmp_path / "out")
    page = page_of(plan, {"table-1": outcome_of(plan, plan.items["table-1"])})
    body = page[page.index("<main") : page.index("What differs from the paper</h2>")]
    assert f"<b>{MINUS}0.550 ± 0.071</b>" in body
    assert f"RMSE (m) {MINUS}0." in body
    assert not re.search(r"(?<![\w-])-\d", re.sub("<[^>]+>", " ", body))


def write_maps(plan, damaged=False):
    """Write a map of layers for every step that makes one."""
    for one in plan.measured:
        for step in (step for step in one.steps if step.command == "analyse cka"):
            first, second = listed(step.options.inits)[0], listed(step.options.inits)[-1]
            table = [[1.0, 0.25, 0.5], [0.25, 1.0, None]]
            content = {"first": str(first), "second": str(second), "protocol": "linear CKA of 64 images"}
            content |= {"layers_of_first": ["stem", "<b>blocks</b>"], "layers_of_second": ["stem", "1", "2"]}
            content |= {"cka": table[1:] if damaged else table, "standard_error": table}
            write_json(Path(step.folder) / "cka.json", content)
            (Path(step.folder) / "cka.csv").write_text("layer,stem,1,2\n", encoding="utf-8")


def figures_in(page):
    """Return what the script of the page draws."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.S)
    return [json.loads(one) for one in found]


def test_a_recipe_names_the_libraries_that_its_rows_were_trained_with(tmp_path):
    plan = plan_of("mesa/table-1", tmp_path / "out")
    outcome = outcome_of(plan, plan.items["table-1"])
    page = page_of(plan, {"table-1": outcome})
    assert any("torch" in one and "timm" in one for one in words_of(page, "dd")), "nothing was trained"
    assert "versions of this page" in words_of(page, "dt")
    (step,) = [one for one in plan.measured[0].steps if one.command == "finetune depth"]
    fake_pretraining(step.folder)
    page = page_of(plan, {"table-1": outcome})
    assert "torch 2.15.0" in words_of(page, "dd")
    assert "versions" in words_of(page, "dt")
    other = next(one for one in plan.measured[1].steps if one.command == "finetune depth")
    fake_pretraining(other.folder).write_lineage({"method": "depth", "chain": [], "versions": {"torch": "3"}})
    page = page_of(plan, {"table-1": outcome})
    assert {f"versions of {step.name}", f"versions of {other.name}"} <= set(words_of(page, "dt"))


def test_a_figure_is_named_once_and_its_maps_by_short_names(tmp_path):
    plan = plan_of("mesa/fig-5", tmp_path / "out")
    write_maps(plan)
    page = page_of(plan, {})
    (first,) = words_of(page, "h1")
    assert first == plan.recipe.title
    assert not [one for one in words_of(page, "p", "li", "h2", "h3") if first in one]
    figure = f"Figure 5: {plan.items['fig-5'].words}"
    assert words_of(page, "h1", "h2", "p", "li").count(figure) == 1
    beside = f"masked: {plan.out}/masked. finetuned: {plan.out}/rows/MP/seed-0/finetuned."
    assert any(beside in one for one in words_of(page, "p"))
    assert ".tex" not in page[: page.index("<footer")], "a figure has no table to keep"
    assert page.count("Numbers of this map (CSV)") == len(figures_in(page))
    assert 'aria-label="MP: Map of how alike' in page


def test_maps_of_layers_can_be_pointed_at(tmp_path):
    plan = plan_of("mesa/fig-5", tmp_path / "out")
    write_maps(plan)
    drawn = figures_in(page_of(plan, {}))
    assert len(drawn) == len({one.row.name for one in plan.measured})
    (shown,) = drawn[0]["data"]
    assert shown["y"] == ["stem", "&lt;b&gt;blocks&lt;/b&gt;"]
    assert shown["x"] == ["stem", "1", "2"]
    assert shown["z"] == [[1.0, 0.25, 0.5], [0.25, 1.0, None]]
    assert shown["customdata"][1] == [
        "0.250 (standard error 0.250)",
        "1.000 (standard error 1.000)",
        "no number",
    ]


def test_a_damaged_map_is_said_in_its_place(tmp_path):
    plan = plan_of("mesa/fig-5", tmp_path / "out")
    write_maps(plan, damaged=True)
    page = page_of(plan, {})
    assert not figures_in(page)
    said = [one for one in words_of(page, "p") if "a table of 1 x 3 numbers" in one or "2 x 3" in one]
    assert len(said) == len({one.row.name for one in plan.measured})


def test_a_table_over_a_value_is_drawn_a_line_for_each_start(tmp_path):
    plan = plan_of("geometric-pretraining/fig-4", tmp_path / "out")
    item = plan.items["fig-4"]
    outcome = outcome_of(plan, item)
    (drawn,) = figures_in(page_of(plan, {"fig-4": outcome}))
    starts = {str(line.row.values["weights"]) for line in outcome.lines}
    assert {one["name"] for one in drawn["data"]} == starts
    first = drawn["data"][0]
    assert first["x"] == [5, 10, 100], "ascending, whatever the order of the rows"
    of = {
        line.row.values["percent"]: line
        for line in outcome.lines
        if line.row.values["weights"] == first["name"]
    }
    assert first["y"] == [of[percent].mean(item.columns[0].name) for percent in (5, 10, 100)]
    assert first["error_y"]["array"] == [of[percent].sd(item.columns[0].name) for percent in (5, 10, 100)]


def kept_in(page, ending):
    """Return the text of a download."""
    (address,) = re.findall(rf'download="[^"]*{ending}" href="data:[^,]*,([^"]*)"', page)
    return base64.b64decode(address).decode()


def test_every_number_of_a_recipe_can_be_kept(tmp_path):
    plan = plan_of("mesa/table-1", tmp_path / "out")
    item = plan.items["table-1"]
    outcome = outcome_of(plan, item)
    page = page_of(plan, {"table-1": outcome})
    lines = list(csv.DictReader(io.StringIO(kept_in(page, ".csv"))))
    ours = [one for one in lines if one["seed"]]
    assert len(ours) == 2 * len(outcome.lines) * len(item.columns)
    for line in outcome.lines:
        column = item.columns[0].name
        own = [one for one in ours if (one["row"], one["number"]) == (line.row.name, column)]
        assert [(int(one["seed"]), float(one["ours"])) for one in own] == list(
            zip(line.seeds, line.values[column], strict=True)
        )
        printed = line.row.printed.get(column)
        assert {one["paper"] for one in own} == {"" if printed is None else str(printed)}
    assert {one["protocol"] for one in ours} == {"p"}
    assert {one["pictures"] for one in ours} == {"12"}


def test_a_row_that_failed_and_numbers_without_seeds_are_kept_as_what_they_are(tmp_path):
    plan = plan_of("mesa/table-1", tmp_path / "out")
    outcome = outcome_of(plan, plan.items["table-1"])
    first, failed, *others = outcome.lines
    nothing = replace(failed, seeds=(), values=dict.fromkeys(failed.values, ()), protocols=())
    page = page_of(plan, {"table-1": replace(outcome, lines=[first, nothing, *others])})
    own = [one for one in csv.DictReader(io.StringIO(kept_in(page, ".csv"))) if one["row"] == failed.row.name]
    assert {(one["number"], one["paper"]) for one in own} >= {
        (name, str(value)) for name, value in failed.row.printed.items()
    }
    assert {(one["seed"], one["ours"]) for one in own} == {("", "")}

    plan = plan_of("geometric-pretraining/table-1", tmp_path / "other")
    outcome = replace(outcome_of(plan, plan.items["table-1"]), protocol="", images=0)
    page = page_of(plan, {"table-1": outcome})
    lines = list(csv.DictReader(io.StringIO(kept_in(page, ".csv"))))
    assert {(one["seed"], one["protocol"], one["pictures"]) for one in lines} == {("", "", "")}
    assert "over the seeds" not in kept_in(page, ".tex")


def test_tables_of_a_recipe_for_latex_have_all_their_cells(tmp_path):
    plan = plan_of("mesa/chain", tmp_path / "out")
    write_maps(plan)
    tables = {name: outcome_of(plan, item) for name, item in plan.items.items() if item.numbers}
    text = kept_in(page_of(plan, tables), ".tex")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(tables) > 1
    for name, table in zip(tables, text.split(r"\begin{table}")[1:], strict=True):
        width = 2 + len(plan.items[name].columns)
        rows = [line.replace(r"\&", "") for line in table.splitlines() if " & " in line.replace(r"\&", "")]
        assert {line.count("&") + 1 for line in rows} == {width}
        labels = [line.split("&")[1].strip() for line in rows[1:]]
        assert labels.count("ours") == len(tables[name].lines)
        assert labels.count("paper") == labels.count("difference") + len(tables[name].others)
    assert r"RMSE" in text
    assert "% command: the command" in text


def test_a_study_says_each_thing_once(tmp_path):
    plan = plan_of("what-helps/choice", tmp_path / "out")
    found = []
    for stage in plan.recipe.comparisons:
        comparison = fake_comparison(tmp_path / stage.name)
        if found:  # without numbers of a paper
            found.append(comparison)
            continue
        line = {"words": "Theirs", "paper": -1.5, "ours": -2.25, "sd": 0.5, "number": "mIoU, %"}
        found.append(Comparison(comparison.path, {**comparison.results, "printed": {"lines": [line]}}))
    path = write_overview(tmp_path / "study.html", plan, found, Journal(plan.out), "the command")
    page = path.read_text(encoding="utf-8")
    assert_tables_can_be_heard(page)
    assert f'<td class="number">{MINUS}1.5</td>' in page
    assert "prints no numbers" not in page, "there is no paper"
    assert words_of(page, "p")[1].startswith("A question of our own; after Hoyer")
    assert f"<b>{MINUS}2.2</b>" in page
    for one, stage in zip(found, plan.recipe.comparisons, strict=True):
        assert one.sentence in words_of(page, "p")
        assert kept_in(page, rf'(?<="){stage.name}\.csv') == one.csv()
        assert r"\toprule" in kept_in(page, rf'(?<="){stage.name}\.tex')
        assert f'data-gallery="gallery-{stage.name}-full"' in page
        assert f'id="gallery-{stage.name}-full"' in page
    assert kept_in(page, "paper.csv").splitlines()[1] == 'Theirs,,,,"mIoU, %",-1.5,-2.25,0.5,-0.75,'
    assert len(figures_in(page)) == 3 * len(found), "differences, learning curves, against the second score"
    assert "python 3.11, geopretrain 0.1.0, torch 2.15.0" in page
    (first,) = words_of(page, "h1")
    assert not [one for one in words_of(page, "p", "li", "h2", "h3") if first in one]
