"""The same frames have the same order and the same gaps, whatever scheme names them."""

import random
from pathlib import Path

import pytest

from geopretrain.data.file_names import (
    frame_numbers,
    in_order,
    is_clutter,
    natural_key,
    natural_text,
    numbering_gaps,
    without_clutter,
)

SCHEMES = {
    "plain": lambda i: f"{i}.png",
    "padded": lambda i: f"{i:06d}.png",
    "camera behind": lambda i: f"{i:06d}_cam0.png",
    "camera before": lambda i: f"cam2_{i:04d}.png",
    "size before": lambda i: f"img_640x480_{i:04d}.png",
    "size behind": lambda i: f"img_{i}_640x480.png",
    "decimals": lambda i: f"frame_{1 + i * 0.05:.2f}.png",
    "decimals as printed": lambda i: f"{round(i * 0.05, 2)}.jpg",
    "decimals of one digit": lambda i: f"{9 + i * 0.1:.1f}.png",
    "seconds since 1970": lambda i: f"{1305031102.175304 + i * 0.0333:.6f}.png",
    "nanoseconds": lambda i: f"{1403636579763555584 + i * 50_000_000}.png",
    "microseconds, not quite even": lambda i: f"{1_500_000 + i * 33_333 + (i % 3) * 2_000}.png",
    "date": lambda i: f"2011-09-26_{i:04d}.png",
    "date and time": lambda i: (
        f"20230101_1259{50 + i if i < 10 else ''}.png" if i < 10 else f"20230101_1300{i - 10:02d}.png"
    ),
    "date and milliseconds": lambda i: f"2023-01-01_12-00-{i // 10:02d}.{i % 10}00.png",
    "time of day": lambda i: f"rec_13h59m{55 + i}s.jpg" if i < 5 else f"rec_14h00m{i - 5:02d}s.jpg",
    "time of day, milliseconds": lambda i: f"12-00-{i // 10:02d}_{i % 10}00.png",
    "date and milliseconds in one": lambda i: f"IMG_20230101_12000{i // 5}{i % 5 * 200:03d}.jpg",
    "date, time and counter": lambda i: f"20230101_12000{i // 8}_{i:03d}.png",
    "counter and time": lambda i: f"{i:04d}_{1.5 + i * 0.033:.3f}.png",
    "counter and speed": lambda i: f"{i:04d}_speed{(i * 7) % 5 + 0.5}.png",
    "speed and counter": lambda i: f"speed{(i * 7) % 5}_{i:04d}.png",
    "every fifth": lambda i: f"frame{i * 5}.jpg",
    "ending in capitals": lambda i: f"IMG_{i:04d}.{'PNG' if i % 2 else 'png'}",
    "in brackets": lambda i: f"frame ({i + 1}).png",
    "hexadecimal": lambda i: f"frame_{i:02x}.png",
    "hexadecimal, capitals": lambda i: f"F{i + 200:04X}.png",
    "hexadecimal, 0x": lambda i: f"0x{i + 8:x}.png",
    "letters": lambda i: f"{chr(97 + i)}.png",
    "version of the camera": lambda i: f"v1.2_{i}.png",
    "a before": lambda i: f"a{i + 1:02d}.png",
    "two endings": lambda i: f"frame-{i:06d}.color.jpg",
    "counter and countdown": lambda i: f"{i:04d}_{99 - i:04d}.png",
    "counter and countdown, not padded": lambda i: f"frame{i}_of_16_{15 - i}_left.png",
    "counter and countdown by twos": lambda i: f"{10 + 2 * i}-{100 - 5 * i}.jpg",
    "countdown and frame": lambda i: f"togo{15 - i:02d}_frame{i:02d}.png",
    "countdown said behind": lambda i: f"{15 - i}_remaining_{i}.png",
    "countdown and time": lambda i: f"{15 - i:02d}_20230101_1200{10 + i}.png",
    "countdown, time and milliseconds": lambda i: f"{15 - i:02d}_20230101_1200{10 + i}_500.png",
    "distance that falls evenly": lambda i: f"dist{40 - i * 0.5:.1f}_frame{i:03d}.png",
    "height that falls, and counter": lambda i: f"alt{500 - i * i}_{i:04d}.png",
    "camera on the left": lambda i: f"left_{i:04d}_{99 - i:04d}.png",
    "word behind": lambda i: f"{i:03d}_{('car', 'tree', 'road')[i % 3]}{chr(97 + i)}.png",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sixteen_frames_are_one_sequence_in_order(scheme):
    names = [SCHEMES[scheme](i) for i in range(16)]
    shuffled = [names[(i * 7) % 16] for i in range(16)]
    assert in_order(shuffled) == names
    assert in_order([Path("folder") / name for name in shuffled]) == [Path("folder") / n for n in names]
    assert numbering_gaps(names) == set()


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"letters"}))
def test_missing_frames_are_a_gap(scheme):
    names = [SCHEMES[scheme](i) for i in range(16) if i not in (8, 9)]
    assert numbering_gaps(in_order(names)) == {8}


def test_versions_are_no_decimals():
    assert in_order(["1.10.png", "1.9.png", "1.1.png"]) == ["1.1.png", "1.9.png", "1.10.png"]
    assert in_order(["1.1.png", "1.15.png", "1.05.png"]) == ["1.05.png", "1.1.png", "1.15.png"]


def test_sequences_are_kept_apart():
    names = [f"{s}_{i:04d}_cam0.png" for s in ("harbour", "town") for i in range(4)]
    assert numbering_gaps(names) == {4}
    assert numbering_gaps([f"seq{s}_{i:04d}.png" for s in (1, 2) for i in range(4)]) == {4}
    assert numbering_gaps([f"seq{s}_{i:04d}_640x480.png" for s in (1, 2) for i in range(4)]) == {4}


def test_checksums_have_no_numbers_that_count():
    names = [f"{sum}.png" for sum in ("9f86d0818", "2c26b46b6", "fcde2b2ed", "b5bb9d801")]
    assert sorted(in_order(names)) == sorted(names)


def test_frame_numbers_are_those_that_change():
    assert frame_numbers(["0016E5_07959.png", "0016E5_07961.png"]) == [7959, 7961]
    assert frame_numbers(["road.png", "tree.png"]) is None


def test_natural_key_of_one_name():
    assert sorted(["frame10", "Frame9", "frame1"], key=natural_key) == ["frame1", "Frame9", "frame10"]


@pytest.mark.parametrize(
    "name",
    [
        "._a.mp4",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX",
        ".ipynb_checkpoints",
        "@eaDir",
        "Icon\r",
    ],
)
def test_what_systems_leave_is_clutter(name):
    assert is_clutter(name)
    assert without_clutter([Path("in") / name / "a.png", Path("in/a.png")], Path("in")) == [Path("in/a.png")]


def test_a_hidden_folder_may_be_named_itself():
    assert without_clutter([Path(".data/a.png")], Path(".data")) == [Path(".data/a.png")]


def test_natural_order_as_text_is_the_same_order():
    rng = random.Random(0)
    names = ["".join(rng.choices("aB01 9-_é٣", k=rng.randint(1, 7))) for _ in range(2000)]
    by_key = sorted(set(names), key=lambda name: (natural_key(name), name))
    assert sorted(set(names), key=lambda name: (natural_text(name), name)) == by_key
