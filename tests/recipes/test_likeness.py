"""Recipes that are like others."""

from __future__ import annotations

import pytest
import yaml

from geopretrain.config.options import ReproduceOptions
from geopretrain.errors import ConfigError
from geopretrain.recipes.finding import names, read_recipe
from geopretrain.recipes.likeness import alike
from geopretrain.recipes.plan import make_plan

HEAD = {"title": "Mine", "item": "none", "question": "What?"}
BASE = {
    "title": "Theirs",
    "item": "Table 1",
    "claim": "It helps.",
    "settings": {"a": {"paper": 1, "small": 2, "source": "4.1"}, "b": {"paper": 3, "source": "4.2"}},
    "stages": [
        {"name": "video", "options": {"size": {"setting": "a"}}},
        {"name": "depth", "options": {"init": "random"}},
        {"name": "scores", "options": {"inits": ["random"], "steps": {"setting": "b"}}},
    ],
    "rows": [{"name": "MP", "start": "random", "printed": {"rmse": 0.1}}],
    "printed": [{"init": "random"}],
    "differs": ["One."],
}


def test_mappings_and_lists_of_names_are_taken_together():
    made = alike(
        BASE,
        {
            "settings": {"a": {"small": 5}, "c": {"paper": 7, "source": "mine"}},
            "stages": [
                {"name": "flow", "options": {"init": "imagenet"}},
                {"name": "depth", "options": {"init": {"stage": "flow"}}},
                {"name": "scores", "options": {"steps": 4}},
                {"name": "after"},
            ],
        },
    )
    assert made["settings"]["a"] == {"paper": 1, "small": 5, "source": "4.1"}
    assert list(made["settings"]) == ["a", "b", "c"]
    assert [stage["name"] for stage in made["stages"]] == ["video", "flow", "depth", "scores", "after"]
    assert made["stages"][2]["options"] == {"init": {"stage": "flow"}}
    assert made["stages"][3]["options"] == {"inits": ["random"], "steps": 4}, "a reference is no mapping"


def test_what_tells_items_apart_is_never_taken_over():
    made = alike(BASE, {"differs": ["Two."]})
    assert not {"title", "item", "claim", "printed"} & set(made)
    assert made["rows"] == [{"name": "MP", "start": "random"}]
    assert made["differs"] == ["One.", "Two."]
    assert "printed" in BASE["rows"][0], "the other one stays as it is"


def test_other_lists_and_values_take_the_place_of_what_was_there():
    stages = [{"name": "scores", "options": {"inits": ["imagenet"]}}]
    made = alike(BASE, {"stages": stages, "rows": []})
    assert made["stages"][2]["options"]["inits"] == ["imagenet"]
    assert made["rows"] == []


def write(folder, name, content):
    path = folder / name
    path.write_text(yaml.safe_dump({**HEAD, **content}), encoding="utf-8")
    return str(path)


def test_a_file_of_ones_own_is_like_one_of_ours_and_another_like_it(tmp_path):
    change = {"like": "depth-to-semantic/table-3", "settings": {"labels": {"tiny": 3}}}
    write(tmp_path, "first.yaml", change)
    second = read_recipe(write(tmp_path, "second.yaml", {"like": "first.yaml", "differs": ["All."]}))
    assert second.settings["labels"].tiny == 3
    assert second.settings["labels"].paper == 16
    assert [stage.name for stage in second.stages] == ["video", "depth", "scores"]
    assert second.printed == []
    assert second.differs[-1] == "All."


def test_what_nothing_leads_to_any_more_is_gone():
    whole, part = (read_recipe(f"depth-to-semantic/{name}") for name in ("table-1", "fig-4"))
    assert list(whole.settings) == list(part.settings)
    flow_only = read_recipe("depth-to-semantic/table-4")
    assert "depth_random" not in [stage.name for stage in flow_only.stages]
    vit = read_recipe("depth-to-semantic/table-3-vit")
    assert list(vit.data) == ["drives", "labelled", "depth_weights"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"like": "depth-to-semantic/table-11"}, "no recipe. Did you mean 'depth-to-semantic/table-1'"),
        ({"like": "nowhere.yaml"}, "nowhere.yaml' cannot be read"),
        ({"like": "mine.yaml"}, "is like itself"),
        ({"like": 3}, "like"),
        ({"like": "depth-to-semantic/table-1", "stages": 3}, "stages"),
        (
            {"like": "depth-to-semantic/table-1", "settings": {"new": {"paper": 1}}},
            "settings.new.source is missing",
        ),
        (
            {"like": "depth-to-semantic/table-1", "stages": [{"name": "scores", "options": {"lables": 3}}]},
            "scores has no option 'lables'. Did you mean 'labels'?",
        ),
    ],
)
def test_likeness_that_leads_nowhere_is_refused(tmp_path, content, sentence):
    with pytest.raises(ConfigError) as error:
        read_recipe(write(tmp_path, "mine.yaml", content))
    assert sentence in str(error.value)


def test_every_item_of_lao_et_al_has_a_name():
    wanted = [f"table-{k}" for k in range(1, 7)] + [f"fig-{k}" for k in range(2, 9)]
    wanted += ["supp-table-1", *(f"supp-fig-{k}" for k in range(1, 6))]
    assert {f"depth-to-semantic/{one}" for one in wanted} <= set(names())


ODD_STAGE = {"name": "depth", "words": "a\nreboot"}
SUM = "depth-to-semantic/table-3"
ODD = {
    "cannot be read as YAML (its parts refer": "settings: {labels: &a {paper: [*a], source: x}}",
    "cannot be read as YAML ('settings' stands twice": "settings: {}\nsettings: {}",
    "there are two of the name 'depth'": "stages: [{name: depth, words: a}, {name: depth, words: b}]",
    "stages[0].name must be a valid string": "stages: [{name: {a: 1}, words: a}]",
    "no stage can be called rows": "stages: [{name: rows, words: a, command: data prepare}, {name: scores}]",
}


@pytest.mark.parametrize("sentence", ODD)
def test_what_would_be_lost_or_never_end_is_refused(tmp_path, sentence):
    text = yaml.safe_dump({**HEAD, "like": SUM}) + ODD[sentence]
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_recipe(str(tmp_path / "odd.yaml"))
    assert sentence in str(error.value)


def test_parts_that_stand_for_too_many_are_refused(tmp_path):
    lines = "\n".join(f"  - &b{n} [*b{n - 1}, *b{n - 1}]" for n in range(1, 40))
    (tmp_path / "odd.yaml").write_text(f"{yaml.safe_dump(HEAD)}data:\n  - &b0 [1, 1]\n{lines}\n")
    with pytest.raises(ConfigError, match="without end, or are too many"):
        read_recipe(str(tmp_path / "odd.yaml"))


@pytest.mark.parametrize("like", ["a\0.yaml", "\ud800.yaml", "x" * 300 + ".yaml"])
def test_a_recipe_that_no_file_can_be_called_is_refused(tmp_path, like):
    with pytest.raises(ConfigError, match="must be a path"):
        read_recipe(write(tmp_path, "odd.yaml", {"like": like}))


def test_a_title_over_several_lines_is_one_comment_of_the_calls(tmp_path):
    path = write(tmp_path, "odd.yaml", {"like": SUM, "title": "Mine\nrm -rf /", "stages": [ODD_STAGE]})
    text = make_plan(ReproduceOptions(path, tiny=True, dry_run=True)).text()
    assert "# Mine rm -rf / (tiny)" in text
    assert "depth: a reboot" in text
    assert all(line.startswith(("#", "geopretrain ")) for line in text.splitlines())


def test_a_setting_cannot_be_given_itself(tmp_path):
    with pytest.raises(ConfigError, match="the setting labels refers to another setting"):
        make_plan(ReproduceOptions(SUM, tiny=True, settings={"labels": {"setting": "labels"}}))
