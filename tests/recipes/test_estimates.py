"""What a dry run says of time, memory and disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geopretrain import cli
from geopretrain.config.options import CompareOptions, ReproduceOptions
from geopretrain.recipes import estimates
from geopretrain.recipes.estimates import BASE, Cost, in_words
from geopretrain.recipes.estimates import estimates as of
from geopretrain.recipes.plan import make_plan


@pytest.fixture
def costs(monkeypatch):
    """Costs that are easy to multiply; of ResNet-50 nothing is known."""
    monkeypatch.setattr(estimates, "BACKBONES", {"resnet18": Cost(2.0, BASE + 1000, 100)})
    methods = {"finetune segmentation": Cost(2.0, BASE + 1000), "monodepth": Cost(6.0, BASE + 2000)}
    monkeypatch.setattr(estimates, "METHODS", methods)


def plan(name, **more):
    return make_plan(ReproduceOptions(f"depth-to-semantic/{name}", dry_run=True, **more))


def test_time_is_that_of_all_trainings(costs):
    found = of(plan("table-1", small=True))
    samples = 4 * 96 * 320 / 1e6
    assert found["depth"].seconds == pytest.approx(2000 * samples * 2.0 * 3.0), (
        "the size is that of the store"
    )
    trainings = 4 * 2 * 3
    assert found["scores"].seconds == pytest.approx(trainings * 300 * samples * 2.0)
    assert found["scores"].disk == trainings * 100
    assert found["scores"].memory == pytest.approx(BASE + 1000)
    assert found["depth"].memory == pytest.approx(BASE + 2000)
    assert found["video"].seconds is None
    assert found["video"].frame == pytest.approx(3 * 96 * 320 / 1e6)


def test_steps_and_batch_are_those_of_the_preset_where_nothing_is_said(costs):
    found = of(plan("table-1"))
    assert found["depth"].seconds is None, "passes over data that nobody has counted"
    assert found["scores"].seconds == pytest.approx(4 * 2 * 5 * 20_000 * 16 * 192 * 640 / 1e6 * 2.0)


def test_labels_multiply_and_crops_are_smaller(costs):
    assert of(plan("fig-3", small=True))["scores"].disk == 4 * 3 * 3 * 100
    cropped = of(plan("table-5", small=True))["scores"]
    assert cropped.seconds == pytest.approx(4 * 3 * 300 * 4 * 96 * 96 / 1e6 * 2.0)


@pytest.mark.parametrize("size", ["64X96", (64, 96)])
def test_a_size_is_read_as_every_command_reads_it(costs, size):
    cropped = of(plan("table-5", small=True, settings={"crop": size}))["scores"]
    assert cropped.seconds == pytest.approx(4 * 3 * 300 * 4 * 64 * 96 / 1e6 * 2.0)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("crop=64xa", "The stage controlled (compare): crop must be HEIGHTxWIDTH in pixels"),
        ("patch=a", "The stage depth_cropped (pretrain): crop must be a whole number"),
        ("jitter=much", "The stage scores (compare): jitter must be a number from 0 to 1, not 'much'."),
        ("preset=fast", "The stage scores (compare): Unknown preset 'fast'."),
    ],
)
def test_what_a_stage_would_refuse_later_a_dry_run_refuses(capsys, setting, sentence):
    words = ["reproduce", "depth-to-semantic/table-5", "--tiny", "--dry-run", "--settings", setting]
    assert cli.main(words) == 2
    assert sentence in capsys.readouterr().err


def test_chosen_images_and_rates_that_are_tried_are_trainings_too():
    def stage(recipe, name):
        made = make_plan(ReproduceOptions(f"what-helps/{recipe}", dry_run=True, tiny=True))
        return next(step for step in made.stages if step.name == name).options

    chosen = stage("choice", "scores")
    assert estimates._trainings(chosen) == 2 * 2 * 2 * (2 + 1)
    searching = replace(stage("final", "linear"), lr=(1e-3, 3e-3, 1e-2))
    assert estimates._trainings(searching) == 2 * 2 * (2 * 2 + 3 * 2), "two further seeds for each rate"


def test_a_seed_for_each_set_is_fewer_trainings_and_kept_numbers_are_little():
    made = make_plan(ReproduceOptions("evidence/grid", dry_run=True, small=True, data_root="."))
    options = next(step for step in made.stages if step.name == "scores").options
    rows, counts, rates = 16 * 2, 4, 2
    assert estimates._trainings(options) == rows * counts * (6 + rates)
    every = replace(options, seed_per_set=False)
    assert estimates._trainings(every) == rows * (3 * 6 * 6 + 6 + counts * rates), "of all labels one set"
    assert of(made)["scores"].disk == rows * counts * (6 + rates) * estimates.NUMBERS


def test_rates_that_are_found_and_modes_that_are_usual_are_counted():
    usual = {"inits": "random,imagenet", "data": "x", "out": "y", "labels": 4, "seeds": 5}
    assert estimates._trainings(CompareOptions(**usual)) == 2 * 2 * 5
    assert estimates._trainings(CompareOptions(**usual, lr="auto")) == 2 * 2 * (5 + 5 * 2)
    assert estimates._trainings(CompareOptions(**usual, task="depth")) == 2 * 5, "all layers alone"


def test_what_is_trained_in_two_modes_at_once_counts_once():
    made = make_plan(ReproduceOptions("evidence/out-of-domain", dry_run=True, tiny=True))
    options = next(step for step in made.stages if step.name == "room_scores").options
    assert options.inits[0] == "imagenet"
    assert options.modes == ("full", "encoder")
    assert estimates._trainings(options) == (2 * len(options.inits) - 1) * len(options.seeds)


def test_what_nobody_has_measured_is_not_known(costs):
    text = in_words(plan("table-1-resnet50"))
    (line,) = [line for line in text.splitlines() if line.startswith("# scores")]
    assert line.split(maxsplit=2)[2].split() == ["not", "known"] * 3


def test_measured_steps_are_summed_over_the_rows(costs):
    found = of(plan("fig-6", small=True))
    assert found["rows: tuned"].disk == 4 * 100
    assert found["rows: scored"].seconds is None


def test_a_dry_run_ends_with_it(capsys):
    assert cli.main(["reproduce", "depth-to-semantic/table-1", "--tiny", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "# likely to take" in said
    assert "not known" in said
    assert " min " in said or " s " in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.2, "4.2 s"), (70, "70 s"), (600, "10 min"), (7200, "2 h"), (1e6, "12 days"), (None, "not known")],
)
def test_times_in_words(seconds, words):
    assert estimates._time(seconds) == words
