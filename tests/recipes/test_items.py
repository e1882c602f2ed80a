"""Several tables and figures of one study: each has a name, runs what it needs, and shares the trainings."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from geopretrain import cli
from geopretrain.config.options import ReproduceOptions
from geopretrain.errors import ConfigError, RunFolderError
from geopretrain.recipes import finding
from geopretrain.recipes.finding import FOLDER, all_recipes, find, item_names
from geopretrain.recipes.listing import recipes
from geopretrain.recipes.plan import make_plan
from geopretrain.recipes.reproduce import reproduce
from geopretrain.recipes.results import collect

MESA = ["table-1", "table-2", "table-3", *(f"fig-{number}" for number in range(2, 11))]
GEOMETRIC = ["table-1", "table-2", "fig-1", "fig-4", "fig-5"]
NAMES = [*(f"mesa/{item}" for item in MESA), *(f"geometric-pretraining/{item}" for item in GEOMETRIC)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def plan_of(name, scale="tiny", **more):
    scales = {"paper": {}, "small": {"small": True}, "tiny": {"tiny": True}}
    return make_plan(ReproduceOptions(name, dry_run=True, **scales[scale], **more))


# ---- names
@pytest.mark.parametrize("scale", ["paper", "small", "tiny"])
@pytest.mark.parametrize("name", NAMES)
def test_every_table_and_figure_has_a_name_that_is_a_part_of_a_study(name, scale):
    plan = plan_of(name, scale)
    assert list(plan.items) == [plan.item] == [name.split("/")[1]]
    whole = {step.name: step.line for step in plan_of(find(name).name, scale).steps}
    assert plan.steps
    assert all(step.line == whole[step.name] for step in plan.steps), "the very calls of the study"


def test_items_are_listed_below_their_study_and_shown_with_their_own_numbers(capsys):
    assert set(NAMES) == set(item_names(all_recipes()))
    listed = recipes()
    assert all(f"  {name} " in listed for name in NAMES)
    shown = recipes("mesa/table-2")
    assert "Table 2: the same networks on iBims-1" in shown
    assert "30.05" in shown
    assert "0.287" not in shown, "that is of table 1"
    assert "VPD" in recipes("mesa/table-3")
    assert cli.main(["reproduce", "mesa/fig-11", "--tiny"]) == 2
    assert "Did you mean 'mesa/fig-10'?" in capsys.readouterr().err


def test_the_printed_numbers_are_those_of_the_papers():
    mesa = find("mesa/chain").recipe.shown()
    assert mesa["table-2"].numbers["MP+GP+SP"] == {
        "dbe_acc": 2.16, "dbe_com": 19.31, "pe_plan": 2.17, "pe_orie": 6.44, "abs_rel": 0.083,
    }  # fmt: skip
    assert mesa["table-1"].numbers["MP+GP+SP"]["rmse"] == 0.265
    assert mesa["table-3"].numbers == {
        "MP+GP+SP": {"rmse": 0.238, "a1": 0.964, "a2": 0.995, "a3": 0.999, "abs_rel": 0.066, "log10": 0.029}
    }
    assert mesa["table-3"].others["VPD"]["rmse"] == 0.254
    wang = find("geometric-pretraining/transfer").recipe.shown()
    assert [wang["table-1"].numbers[name]["samples"] for name in ("kcd", "kc", "d_noI", "d", "kcd_hd")] == [
        98_000, 80_000, 38_000, 38_000, 118_000,
    ]  # fmt: skip
    assert len(wang["table-2"].numbers) == 22
    assert wang["table-2"].numbers["M-d"] == {
        "abs_rel": 0.112, "sq_rel": 0.820, "rmse": 4.707, "rmse_log": 0.189, "a1": 0.879, "a2": 0.961,
        "a3": 0.982,
    }  # fmt: skip
    assert wang["fig-4"].numbers == wang["fig-5"].numbers == {}, "these are curves, of which none are printed"


# ---- what an item needs
def test_a_figure_of_pre_trained_layers_fine_tunes_nothing():
    plan = plan_of("mesa/fig-8")
    assert {step.command for one in plan.measured for step in one.steps} == {"analyse cka"}
    assert [one.name for one in plan.measured] == ["MP, seed 0", "MP+GP, seed 0", "MP+GP+SP, seed 0"]
    assert {one.seed for one in plan_of("mesa/table-2").measured} == {0, 1}, "a table has all seeds"


def test_a_figure_of_one_row_needs_the_stages_of_that_row_alone():
    alone = [step.name for step in plan_of("mesa/fig-2").stages]
    assert alone == ["frames", "other_pictures", "masked_others"], "as the paper: ImageNet"
    others = [step.name for step in plan_of("mesa/fig-9").stages]
    assert others == ["frames", "masked", "other_pictures", "masked_others"]


def test_the_pre_trained_models_are_a_table_without_fine_tuning():
    plan = plan_of("geometric-pretraining/table-1", "paper")
    assert plan.measured == []
    runs = {step.name: step.options for step in plan.stages if step.command == "pretrain"}
    assert list(runs) == ["kc", "kcd", "d_noI", "d", "kcd_hd"]
    assert {one.method for one in runs.values()} == {"geometric_flow"}
    assert [one.init for one in runs.values()] == ["imagenet", "imagenet", "random", "imagenet", "imagenet"]
    assert (runs["kcd_hd"].backbone, runs["kcd_hd"].batch_size, runs["kcd"].batch_size) == ("resnet50", 8, 20)
    assert {(one.lr, one.schedule) for one in runs.values()} == {(1e-4, "constant")}


def test_values_of_rows_say_what_is_learned_from():
    plan = plan_of("geometric-pretraining/transfer", "paper")
    steps = {step.name: step.options for step in plan.steps}
    for row, supervision, data in (
        ("S-d", "S", "pairs"),
        ("M-d", "M", "triplets"),
        ("MS-d", "MS", "triplets"),
    ):
        fine = steps[f"{row}/seed-0/finetuned"]
        assert (fine.supervision, fine.data) == (supervision, str(plan.out / data))
        assert (fine.init, fine.subset, fine.keep) == (str(plan.out / "d"), None, "last")
    few = steps["S-d-5/seed-0/finetuned"]
    assert (few.subset, few.keep, few.supervision) == (0.05, "best", "S")
    assert steps["M-d/seed-0/scored"].protocol == "kitti-eigen-garg-80-median"
    assert steps["S-d/seed-0/scored"].split_file == "eigen-test"
    assert steps["S-d/seed-0/elsewhere"].protocol == "cityscapes-80-median-drop5"
    assert steps["pairs"].inputs.endswith("kitti-raw?split=eigen-train")
    assert "M-d/seed-0/elsewhere" not in steps, "only few-shot networks are shown in another city"


def test_items_whose_data_are_not_there_are_left_out_and_named(tmp_path):
    (tmp_path / "7scenes").mkdir()
    plan = plan_of("mesa/chain", "small", data_root=tmp_path)
    assert list(plan.items) == [
        item for item in MESA if item not in ("table-2", "fig-2", "fig-4", "fig-7", "fig-9", "fig-10")
    ]
    first, second = plan.left_out
    assert first.startswith("Left out: Table 2, Figure 4, Figure 7. mesa/chain needs the data 'outside'")
    assert second.startswith("Left out: Figure 2, Figure 9, Figure 10. mesa/chain needs the data 'others'")
    assert first in plan.text()
    with pytest.raises(ConfigError, match="mesa/table-2 needs the data 'outside' below --data-root: ibims1"):
        make_plan(ReproduceOptions("mesa/table-2", small=True, data_root=tmp_path))


def test_rows_whose_data_are_not_there_are_left_out_of_a_table_and_named(tmp_path):
    (tmp_path / "driving").mkdir()
    drive = tmp_path / "kitti_raw/2011_09_26/2011_09_26_drive_0001_sync/image_02/data"
    drive.mkdir(parents=True)
    (drive / "0000000000.png").touch()
    (tmp_path / "kitti_raw/2011_09_26/calib_cam_to_cam.txt").touch()
    plan = plan_of("geometric-pretraining/table-2", "small", data_root=tmp_path)
    (sentence,) = plan.left_out
    assert sentence.startswith("Left out: S-kc, S-kcd, M-kc, M-kcd, MS-kc, MS-kcd, MS-kcd_hd-50, ")
    assert "needs the data 'cityscapes' below --data-root: cityscapes-video?split=train;" in sentence
    rows = ["scratch", "d_noI", "ImageNet", "d"]
    assert plan.items["table-2"].rows[:8] == [*(f"S-{row}" for row in rows), *(f"M-{row}" for row in rows)]
    assert {one.row.name for one in plan.measured} == set(plan.items["table-2"].rows)
    whole = plan_of("geometric-pretraining/transfer", "small", data_root=tmp_path)
    assert list(whole.items) == ["table-1", "table-2", "fig-1", "fig-4"]


def test_each_row_is_named_with_the_data_that_it_lacks(tmp_path):
    drive = tmp_path / "kitti_raw/2011_09_26/2011_09_26_drive_0001_sync/image_02/data"
    drive.mkdir(parents=True)
    (drive / "0000000000.png").touch()
    (tmp_path / "kitti_raw/2011_09_26/calib_cam_to_cam.txt").touch()
    plan = plan_of("geometric-pretraining/table-2", "small", data_root=tmp_path)
    rows = {
        sentence.split("the data '")[1].split("'")[0]: sentence.split(" in Table II")[0]
        for sentence in plan.left_out
    }
    assert sorted(rows) == ["cityscapes", "drives", "drives_small"]
    needing = {data: named.removeprefix("Left out: ").split(", ") for data, named in rows.items()}
    assert "S-kc" in needing["cityscapes"]
    assert "S-d" not in needing["cityscapes"]
    assert [row for row in needing["drives_small"] if row.endswith("-kc")] == []
    assert "S-kcd" in needing["cityscapes"], "it lacks two, and is named with both"
    assert "S-kcd" in needing["drives_small"]
    assert "S-d" in needing["drives"]


# ---- files
def of_mesa(change):
    content = yaml.safe_load((FOLDER / "mesa/chain.yaml").read_text(encoding="utf-8"))
    change(content)
    return content


BROKEN = {
    "the item fig-2 has MP2, which is no row": lambda c: c["items"]["fig-2"].update(rows=["MP2"]),
    "the item fig-2 has scored in 'maps', which is no measured step of `analyse cka`": lambda c: c["items"][
        "fig-2"
    ].update(maps=["scored"]),
    "the item fig-3 has layers in 'pictures', which is no measured step of `evaluate`": lambda c: c["items"][
        "fig-3"
    ].update(pictures="layers"),
    "the item table-2 prints rmse, which is no column": lambda c: c["items"]["table-2"]["printed"][
        "MP"
    ].update(rmse=1.0),
    "the item fig-2 shows nothing": lambda c: c["items"]["fig-2"].pop("maps"),
    "the item table-1 has in 'lines' not two values of rows": lambda c: c["items"]["table-1"].update(
        lines=["percent"]
    ),
    "draws lines over percent, which the row MP has no value of": lambda c: c["items"]["table-1"].update(
        lines=["percent", "name"]
    ),
    "row MP is against MQ, which is no row": lambda c: c["rows"][0].update(against="MQ"),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_items_that_cannot_be_are_refused_before_anything_is_run(tmp_path, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(of_mesa(BROKEN[sentence])), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        plan_of(str(path))
    assert sentence in str(error.value)


def test_items_have_rows_which_a_comparison_has_not(tmp_path):
    content = yaml.safe_load((FOLDER / "what-helps/instrument.yaml").read_text(encoding="utf-8"))
    content["items"] = {"fig-1": {"item": "Figure 1", "words": "curves", "scored": "scores"}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError, match="fig-1 is of a recipe that ends with a comparison"):
        plan_of(str(path))


# ---- run
WORLD = "synthetic:street?worlds=1&frames=14&seed=60&height=64&width=96"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder of recipes with few-shot learning in it, of two rows for each supervision, cut short."""
    folder = tmp_path_factory.mktemp("recipes")
    content = yaml.safe_load((FOLDER / "geometric-pretraining/transfer.yaml").read_text(encoding="utf-8"))
    keep = ["S-scratch", "S-d_noI", "M-scratch", "M-d_noI", "d_noI"]
    rows = {row["name"]: row for row in content["rows"] if row["name"] in keep}
    few = {"percent": 50, "subset": "50%", "keep": "best", "monitor": "validation/loss"}
    for name, row in rows.items():
        row["against"] = f"{name[0]}-scratch" if name != "d_noI" else None
        more = few if name.startswith("S") else {"percent": 100}
        row["values"] = {**row.get("values", {}), **more, "weights": name[2:]}
    content["rows"] = list(rows.values())
    for one in content["settings"].values():
        if "tf_efficientnet_lite0" in (one.get("tiny"), one.get("paper")):
            one["tiny"] = "test_resnet"
    content["data"]["drives"]["tiny"] = f"{WORLD}&stereo=0"
    items = content["items"]
    content["items"] = {
        "table-1": {**items["table-1"], "rows": ["d_noI"], "printed": {"d_noI": {"samples": 38000}}},
        "table-2": {**items["table-2"], "rows": keep[:4]},
        "fig-1": {**items["fig-1"], "rows": ["S-scratch", "S-d_noI"], "frames": 1},
        "fig-4": {**items["fig-4"], "rows": keep[:4]},
        "fig-5": {**items["fig-5"], "rows": ["S-scratch"]},
    }
    (folder / "paper").mkdir()
    (folder / "paper/short.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def run(capsys, out, item, *more):
    words = ["reproduce", f"paper/{item}", "--tiny", "--out", str(out), "--threads", "1", *more]
    code = cli.main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def out(study, tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "FOLDER", study)
    return tmp_path / "out"


def test_items_share_what_is_trained_and_each_has_its_page(out, capsys):
    code, said, err = run(capsys, out, "table-2")
    assert code == 0, err
    assert "Table II: Abs Rel on 2 pictures (dense-80-metric or dense-80-median, 1 seed)" in said
    assert f"The report is {out / 'table-2.html'}." in said
    table = json.loads((out / "table-2.json").read_text())["items"]["table-2"]["rows"]
    assert [row["row"] for row in table] == ["S-scratch", "S-d_noI", "M-scratch", "M-d_noI"]
    assert table[2]["numbers"]["abs_rel"]["paper"] == 0.132
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    assert len(trained) == 5

    code, said, _ = run(capsys, out, "fig-5")
    assert code == 0
    assert said.count("Done before") == 2, "the store and the training of the row"
    page = (out / "fig-5.html").read_text(encoding="utf-8")
    assert "The paper prints no numbers of it." in page
    assert "0.130" not in page, "the paper's number of KITTI, which has nothing to do with another city"

    code, said, _ = run(capsys, out, "table-1")
    assert code == 0
    numbers = json.loads((out / "table-1.json").read_text())["items"]["table-1"]["rows"][0]["numbers"]
    assert numbers["samples"]["values"] == [json.loads((out / "d_noI/results.json").read_text())["samples"]]
    assert numbers["samples"]["paper"] == 38000
    assert f"samples: d_noI {numbers['samples']['values'][0]:.0f}." in said

    code, said, _ = run(capsys, out, "short")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")} == trained
    page = (out / "report.html").read_text(encoding="utf-8")
    assert all(f'<h2 id="{item}">' in page for item in GEOMETRIC)
    assert "EPC++ (M)" in page
    shown = page[: page.index("<footer")]  # what follows are scripts
    frames = len(set(re.findall('data-picture="(.*?)"', shown)))
    assert frames
    assert shown.count("data:image/png;base64,") == frames * 6, "figure 1: two each of two rows"
    assert shown.count('<script type="application/json">') == 2, "lines of figures 4 and 5"
    assert sorted(path.name for path in out.glob("*.html")) == [
        "fig-5.html",
        "report.html",
        "table-1.html",
        "table-2.html",
    ]

    code, _, err = run(capsys, out, "fig-4", "--settings", "steps=3")
    assert code == 2
    assert "with settings = {}, not {'steps': 3}" in err


def test_only_rows_that_are_held_against_each_other_must_be_scored_alike(out, tmp_path):
    plan = make_plan(ReproduceOptions("paper/table-2", tiny=True, out=tmp_path / "made"))
    numbers = {column.name: 0.5 for column in plan.recipe.measure.columns}
    for one in plan.measured:
        folder = one.step("scored").folder
        folder.mkdir(parents=True)
        score = {"protocol": one.row.name[0], "images": 3, **numbers}
        (folder / "x.json").write_text(json.dumps(score))
    made = collect(plan, plan.measured)
    assert made.protocol == "S or M"
    assert [made.baseline(line).row.name for line in made.lines] == ["S-scratch"] * 2 + ["M-scratch"] * 2
    assert made.sentences() == ["There are too few seeds to tell differences in Abs Rel between rows."]
    assert collect(plan, []).images == 0, "where all rows of a table failed the others are shown"
    (folder / "x.json").write_text(json.dumps({**score, "protocol": "S"}))
    with pytest.raises(RunFolderError, match="not scored alike"):
        collect(plan, plan.measured)
    shutil.rmtree(tmp_path / "made")


def test_a_figure_without_a_table_has_a_report(out):
    shown = reproduce("paper/fig-1", tiny=True, out=out, dry_run=True)
    with pytest.raises(ConfigError, match="Nothing was run"):
        _ = shown.table
    made = reproduce("paper/fig-1", tiny=True, out=out, threads=1)
    assert made.report == out / "fig-1.html"
    assert (out / "fig-1.png").is_file()
    with pytest.raises(ConfigError, match="This is a figure"):
        _ = made.table
    assert f"The report is {made.report}." in made.text()
