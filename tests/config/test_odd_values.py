"""Every option of every command and method, and what callers in Python name: taken in its range, or refused.

A refusal is one sentence; nothing else comes of a wrong value, and nothing is trained to find it out.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import geopretrain as gp
from geopretrain import cli
from geopretrain.config.options import CompareOptions, PretrainOptions
from geopretrain.config.saved import as_saved
from geopretrain.data.dataset import Fields, PseudoDepthInfo
from geopretrain.data.labelled.labelled_set import LabelledSet
from geopretrain.data.opening import open_dataset
from geopretrain.data.store.frame_store import FrameStore
from geopretrain.data.subsets import nested_subset
from geopretrain.errors import OptionError, UserError
from geopretrain.runs.folder import RunFolder
from geopretrain.schema import Count, Natural, Positive, Seed, choices_of, hints
from geopretrain.study import Comparison, paired_difference
from geopretrain.tasks.registry import PRETEXTS, TRANSFERS, segmentation_class, task_class
from geopretrain.training.settings import LoopSettings
from geopretrain.weights import parse_init, read_lineage, read_tensors

ODD = (
    *(None, True, False, -1, 0, 1.5, 10**18, -(10**30), 10**400),
    *(math.nan, math.inf, -math.inf, 1e30, 1j),
    *("", " ", "\n", "x" * 300, "nan", "1e400", "-1", "a\0b", b"a", b"5"),
    *([], [None], [1, "a"], [b"a"], (), {}, {"a": 1}, set(), range(3), object(), object, len),
    *(
        Path("x"),
        np.array("x"),
        np.array([1, 2]),
        np.array([[1, 2]], dtype=object),
        np.datetime64("2020-01-01"),
    ),
    *(torch.tensor([1.0, 2.0]), torch.zeros(2, 2), Exception("x")),
)
NEEDED = {
    "PretrainOptions": {"data": "d", "out": "o"},
    "FinetuneSegmentationOptions": {"data": "d", "out": "o"},
    "FinetuneDepthOptions": {"data": "d", "out": "o"},
    "CompareOptions": {"inits": "random,imagenet", "data": "d", "out": "o"},
    "EvaluateOptions": {"run": "r", "data": "d"},
    "PredictOptions": {"run": "r", "inputs": "i", "out": "o"},
    "InspectOptions": {"path": "p"},
    "PrepareOptions": {"inputs": "i", "out": "o"},
    "PseudoDepthOptions": {"store": "s", "teacher": "t"},
    "AdviseOptions": {"video": "v", "labelled": "l"},
    "SelectOptions": {"data": "d", "init": "imagenet", "out": "o"},
    "PropagateOptions": {"data": "d", "store": "s", "out": "o"},
    "LoopSettings": {"steps": 4, "batch_size": 4, "lr": 1e-3},
    "SegmentationConfig": {"num_classes": 3},
}
METHODS = [task_class(name).Config for name in PRETEXTS] + [
    (segmentation_class(False) if name == "segmentation" else task_class(name, TRANSFERS)).Config
    for name in TRANSFERS
]
CLASSES = [
    *dict.fromkeys(command.options_class() for command in cli.COMMANDS.values()),
    *METHODS,
    LoopSettings,
]


def calm(sentence):
    return "\n" not in sentence and "Input should be" not in sentence and len(sentence) < 1000


def taken(function, values):
    """Return what a function makes of keywords, or the sentence in which it refuses them."""
    try:
        made = function(**values)
        as_saved("", made)
    except UserError as error:
        return None, str(error)
    return made, ""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_option_takes_what_is_in_its_range_and_refuses_the_rest(cls):
    for name, hint in hints(cls).items():
        for value in ODD:
            options, sentence = taken(cls, {**NEEDED.get(cls.__name__, {}), name: value})
            assert calm(sentence), (name, value, sentence)
            if options is None:
                continue
            kept = getattr(options, name)
            if isinstance(kept, (int, float)) and not isinstance(kept, bool):
                assert math.isfinite(kept), (name, value)
                assert name.endswith("seed") or abs(kept) <= 1e30, (name, value)
            assert not isinstance(kept, (bytes, complex)), (name, value)
            if isinstance(kept, str) and (known := choices_of(hint)):
                assert kept in known or type(kept) is not str


@pytest.mark.parametrize(
    ("cls", "name", "values"),
    [
        (PretrainOptions, "steps", (5, np.int64(5), np.array(5), torch.tensor(5), "5", np.uint8(5))),
        (PretrainOptions, "lr", (0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), "0.5")),
        (PretrainOptions, "out", ("o", Path("o"))),
        (CompareOptions, "seeds", ([0, 1], (0, 1), np.array([0, 1]), torch.tensor([0, 1]), "0,1", 2)),
    ],
)
def test_numbers_and_paths_of_every_kind_are_taken(cls, name, values):
    kept = {getattr(cls(**{**NEEDED[cls.__name__], name: value}), name) for value in values}
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("threads", n) for n in (0, -1, 100_000, 1.5, "many", [1])),
        *(("batch_size", n) for n in (0, 10**6, b"5")),
        *(("steps", n) for n in (0, 10**18)),
        *(("lr", n) for n in (0, -1, math.nan, math.inf, 1e30, "fast", {}, object())),
        ("schedule", []),
        ("schedule", {"a": 1}),
        ("backbone", 5),
        ("data", b"d"),
    ],
)
def test_a_refusal_names_the_option(name, value):
    with pytest.raises(OptionError) as error:
        gp.pretrain("monodepth", **{"data": "d", "out": "o", name: value})
    assert error.value.name == name
    assert str(error.value).startswith(f"{name} must be ")


NO_WHOLE_NUMBERS = ("1_000", "\uff11\uff12", "\u0663", 2.0, np.float32(2.0), torch.tensor(2.0), "2.0", True)
NO_NUMBERS = ("1_0.5", "\uff11.5", True)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_numbers_are_written_in_plain_digits_and_whole_where_they_must_be(cls):
    for name, hint in hints(cls).items():
        values = NO_WHOLE_NUMBERS if hint in (Count, Natural, Seed, int, Count | None) else ()
        values = values or (NO_NUMBERS if hint in (Positive, float, Positive | None) else ())
        for value in values:
            options, sentence = taken(cls, {**NEEDED.get(cls.__name__, {}), name: value})
            assert options is None, (name, value)
            assert "must be" in sentence


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        *((PretrainOptions, name, "") for name in ("init", "backbone", "probe", "size", "preset", "resume")),
        *((PretrainOptions, name, " ") for name in ("init", "device", "subset", "lr")),
        (PretrainOptions, "data", ["a", ""]),
        (CompareOptions, "inits", ["random", ""]),
        (CompareOptions, "backbone", np.array("")),
    ],
)
def test_nothing_is_no_value(cls, name, value):
    with pytest.raises(OptionError, match=r"must be .*, not empty; or leave it away") as error:
        cls(**{**NEEDED[cls.__name__], name: value})
    assert error.value.name == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seeds", [0.0, 1.0]),
        ("seeds", "0,1_0"),
        ("curve_points", 2.0),
        ("curve_points", [1, 2.0]),
        ("size", (96.0, 128)),
        ("size", "96x1_28"),
        ("lr", "1e-3,1_0"),
        ("labels", "\uff18"),
    ],
)
def test_parts_of_lists_follow_the_same_rule(name, value):
    with pytest.raises(OptionError, match=f"{name} must be"):
        CompareOptions(**{**NEEDED["CompareOptions"], name: value})


@pytest.mark.parametrize("text", ["1_0", "0x10", "1:30"])
def test_settings_are_decimal_numbers(text):
    options = PretrainOptions(**NEEDED["PretrainOptions"], settings=f"scales={text}")
    assert options.settings == {"scales": text}, "which the method refuses"
    given = PretrainOptions(
        **NEEDED["PretrainOptions"], settings=["a=017", "b=0.5", "c=-3", "d=1.5e-3", "e=true"]
    )
    assert given.settings == {"a": "017", "b": 0.5, "c": -3, "d": 0.0015, "e": True}


CALLS = {
    "inspect": lambda v: gp.inspect(v),
    "prepare": lambda v: gp.prepare(v, "o"),
    "pretrain": lambda v: gp.pretrain(v),
    "unknown keyword": lambda v: gp.pretrain(foo=v),
    "too many": lambda v: gp.pretrain("monodepth", "x", v),
    "evaluate": lambda v: gp.evaluate(v, "d"),
    "too few": lambda v: gp.evaluate("r"),
    "predict": lambda v: gp.predict(v, "d", "o"),
    "finetune": lambda v: gp.finetune(v),
    "compare": lambda v: gp.compare(v, data="d", out="o"),
    "pseudo-depth": lambda v: gp.pseudo_depth(v, "t"),
    "store": lambda v: FrameStore.open(v),
    "labelled": lambda v: LabelledSet.open(v),
    "labelled size": lambda v: LabelledSet.open("synthetic:street", size=v),
    "data": lambda v: open_dataset(v, Fields()),
    "frames": lambda v: Fields(frames=v),
    "fields": lambda v: Fields(names=v),
    "quantity": lambda v: PseudoDepthInfo("t", v, "metric"),
    "items": lambda v: nested_subset(v, 3, 0),
    "count": lambda v: nested_subset(10, v, 0),
    "seed": lambda v: nested_subset(10, 3, v),
    "run": lambda v: RunFolder.open(v),
    "comparison": lambda v: Comparison.open(v),
    "difference": lambda v: paired_difference(v, v),
    "init": lambda v: parse_init(v),
    "tensors": lambda v: read_tensors(v),
    "lineage": lambda v: read_lineage(v),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_callers_name_is_refused_in_a_sentence(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        sentence = ""
        try:
            CALLS[call](value)
        except UserError as error:
            sentence = str(error)
        assert calm(sentence), (value, sentence)
    assert not [path for path in tmp_path.iterdir() if path.name != "o"]
