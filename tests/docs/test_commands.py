"""Every command of the documentation is one that there is, and is run where that can be done small.

``README.md`` is run first, into a folder with a video, labelled images and so on under the names that the
pages use; every other page starts from a copy of what it has left. Nothing is left out silently: what is
only read is read for a reason of ``ONLY_READ``, and everything is read.
"""

from __future__ import annotations

import re
import shutil
import tomllib

import docs_commands
import docs_fixture
import pytest
from docs_commands import PAGES, ROOT, Line

import geopretrain as gp

LINES = [line for page in PAGES for line in docs_commands.lines(page)]
NEED_DATA = ("docs/real-data.md", "docs/results/", "docs/performance.md", "benchmarks/", "docs/recipes.md")
ONLY_READ = {
    r"--data-root|kitti-raw|cityscapes|nyuv2": "needs data sets that may not be passed on",
    r"^reproduce |^demo\b": "each recipe has a test of its own (tests/recipes)",
    r"--launcher|--address|--devices|--num-nodes": "launchers and devices have tests of their own",
    r"--calibrate": "COLMAP takes minutes; it has tests of its own",
    r"--push": "needs a hub",
    r"\w://": "needs an object store",
    r"--watch": "goes on until it is stopped",
    r"--gpus|\.\.\.| \|": "is no whole command",
    r"^advise .*--init": "looks at ImageNet's weights of the run's backbone, and none so small has any",
    r"\b(METHOD|STEPS|DATA|NAME|OWNER|NYU|HOST|FOLDER|HxW)\b": "has words that stand for one's own",
    r"^replay ": "needs a training that went wrong (tests/training/test_capture.py)",
    r"--save rerun": "needs a library that is not among those of developers",
}
"""Patterns of commands that are read and not run, and why."""
QUICK = ("docs/first-steps.md", "docs/own-video.md")
"""Pages that are run in the quick suite, beside README.md; the others are run in the slow one."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def only_read(line: Line) -> str | None:
    """Return why a command is not run, None where it is."""
    if line.page.startswith(NEED_DATA):
        return "needs data sets"
    typed = " ".join(line.command or ())
    if line.words[0] != "geopretrain":
        return "is started by another program"
    return next((why for pattern, why in ONLY_READ.items() if re.search(pattern, typed)), None)


def run_of(page: str) -> list[Line]:
    return [
        line for line in docs_commands.lines(page) if line.command is not None and only_read(line) is None
    ]


RUN = [page for page in PAGES if page != "README.md" and run_of(page)]


# ---- what is read
@pytest.mark.parametrize("line", [line for line in LINES if line.command is not None], ids=str)
def test_every_command_is_one_that_there_is(line):
    without_folder = (
        line.page == "docs/real-data.md" and line.words[1] == "compare" and "--out" not in line.words
    )
    docs_commands.check((*line.command, "--out", "runs/cmp") if without_folder else line.command)


IN_SENTENCES = [
    pytest.param(words, id=f"{page}: {' '.join(words)}")
    for page in PAGES
    if page != "CHANGELOG.md"  # which tells of what was
    for words in docs_commands.in_sentences(page)
]


@pytest.mark.parametrize("words", IN_SENTENCES)
def test_every_command_in_a_sentence_is_one_that_there_is(words):
    """It may be the beginning of one; what it has must be known."""
    docs_commands.check_words(words)


def test_an_option_that_is_gone_is_found():
    for typed in ("pretrain monodepth --data s --out r --iterations 3", "data prepar x --out y",
                  "pretrain monodepth --data s --out r --settings smothness=1"):  # fmt: skip
        with pytest.raises((gp.UserError, StopIteration)):
            docs_commands.check(tuple(typed.split()))


@pytest.mark.parametrize("line", [line for line in LINES if line.command is None], ids=str)
def test_every_other_line_is_of_a_known_kind(line):
    words = [word for word in line.words if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    kind, rest = words[0], words[1:]
    if kind == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif kind == "python":
        assert rest[:2] == ["-m", "venv"] or (ROOT / rest[0]).is_file()
    elif kind == "pip":
        extras = {name for word in rest for part in re.findall(r"\[(.*)\]", word) for name in part.split(",")}
        assert extras <= PROJECT["optional-dependencies"].keys()
    elif kind == "docker":
        known = re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert {re.match(r"\w+", word)[0] for word in rest if re.match(r"[A-Z_]+=", word)} <= set(known)
    elif kind == "cd":
        assert len(rest) == 1
    else:
        assert line.words == ("source", ".venv/bin/activate"), "no command that a test knows: add its kind"


# ---- what is run
@pytest.fixture(scope="module")
def after_readme(tmp_path_factory):
    """The folder that README.md leaves."""
    folder = docs_fixture.write(tmp_path_factory.mktemp("docs"))
    docs_fixture.run([line.command for line in run_of("README.md")], folder)
    return folder


@pytest.fixture
def work(after_readme, tmp_path):
    """A copy of it."""
    shutil.copytree(after_readme, tmp_path / "work")
    return tmp_path / "work"


def test_the_commands_of_the_readme_run(after_readme):
    for left in ("runs/depth/results.json", "runs/cmp/report.html", "pictures", "runs/depth5/evaluation"):
        assert (after_readme / left).exists()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(pytest.param(f"docs/{name}.md", marks=pytest.mark.slow) for name in ("export", "training")),
    ],
)
def test_the_python_of_a_page_runs(page, work, monkeypatch):
    """As it stands there, but for what makes its calls small."""
    monkeypatch.chdir(work)
    docs_fixture.make_calls_small(monkeypatch)
    for block in docs_commands.blocks(page):
        if block.language == "python":
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), {})


def page_that_is_run(page: str):
    return pytest.param(page, marks=[] if page in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize("page", [page_that_is_run(page) for page in RUN])
def test_the_commands_of_a_page_run(page, work):
    done = {line.command for line in run_of("README.md")}
    docs_fixture.run([line.command for line in run_of(page) if line.command not in done], work)


def test_most_of_what_can_be_run_is_run():
    """The patterns of what is only read have not swallowed the guide."""
    assert {"docs/own-video.md", "docs/analysis.md", "docs/export.md", "docs/segmentation.md"} < set(RUN)
    assert {f"docs/methods/{path.name}" for path in (ROOT / "docs/methods").glob("*.md")} - set(RUN) == {
        "docs/methods/index.md"
    }


def test_commands_are_made_small_by_options_that_there_are():
    for name in docs_fixture.SMALL:
        words = (*name.split(), *docs_fixture.LEAST.get(name, "").split())
        docs_commands.check(docs_fixture.small(words))
