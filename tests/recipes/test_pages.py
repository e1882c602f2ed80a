"""Pages of recipes and studies, made of invented numbers: nothing is trained."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from fake_comparison import fake_comparison

from geopretrain.config.options import ReproduceOptions
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


def test_a_figure_is_named_once_and_its_maps_by_short_names(tmp_path):
    plan = plan_of("mesa/fig-5", tmp_path / "out")
    page = page_of(plan, {})
    (first,) = words_of(page, "h1")
    assert first == plan.recipe.title
    assert not [one for one in words_of(page, "p", "li", "h2", "h3") if first in one]
    figure = f"Figure 5: {plan.items['fig-5'].words}"
    assert words_of(page, "h1", "h2", "p", "li").count(figure) == 1
    assert f'title="masked: {plan.out}/masked, finetuned: {plan.out}/rows/MP/seed-0/finetuned"' in page


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
    (first,) = words_of(page, "h1")
    assert not [one for one in words_of(page, "p", "li", "h2", "h3") if first in one]
