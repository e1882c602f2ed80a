from __future__ import annotations

import functools
import inspect
import re
import shlex
import subprocess
import sys

import pytest
import yaml

import geopretrain as gp
from geopretrain import cli
from geopretrain.config.command import CALLBACKS, options_class
from geopretrain.config.describe import options_of
from geopretrain.config.options import TrainCommandOptions
from geopretrain.config.parsing import build_parser, parse
from geopretrain.config.saved import NOT_SAVED, as_saved, command_line, read_saved, write_saved
from geopretrain.errors import UserError
from geopretrain.runs.folder import RunFolder

REQUIRED = {
    "data list": [],
    "data check": ["camvid", "--data-root", "data"],
    "data inspect": ["store"],
    "data prepare": ["a.mp4", "b.mp4", "--out", "store"],
    "data pseudo-depth": ["store", "--teacher", "runs/depth"],
    "data upload": ["store", "s3://bucket/store"],
    "data select": ["store", "--init", "runs/depth", "--out", "to-label"],
    "data propagate": ["labelled", "store", "--out", "more"],
    "advise": ["store", "camvid"],
    "analyse activations": ["runs/classes", "--data", "store", "--out", "looks"],
    "analyse features": ["imagenet", "runs/depth", "--data", "camvid", "--out", "features"],
    "analyse cka": ["imagenet", "runs/depth", "--data", "store", "--out", "layers"],
    "pretrain": ["scdepth", "--data", "store", "--out", "runs/depth"],
    "finetune segmentation": ["--data", "camvid", "--out", "runs/seg"],
    "finetune depth": ["--data", "store", "--out", "runs/depth"],
    "finetune detection": ["--data", "synthetic:street", "--out", "runs/objects"],
    "evaluate": ["runs/depth", "store"],
    "compare": ["--inits", "random,imagenet", "--data", "camvid", "--out", "cmp"],
    "predict": ["runs/depth", "a.png", "--out", "pictures"],
    "replay": ["runs/depth"],
    "export": ["runs/depth", "--format", "timm", "--out", "backbone.safetensors"],
    "recipes": [],
    "reproduce": ["mesa/chain", "--tiny"],
    "report": ["runs"],
    "demo": [],
}
"""The least that each command must be given."""
PUBLIC = {"report": "make_report"}
"""Functions that are not called as their command is: a package has that name."""


def run(capsys, *words):
    code = cli.main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def options_from(name, *words):
    cls = cli.COMMANDS[name].options_class()
    return cls(**parse(name, cls, [*REQUIRED[name], *words]))


# ---- one source: function = parser = help = saved configuration (the pages are in tests/docs)
@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_public_function_takes_the_options_of_the_command(name):
    command = cli.COMMANDS[name]
    function, cls = command.function(), command.options_class()
    assert options_class(function) is cls
    of_python = set(CALLBACKS) if issubclass(cls, TrainCommandOptions) else set()
    names = {option.name for option in options_of(cls)}
    assert set(inspect.signature(function).parameters) == names | of_python
    sections = inspect.getdoc(function)
    for option in options_of(cls):
        assert option.description, f"{option.name} is explained below its field"
        assert re.search(rf"^    {option.name}: ", sections, re.MULTILINE)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_parser_and_its_help_have_every_option(name, capsys):
    cls = cli.COMMANDS[name].options_class()
    parser = build_parser(name, cls)
    known = {action.dest for action in parser._actions} - {"help"}
    assert known == {option.name for option in options_of(cls)} | {"config"}
    code, out, _ = run(capsys, *name.split(), "--help")
    assert code == 0
    words = " ".join(out.split())
    for option in options_of(cls):
        assert re.search(rf"^  {re.escape(option.typed)}\b", out, re.MULTILINE)
        assert " ".join(option.description.replace("``", "").split()[:3]) in words
    assert "--config FILE" in out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_what_is_saved_repeats_the_command(name, tmp_path):
    cls, options = cli.COMMANDS[name].options_class(), options_from(name)
    saved = as_saved(name, options)
    assert set(saved) == {option.name for option in options_of(cls)} - set(NOT_SAVED) | {"command"}
    write_saved(tmp_path, saved)
    assert as_saved(name, cls(**read_saved(tmp_path, name, cls))) == saved
    typed = shlex.split(command_line(cls, saved))
    assert typed[: 1 + len(name.split())] == ["geopretrain", *name.split()]
    assert as_saved(name, cls(**parse(name, cls, typed[1 + len(name.split()) :]))) == saved


@pytest.mark.parametrize(
    "name", ["pretrain", "finetune segmentation", "finetune depth", "finetune detection"]
)
def test_every_training_option_exists_on_every_training_command(name):
    from geopretrain.config.options import TrainCommandOptions

    names = {option.name for option in options_of(cli.COMMANDS[name].options_class())}
    assert {option.name for option in options_of(TrainCommandOptions)} < names


def test_the_public_api_is_what_the_commands_call():
    for name, command in cli.COMMANDS.items():
        short = name if name in ("data list", "data check") else name.removeprefix("data ")
        public = PUBLIC.get(name, short.replace(" ", "_").replace("-", "_"))
        if not command.target.startswith("geopretrain.recipes."):
            assert getattr(gp, public) is command.function()
            assert public in dir(gp)


def test_public_names():
    assert re.fullmatch(r"\d+\.\d+\.\d+", gp.__version__)
    assert issubclass(gp.DataError, gp.UserError)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = gp.train


def test_help_imports_nothing_heavy():
    heavy = {"torch", "lightning", "timm", "cv2", "av", "transformers", "matplotlib", "plotly"}
    code = (
        "import sys; from geopretrain.cli import main\n"
        "for words in ([], ['--help'], ['--version'], ['pretrain', '--help'], ['finetune', '-h'], "
        "['finetune', 'depth', '-h'], ['compare', '-h'], ['evaluate', '-h'], ['nonsense'], "
        "['pretrain', '--bach-size', '3'], ['compare', '--seeds', '1']): main(words)\n"
        f"sys.exit(str({heavy!r} & set(sys.modules)) if {heavy!r} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_lists_all_commands_and_options(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    code, out, _ = run(capsys, "pretrain", "--help")
    assert code == 0
    assert "--batch-size" in out
    assert "(default: monodepth)" in " ".join(out.split())
    assert "geopretrain pretrain METHOD [options]" in out
    assert "e.g. 5%;" in " ".join(out.split())
    code, out, _ = run(capsys, "data")
    assert "data inspect" in out
    assert "finetune" not in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pretain"], "Unknown command 'pretain'. Did you mean 'pretrain'?"),
        (["data", "prepar", "x"], "Unknown command 'data prepar'. Did you mean 'prepare'?"),
        (
            ["finetune", "--data", "x"],
            "'finetune' needs a second word before the options: segmentation, depth",
        ),
        (["finetune", "segmentatoin"], "Did you mean 'segmentation'?"),
        (["pretrain", "monodept", "--data", "x", "--out", "y"], "Did you mean 'monodepth'?"),
        (["pretrain", "--bach-size", "3"], "Unknown option '--bach-size'. Did you mean '--batch-size'?"),
        (["pretrain", "--iterations", "3"], "Unknown option '--iterations'. Did you mean '--steps'?"),
        (["pretrain", "--steps", "many"], "--steps must be a whole number of at least 1, not 'many'."),
        (["pretrain", "--steps", "1.5"], "--steps must be a whole number of at least 1, not '1.5'."),
        (["pretrain", "--steps", "0"], "--steps must be a whole number of at least 1, not '0'."),
        (
            ["pretrain", "--batch-size", "-2"],
            "--batch-size must be auto or a whole number of at least 1, not '-2'.",
        ),
        (["pretrain", "--lr", "fast"], "--lr must be a positive number, not 'fast'."),
        (["pretrain", "--steps"], "--steps needs a value."),
        (["pretrain", "monodepth", "surplus"], "Unexpected 'surplus'."),
        (["pretrain", "--size", "320"], "--size must be HEIGHTxWIDTH in pixels"),
        (["pretrain", "--data", "x"], "--out is missing: Folder to write the run into."),
        (["pretrain", "--out", "x"], "--data is missing: Prepared store"),
        (["pretrain", "--resume"], "--resume needs the folder of the run"),
        (["pretrain", "--resume", "nowhere"], "There is no run in 'nowhere' to continue."),
        (["pretrain", "--data", ".", "--out", "y", "--settings", "smothness=1"], "'smoothness'"),
        (["pretrain", "--data", ".", "--out", "y", "--settings", "scales=9"], "scales must be"),
        (["data", "prepare", "--out", "x"], "INPUTS is missing: Videos"),
        (["data", "prepare", "a", "--out", "x", "--fov", "200"], "--fov must be an angle"),
        (["data", "prepare", "a", "--out", "x", "--min-motion", "3"], "--target-motion must be above"),
        (["finetune", "segmentation", "--mode", "frosen"], "Did you mean 'frozen'?"),
        (["compare", "--inits", "random", "--data", ".", "--out", "y"], "at least two initialisations"),
        (["compare", "--inits", "random,imagenet", "--seeds", "1"], "--seeds must be at least 2"),
        (["compare", "--inits", "random,imagenet", "--modes", "full,frosen"], "Did you mean 'frozen'?"),
        (["compare", "--inits", "random,imagenet", "--lr", "1e-3,1e-3"], "--lr must be auto, a positive"),
        (["predict", "nowhere", "x.png", "--out", "y"], "There is no run folder 'nowhere'"),
        (["predict", "run", "x.png"], "--out is missing: Folder to write into."),
        (["predict", "run", "x.png", "--out", "y", "--save", "dpeth"], "Did you mean 'depth'?"),
        (["evaluate", "run"], "DATA is missing"),
        (["pretrain", "--config", "nowhere.yaml"], "nowhere.yaml' cannot be read"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(capsys, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *words)
    assert code == 2
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [], "a mistake leaves nothing behind"


def test_debug_shows_where_it_came_from():
    with pytest.raises(UserError, match="needs a value"):
        cli.main(["pretrain", "--steps", "--debug"])


@pytest.fixture
def called(monkeypatch):
    """Replace the function behind ``pretrain``; return the keyword arguments it is called with."""
    from geopretrain.commands import pretrain as module

    seen = {}
    original = module.pretrain

    def fake(**given):
        seen.update(given)
        if "crash" in given.get("data", ""):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "pretrain", functools.wraps(original)(fake))
    return seen


def test_only_what_was_given_reaches_the_function(called, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"command": "pretrain", "steps": 7, "lr": 0.5}))
    words = ["pretrain", "scdepth", "--config", str(tmp_path), "--steps", "9", "--resume", "--out", "run"]
    assert cli.main(words) == 0
    assert called == {"method": "scdepth", "steps": "9", "lr": 0.5, "resume": "true", "out": "run"}


def test_ctrl_c_says_how_to_go_on(called, capsys, tmp_path):
    out = tmp_path / "a run"
    words = ["pretrain", "monodepth", "--data", "synthetic:crash", "--out", str(out), "--overwrite"]
    code, _, err = run(capsys, *words)
    assert code == 130
    assert "The run had not begun; repeat the command." in err
    RunFolder.create(out, config={"command": "pretrain"})  # as this process would
    code, _, err = run(capsys, *words)
    assert code == 130
    assert "Nothing was trained yet; repeat the command." in err
    (out / "checkpoints" / "last.ckpt").touch()
    code, _, err = run(capsys, *words)
    assert code == 130
    assert f"To continue: geopretrain pretrain --resume '{out}'" in err


def test_a_checkpoint_of_the_run_that_was_to_be_replaced_is_none_to_continue(called, capsys, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").touch()
    write_saved(tmp_path / "run", {"command": "pretrain"}, own=True)
    words = ["pretrain", "monodepth", "--data", "synthetic:crash", "--out", f"{tmp_path / 'run'}"]
    words += ["--overwrite"]
    code, _, err = run(capsys, *words)
    assert code == 130
    assert "The run had not begun; repeat the command." in err


ODD = ("", "nan", "inf", "-1", "0", "1e400", "9" * 40, "true", "a=b", "é", "[1, 2]", "{a: b}", ",", "x" * 999)
ODD_IN_PYTHON = (
    None,
    0,
    -1,
    1.5,
    float("nan"),
    10**30,
    True,
    [],
    [None],
    {},
    {"a": 1},
    b"a",
    "a\0b",
    object(),
)


def refusal(cls, values):
    """Return the sentence that refuses the values, nothing where they are taken."""
    try:
        as_saved("", cls(**values()))
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_odd_values_are_taken_or_refused_in_a_sentence(name):
    """Nothing else but an error in words comes of what can be typed, or given in Python."""
    cls = cli.COMMANDS[name].options_class()
    given = parse(name, cls, REQUIRED[name])
    for option in options_of(cls):
        for value in (*ODD, *ODD_IN_PYTHON):
            assert "\n" not in refusal(cls, lambda: {**given, option.name: value})  # noqa: B023
        for word in ODD:
            words = [word] if option.positional else [f"{option.typed}={word}"]
            assert "\n" not in refusal(cls, lambda: parse(name, cls, [*REQUIRED[name], *words]))  # noqa: B023


def test_the_package_is_the_command_line_too():
    ended = subprocess.run(
        [sys.executable, "-m", "geopretrain", "--version"], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, f"geopretrain {gp.__version__}\n")


def test_helps_list_the_settings_or_say_which_does(capsys):
    for words, expected in (
        (["finetune", "segmentation", "-h"], "Settings of segmentation (--settings NAME=VALUE...):\n"),
        (["finetune", "segmentation", "-h"], "\n  head=depth\n"),
        (["finetune", "depth", "-h"], "`geopretrain pretrain monodepth --help` lists its --settings."),
        (["compare", "-h"], "`geopretrain finetune segmentation --help` lists its --settings."),
    ):
        assert cli.main(words) == 0
        assert expected in capsys.readouterr().out


def test_a_gpu_is_called_cuda(capsys):
    assert cli.main(["pretrain", "--data", "x", "--out", "y", "--device", "gpu"]) == 2
    assert "Did you mean 'cuda'?" in capsys.readouterr().err
