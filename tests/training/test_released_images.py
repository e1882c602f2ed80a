"""Which images the released script of Lao et al. learns from, alone and in a comparison."""

from __future__ import annotations

import pytest

import geopretrain as gp
from geopretrain.config.options import FinetuneSegmentationOptions
from geopretrain.errors import OptionError, RunFolderError
from geopretrain.training.segmentation import segmentation_training

DATA = "synthetic:street?train=8&val=2&test=2"
SMALL = {"backbone": "test_resnet", "size": (64, 96), "device": "cpu", "threads": 1, "preset": "short"}


def learned_from(out, **options):
    training = segmentation_training(
        FinetuneSegmentationOptions(data=DATA, out=out, labels=3, **SMALL, **options)
    )
    return training.samples.positions.tolist()


def test_as_released_the_first_images_unless_it_is_said_how_they_are_drawn(tmp_path):
    drawn = learned_from(tmp_path / "a", subset_seed=3)
    first = learned_from(tmp_path / "b", as_released=True)
    assert first == sorted(first)
    with pytest.raises(OptionError, match="as_released takes the first ones"):
        learned_from(tmp_path / "c", as_released=True, subset_seed=3)
    assert sorted(drawn) != first
    for by in ("chance", "sequence"):
        more = {"subset_seed": 3, "subset_by": by}
        assert learned_from(tmp_path / "d", as_released=True, **more) == learned_from(tmp_path / "e", **more)


def test_a_run_goes_on_with_its_own_images_only(tmp_path):
    run = gp.finetune_segmentation(
        data=DATA, out=tmp_path / "run", labels=3, as_released=True, steps=2, progress=False, **SMALL
    )
    (run.path / "results.json").unlink()
    saved = run.path / "config.yaml"
    saved.write_text(saved.read_text().replace("subset_by: null", "subset_by: chance"))
    with pytest.raises(RunFolderError, match="was begun with other images"):
        gp.finetune_segmentation(resume=run.path, progress=False)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return gp.compare(
        ("random",),
        variants={"script": {"init": "random", "as_released": True}},
        data=DATA,
        out=tmp_path_factory.mktemp("released") / "cmp",
        labels=3,
        seeds=2,
        steps=4,
        curve_points=1,
        modes=("full", "frozen"),
        pictures=1,
        jobs=1,
        progress=False,
        **SMALL,
    )


def test_a_comparison_puts_the_script_beside_on_the_same_images(comparison):
    runs = [
        gp.RunFolder.open(folder) for folder in sorted(comparison.path.glob("trials/*")) if folder.is_dir()
    ]
    assert len(runs) == 8
    released = {run.path.name: run.config["as_released"] for run in runs}
    assert {name for name, said in released.items() if said} == {
        n for n in released if n.startswith("script")
    }
    assert {(run.config["subset_seed"], run.config["subset_by"]) for run in runs} == {(0, "chance")}
    frozen = {row.init: row for row in comparison.rows if row.mode == "frozen"}
    assert (
        frozen["random"].values != frozen["script"].values
    )  # whose encoder learns, and whose gradients add up
