"""Methods and readers of other packages."""

from __future__ import annotations

import pytest

from geopretrain import plugins
from geopretrain.data.labelled.detect import LAYOUTS, LabelledLayout
from geopretrain.errors import ConfigError
from geopretrain.plugins import VARIABLE, load_plugins, with_plugins
from geopretrain.tasks.registry import PRETEXTS
from geopretrain.training.processes import environment as environment_of

MODULE = """
from geopretrain.tasks.registry import PRETEXTS
PRETEXTS["toy"] = "toy_of_mine:Toy"
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    PRETEXTS.pop("toy", None)


def test_a_module_named_in_the_environment_adds_its_rows(toy, monkeypatch):
    monkeypatch.setenv(VARIABLE, " toy_of_mine ,")
    load_plugins()
    assert PRETEXTS["toy"] == "toy_of_mine:Toy"
    load_plugins()  # once more does no harm


def test_an_installed_package_names_its_module_by_an_entry_point(toy, monkeypatch):
    point = type("Point", (), {"module": "toy_of_mine", "name": "toys"})
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delitem(__import__("sys").modules, "toy_of_mine", raising=False)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] * (group == plugins.GROUP))
    load_plugins()
    assert "toy" in PRETEXTS


def test_a_module_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv(VARIABLE, "no_such_module")
    with pytest.raises(ConfigError, match=r"no_such_module.*GEOPRETRAIN_PLUGINS.*PYTHONPATH"):
        load_plugins()


def test_a_module_that_ends_the_process_is_named(tmp_path, monkeypatch):
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "leaving_module")
    with pytest.raises(ConfigError, match="leaving_module"):
        load_plugins()


def test_processes_of_a_comparison_inherit_what_this_process_knows(toy, monkeypatch):
    monkeypatch.setenv(VARIABLE, "first")
    monkeypatch.setitem(PRETEXTS, "toy", "toy_of_mine:Toy")
    row = LabelledLayout("mine", "mine:", lambda spec: False, lambda spec: None)
    row.open.__module__ = "readers_of_mine"
    monkeypatch.setattr("geopretrain.data.labelled.detect.LAYOUTS", [*LAYOUTS, row])
    environment = environment_of(1)
    names = environment[VARIABLE].split(",")
    assert names[0] == "first"
    assert {"toy_of_mine", "readers_of_mine"} < set(names)
    assert not any(name.startswith("geopretrain") for name in names)
    assert str(toy) in environment["PYTHONPATH"]
    assert with_plugins(["a", "a"]) == "first,a"
