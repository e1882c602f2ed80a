from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from geopretrain import schema
from geopretrain.errors import ConfigError, OptionError
from geopretrain.schema import AnySize, Count, FilePath, FilePaths, Fraction, Positive, Seed, Threads, checked


@checked
class Base:
    """Shared."""

    steps: Count | None = None
    """Number of
    steps."""


@checked
class Example(Base):
    """All kinds of fields."""

    method: str = field(default="monodepth", kw_only=False)
    """Which method."""
    mode: Literal["full", "frozen"] = "full"
    """What is trained."""
    size: AnySize = None
    """Size."""
    lr: Positive = 1e-3
    """Rate."""
    subset: Fraction | None = None
    """Part."""
    seed: Seed = 0
    """Seed."""
    threads: Threads | None = None
    """Threads."""
    out: FilePath | None = None
    """Folder."""
    data: FilePaths | None = None
    """Data."""
    flip: bool = False
    """Mirror."""

    def __post_init__(self) -> None:
        if self.steps == 13:
            raise OptionError("steps", "brings bad luck.")


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("steps", np.int64(3), 3),
        ("steps", "7", 7),
        ("lr", np.float32(0.5), 0.5),
        ("lr", torch.tensor(0.25), 0.25),
        ("lr", "1e-4", 1e-4),
        ("out", Path("runs") / "depth", str(Path("runs") / "depth")),
        ("out", torch.device("cpu"), "cpu"),
        ("data", (Path("a"), "b"), ["a", "b"]),
        ("data", "2011_09_26", "2011_09_26"),
        ("size", "96X320", (96, 320)),
        ("size", [96, 320], (96, 320)),
        ("size", np.array([96, 320]), (96, 320)),
        ("size", "auto", None),
        ("subset", "5%", 0.05),
        ("subset", 1, 1.0),
        ("flip", "false", False),
        ("flip", np.bool_(True), True),
    ],
)
def test_values_of_every_origin_are_kept_plain(name, given, kept):
    value = getattr(Example(**{name: given}), name)
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("steps", 0, "steps must be a whole number of at least 1, not 0."),
        ("steps", -3, "at least 1, not -3."),
        ("steps", 1.5, "steps must be a whole number of at least 1, not 1.5."),
        ("steps", True, "not True."),
        ("steps", "many", "not 'many'."),
        ("steps", float("nan"), "not nan."),
        ("steps", 10**30, "steps must be at most 1,000,000,000"),
        ("lr", 0, "lr must be a positive number, not 0."),
        ("lr", float("inf"), "lr must be a positive number, not inf."),
        ("lr", "nan", "lr must be a positive number, not 'nan'."),
        ("seed", -1, "seed must be a whole number from 0 to 2**63 - 1, not -1."),
        ("seed", 2**63, "not 9223372036854775808."),
        ("threads", 10**6, "threads must be a whole number from 1 to 1024, not 1000000."),
        ("subset", 0, "subset must be a fraction such as 5% or 0.05"),
        ("subset", "101%", "at most 100%, not '101%'."),
        ("subset", "nan", "at most 100%, not 'nan'."),
        ("size", "320", "size must be HEIGHTxWIDTH in pixels such as 96x320 (height first), not '320'."),
        ("size", (1, 2, 3), "HEIGHTxWIDTH"),
        ("size", "16x320", "size must be at least 32x32"),
        ("size", "96x99999", "at most 16384x16384 pixels"),
        ("mode", "frosen", "mode must be one of full, frozen, not 'frosen'. Did you mean 'frozen'?"),
        ("out", 3, "out must be a path, not 3."),
        ("flip", "perhaps", "flip must be true or false, not 'perhaps'."),
        ("steps", 13, "steps brings bad luck."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(name, given, sentence):
    with pytest.raises(OptionError) as error:
        Example(**{name: given})
    assert sentence in str(error.value)
    assert error.value.name == name
    assert "\n" not in str(error.value)


def test_unknown_names_and_missing_ones():
    with pytest.raises(ConfigError, match=r"Unknown setting 'stepz'\. Did you mean 'steps'"):
        Example(stepz=3)

    @checked
    class Required:
        """One."""

        run: FilePath = field(kw_only=False)
        """Run folder."""

    with pytest.raises(OptionError, match="run is missing: Run folder"):
        Required()


def test_fields_are_described_where_they_are_written():
    assert schema.descriptions(Example)["steps"] == "Number of steps."
    assert schema.descriptions(Example)["mode"] == "What is trained."
    assert schema.defaults(Example)["lr"] == 1e-3
    assert schema.choices_of(schema.hints(Example)["mode"]) == ["full", "frozen"]


def test_what_was_given_is_remembered():
    assert schema.given(Example("scdepth", steps=3, seed=0, lr=1e-3)) == {
        "method": "scdepth",
        "steps": 3,
        "seed": 0,
        "lr": 1e-3,
    }
    assert schema.given(Example(steps=None)) == {}


def test_sizes_outside_of_a_class():
    assert schema.parse_size("96x320") == schema.parse_size((96, 320)) == (96, 320)
    assert schema.parse_size(None) is None
    with pytest.raises(ConfigError, match="HEIGHTxWIDTH"):
        schema.parse_size("axb")
