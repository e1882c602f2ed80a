"""Names of any kind, wherever one can be given: one calm line, and nothing else goes wrong."""

from __future__ import annotations

import os

import pytest
from making_clips import sliding_frames, write_images

from geopretrain import cli
from geopretrain.console import console
from geopretrain.errors import OptionError, UserError, calm
from geopretrain.schema import path_text

ODD = (
    *("st[/x]", "[red]x", "n" * 300, "é" * 200, "a/" * 3000, "loop", "loop/x", "one\ntwo", "e\x1b[31mred"),
    *("\udcff\udcfe", "\ud800", "nul\0x", "-x", "a b", "日本", "", "..", "/dev/null", "a\rb", "\u202eabc"),
    *("images:loop", "synthetic:street?frames=\x1b[31m&x[/y]=1", "synthetic:[/x]"),
)
WORDS = {
    "inspect": lambda n: ["data", "inspect", n],
    "prepare": lambda n: ["data", "prepare", n, "--out", "store"],
    "data": lambda n: ["pretrain", "monodepth", f"--data={n}", "--out", "r"],
    "out": lambda n: ["pretrain", "monodepth", "--data", "nothing", f"--out={n}"],
    "init": lambda n: ["pretrain", "monodepth", "--data", "nothing", f"--init={n}", "--out", "r"],
    "resume": lambda n: ["pretrain", "monodepth", f"--resume={n}"],
    "config": lambda n: ["pretrain", "monodepth", f"--config={n}"],
    "method": lambda n: ["pretrain", n, "--data", "x", "--out", "y"],
    "labelled": lambda n: ["finetune", "segmentation", f"--data={n}", "--out", "s"],
    "inits": lambda n: ["compare", f"--inits=random,{n}", "--data", "x", "--out", "c"],
    "compared": lambda n: ["compare", "--inits=random,imagenet", "--data", "x", f"--out={n}"],
    "advised": lambda n: ["advise", n, n],
    "looked": lambda n: ["analyse", "activations", f"--data={n}", "--out", "a", "--", n],
    "analysed": lambda n: ["analyse", "cka", f"--data={n}", "--out", "a", "--", n],
    "run": lambda n: ["predict", n, "frames", "--out", "p"],
    "evaluate": lambda n: ["evaluate", n, n],
    "teacher": lambda n: ["data", "pseudo-depth", n, f"--teacher={n}"],
    "uploaded": lambda n: ["data", "upload", n, "there"],
    "destination": lambda n: ["data", "upload", "nothing", n],
    "command": lambda n: [n],
    "second word": lambda n: ["data", n],
    "option": lambda n: ["pretrain", f"--{n}=1"],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    inside = tmp_path / "inside"  # the folder above belongs to this test alone, too
    inside.mkdir()
    monkeypatch.chdir(inside)
    os.symlink("loop", "loop")
    return inside


@pytest.mark.parametrize("where", WORDS)
def test_odd_names_are_refused_in_one_calm_line(place, capsys, where):
    for name in ODD:
        if (where, name) in (("inspect", "synthetic:[/x]"), ("command", "")):
            continue
        code = cli.main(WORDS[where](name))
        out, err = capsys.readouterr()
        assert code in (0, 2, 3)
        if code == 2:
            assert len(err.splitlines()) == 1, (name, err)
            assert len(err) < 2000
        assert all(c.isprintable() or c == "\n" for c in err), (name, err)
        assert all(c.isprintable() or c == "\n" for c in out)


@pytest.mark.parametrize(
    "name", ["st[/x]", "[red]x", "a b", "日本", "one\ntwo", "e\x1b[31mred", "-x", "\udcff"]
)
def test_stores_of_odd_names_are_written_and_read(place, capsys, name):
    write_images(place / name / "frames", sliding_frames(8, 3.0, (64, 96)))
    words = ["data", "prepare", f"./{name}/frames", f"--out=./{name}/store", "--size", "64x96"]
    assert cli.main(words) == 0
    assert cli.main(["data", "inspect", f"./{name}/store"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert all(ord(c) < 0xD800 or ord(c) > 0xDFFF for c in out + err)


def test_text_is_calm():
    assert calm("a\x1b[31m\nb\udcff\u202e") == "a\\x1b[31m\\nb\\udcff\\u202e"
    assert calm("a\nb\r", lines=True) == "a\nb\\r"
    assert calm("日本 é − ±\u3000x") == "日本 é − ±\u3000x"
    assert len(calm("x" * 10_000)) < 200
    assert str(UserError("one\ntwo")) == "one\\ntwo"
    assert OptionError("out", "must be\x07").problem == "must be\\x07"


def test_a_live_line_takes_any_text(capsys):
    with console.progress("step[/x]\x1b[0m", 2) as line:
        line.update(1, "loss [bold]0.1[/y]\nand more", always=True)
        line.begin("[/z]", 3)
        line.update(3, "done")
    out = capsys.readouterr().out
    assert "[/x]" in out
    assert "[bold]0.1[/y]\\nand more" in out
    assert "\x1b" not in out


def test_the_home_folder_has_a_short_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert path_text("~/runs") == os.path.join(str(tmp_path), "runs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    assert path_text("~") == "~", "what is really called so"
