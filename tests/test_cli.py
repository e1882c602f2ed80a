from __future__ import annotations

import functools
import inspect
import re
import subprocess
import sys

import pytest
import yaml

import geopretrain as gp
from geopretrain import cli
from geopretrain.config import arguments
from geopretrain.errors import UserError

WITHOUT_OPTION = {"demo": {"size"}}  # a dataclass for tests, no plain value


def run(capsys, *words):
    code = cli.main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_options_are_the_parameters_of_the_public_function(name):
    function = cli.COMMANDS[name].function()
    options = arguments.options_of(function)
    parameters = inspect.signature(function).parameters
    assert set(options) == set(parameters) - WITHOUT_OPTION.get(name, set())
    assert all(option.help for option in options.values()), "every option is explained in the docstring"
    assert {n: o.default for n, o in options.items()} == {n: parameters[n].default for n in options}
    assert all(positional in options for positional in cli.COMMANDS[name].positionals)


PUBLIC = ["inspect", "prepare", "pretrain", "finetune", "finetune_depth", "evaluate", "compare", "predict"]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_api_is_what_the_commands_call(name):
    commands = {command.removeprefix("data ").replace(" ", "_"): c for command, c in cli.COMMANDS.items()}
    assert getattr(gp, name) is commands[name].function()
    assert name in dir(gp)


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
        "['evaluate', '-h'], ['nonsense'], ['pretrain', '--bach-size', '3']): main(words)\n"
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
    assert "(default: monodepth)" in out
    assert "geopretrain pretrain METHOD [options]" in out
    assert "e.g. 5%;" in out
    code, out, _ = run(capsys, "data")
    assert "data inspect" in out
    assert "finetune" not in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pretain"], "Unknown command 'pretain'. Did you mean 'pretrain'?"),
        (["data", "prepar", "x"], "Unknown command 'data prepar'. Did you mean 'prepare'?"),
        (["pretrain", "monodept", "--data", "x", "--out", "y"], "Did you mean 'monodepth'?"),
        (["finetune", "segmentatoin"], "Did you mean 'segmentation'?"),
        (["pretrain", "--bach-size", "3"], "Unknown option '--bach-size'. Did you mean '--batch-size'?"),
        (["pretrain", "-s", "3"], "Unknown option '-s'."),
        (["pretrain", "--steps", "many"], "--steps must be a whole number, not 'many'."),
        (["pretrain", "--steps", "1.5"], "--steps must be a whole number, not '1.5'."),
        (["pretrain", "--lr", "fast"], "--lr must be a number, not 'fast'."),
        (["pretrain", "--steps"], "--steps needs a value."),
        (["pretrain", "--steps", "--lr", "1"], "--steps needs a value."),
        (["pretrain", "monodepth", "surplus"], "Unexpected 'surplus'."),
        (["pretrain", "--size", "320", "--data", "x", "--out", "y"], "HEIGHTxWIDTH"),
        (["pretrain", "--data", "x"], "--out is missing"),
        (["pretrain", "--out", "x"], "--data is missing"),
        (["data", "prepare", "--out", "x"], "--inputs is missing"),
        (["finetune", "--data", "x", "--out", "y", "--mode", "frosen"], "Did you mean 'frozen'?"),
        (["predict", "nowhere", "x.png", "--out", "y"], "There is no run folder 'nowhere'"),
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


def test_values_arrive_as_the_function_wants_them(called):
    words = ["pretrain", "monodepth", "--data", "2011_09_26", "--batch-size=4", "--lr", "1e-4", "--resume"]
    assert cli.main([*words, "--channels-last", "false", "--size", "96x320"]) == 0
    assert called == {
        "method": "monodepth",
        "data": "2011_09_26",
        "batch_size": 4,
        "lr": 1e-4,
        "resume": True,
        "channels_last": False,
        "size": "96x320",
    }


def test_several_values(called):
    cli.main(["pretrain", "--data", "a.mp4", "2011_09_26", "--settings", "smoothness=0.1", "automask=false"])
    assert called == {"data": ["a.mp4", "2011_09_26"], "settings": ["smoothness=0.1", "automask=false"]}


def test_numbers_where_one_or_many_are_allowed():
    from geopretrain.commands.finetune_segmentation import finetune

    def points(*words):
        return arguments.parse(finetune, ["--curve-points", *words], command="finetune")["curve_points"]

    assert points("6") == 6
    assert points("30,60") == "30,60"
    assert points("30", "60") == ["30", "60"]


def test_a_run_is_repeated_from_its_configuration_and_the_command_line_wins(called, tmp_path):
    config = {"geopretrain": "0.1.0", "command": "pretrain", "method": "monodepth", "data": ["a", "b"]}
    config |= {
        "steps": 7,
        "lr": 0.5,
        "threads": None,
        "settings": {"smoothness": 0.1},
        "channels_last": False,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["pretrain", "--steps", "9", "--config", str(tmp_path)]) == 0
    expected = {"method": "monodepth", "data": ["a", "b"], "steps": 9, "lr": 0.5}
    assert called == expected | {"settings": {"smoothness": 0.1}, "channels_last": False}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("command: finetune", "of a finetune run"),
        ("command: pretrain\nstep: 3", "Did you mean 'steps'?"),
        ("- a\n- b", "not a list of settings"),
        ("a: [", "cannot be read"),
    ],
)
def test_configurations_that_do_not_fit(called, capsys, tmp_path, text, sentence):
    (tmp_path / "c.yaml").write_text(text)
    code, _, err = run(capsys, "pretrain", "--config", str(tmp_path / "c.yaml"))
    assert code == 2
    assert sentence in err


def test_ctrl_c_says_how_to_go_on(called, capsys):
    code, _, err = run(capsys, "pretrain", "monodepth", "--data", "crash here", "--out", "o", "--overwrite")
    assert code == 130
    assert "geopretrain pretrain monodepth --data 'crash here' --out o --resume" in err
