"""What a page offers to keep: LaTeX that compiles and CSV that no spreadsheet runs, whatever names hold."""

from __future__ import annotations

import base64
import csv
import io
import re
import shutil
import subprocess

import pytest
from fake_comparison import fake_comparison

from geopretrain.report.downloads import downloads, latex, trainings_csv
from geopretrain.report.texts import escaped, tex_line
from geopretrain.study.comparison import Comparison
from geopretrain.wording import csv_cell

NASTY = r"=a\b{c}_d & 100% $x$ #1 ~^ <|> – ± ≤ δ Σ μ"


def nasty(folder):
    """Return a comparison with an initialisation whose name LaTeX and spreadsheets would act on."""
    comparison = fake_comparison(folder)
    results = comparison.results
    results["inits"][1]["name"] = NASTY
    for row in (*results["summary"], *results["trials"]):
        row["init"] = NASTY if row["init"] == "depth" else row["init"]
    results["protocol"]["command"] = "geopretrain compare --out 'a\nb' \\input{x}"
    return Comparison(comparison.path, results)


def test_what_latex_takes_for_commands_is_escaped():
    assert escaped(r"a_b & 5 % of $x$ #1 {y} ~ ^ \n") == (
        r"a\_b \& 5 \% of \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )
    assert escaped("two\nlines\t\N{MINUS SIGN}1 \N{PLUS-MINUS SIGN} 2") == r"two lines $-$1 $\pm$ 2"


def test_every_line_of_the_table_has_all_its_cells(tmp_path):
    text = latex(nasty(tmp_path / "cmp"))
    columns = re.search(r"begin\{tabular\}\{([lr]+)\}", text)[1]
    table = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    rows = [line for line in table if "&" in line.replace(r"\&", "")]
    assert len(rows) == 1 + 2 * 2 * 2  # heads; modes, points, initialisations
    assert {line.replace(r"\&", "").count("&") + 1 for line in rows} == {len(columns)}
    assert all(line.endswith(r" \\") for line in rows)
    assert r"31.7 $\pm$" in text or re.search(r"\d\d\.\d \$\\pm\$ \d\.\d", text)
    assert "not measured" in text
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert r"% command: geopretrain compare --out 'a b' \input{x}" in comments
    assert r"\input" not in "".join(line for line in text.splitlines() if line not in comments)


def test_letters_and_brackets_are_those_that_latex_prints():
    assert escaped("δ ≤ Ω ≈ μ\x07") == r"$\delta$ $\leq$ $\Omega$ $\approx$ $\mu$"
    assert tex_line(["[a] b", "c"]) == r"{[}a] b & c \\", "no option of the end of the line before"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_the_table_compiles(tmp_path):
    table = latex(nasty(tmp_path / "cmp"))
    whole = "\n".join(
        [r"\documentclass{article}\usepackage{booktabs}\begin{document}", table, r"\end{document}"]
    )
    (tmp_path / "whole.tex").write_text(whole, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "whole.tex"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\n=1", "\r1"])
def test_what_a_spreadsheet_takes_for_a_formula_gets_an_apostrophe(text):
    assert csv_cell(text) == f"'{text}"


def test_numbers_and_other_text_stay_as_they_are():
    assert [csv_cell(one) for one in (-1.5, None, "random", "a=1")] == [-1.5, None, "random", "a=1"]


def test_the_csv_has_a_line_for_each_point_with_its_protocol(tmp_path):
    comparison = nasty(tmp_path / "cmp")
    rows = list(csv.DictReader(io.StringIO(trainings_csv(comparison))))
    assert len(rows) == sum(len(one["curve"]) for one in comparison.results["trials"])
    first = comparison.results["trials"][0]
    assert float(rows[0]["miou"]) == first["curve"][0]["miou"]
    assert (rows[0]["size"], rows[0]["backbone"], rows[0]["batch_size"]) == ("128x160", "resnet18", "8")
    assert rows[0]["versions"] == "python 3.11, geopretrain 0.1.0, torch 2.15.0"
    assert rows[0]["residual_information"] == ""  # not measured
    assert {row["init"] for row in rows} == {"random", f"'{NASTY}"}
    assert f"'{NASTY}" in comparison.csv()


def beside_paper(folder):
    """Return a comparison with two numbers of a paper, one of which has none of ours."""
    comparison = nasty(folder)
    of = {"init": NASTY, "mode": "full", "labels": None, "number": "mIoU, %"}
    lines = [
        {**of, "words": NASTY, "paper": 40.5, "ours": 38.25, "sd": 1.5},
        {**of, "words": "None", "paper": 30.0, "ours": None, "sd": None},
    ]
    printed = {"paper": "Lao & others", "item": "Table 1", "lines": lines}
    return Comparison(comparison.path, {**comparison.results, "printed": printed})


def test_the_paper_ours_and_the_difference_can_be_kept(tmp_path):
    comparison = beside_paper(tmp_path / "cmp")
    found = {one["name"]: kept_text(one) for one in downloads(comparison, "cmp")}
    one, other = csv.DictReader(io.StringIO(found["cmp-paper.csv"]))
    assert (one["paper"], one["ours"], one["sd"], one["difference"]) == ("40.5", "38.25", "1.5", "-2.25")
    assert (one["words"], one["number"], one["source"]) == (f"'{NASTY}", "mIoU, %", "Lao & others, Table 1")
    assert (other["paper"], other["ours"], other["difference"]) == ("30.0", "", "")
    rows = [line for line in found["cmp-paper.tex"].splitlines() if line.endswith(r" \\")]
    assert rows[0] == r"row & number & paper & ours & difference \\"
    assert rows[1].endswith(r" & mIoU, \% & 40.5 & 38.2 $\pm$ 1.5 & $-$2.2 \\")
    assert rows[2] == r"None & mIoU, \% & 30 & -- & -- \\"
    assert r"Lao \& others" in found["cmp-paper.tex"]
    plain = {one["name"] for one in downloads(fake_comparison(tmp_path / "other"))}
    assert not [name for name in plain if "paper" in name]


def kept_text(link):
    """Return what a link holds."""
    return base64.b64decode(link["address"].partition(";base64,")[2]).decode()


def test_addresses_hold_the_whole_file(tmp_path):
    comparison = fake_comparison(tmp_path / "cmp")
    found = {one["name"]: one["address"] for one in downloads(comparison)}
    kind, _, content = found["comparison.tex"].partition(";charset=utf-8;base64,")
    assert kind == "data:application/x-tex"
    assert base64.b64decode(content).decode() == latex(comparison)
