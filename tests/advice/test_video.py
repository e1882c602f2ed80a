"""How much of the motion is the camera turning, where the poses say it, and the method that follows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from geopretrain.advice.commands import geometric_method
from geopretrain.advice.video import Video, turning

FOCAL = 100.0
FACTS = Video(
    path="store",
    size=(64, 96),
    samples={"train": 200, "val": 10},
    clips=2,
    frames=220,
    read=None,
    hours=None,
    static=0,
    motion=(3.0, 2.0, 4.0),
    turning=None,
    cameras_known=2,
    still_images=False,
    grade="fit",
    reasons=(),
)


def store_of(degrees, motion=4.0, starts=(), poses=True):
    """Return a store of one clip whose camera turns by so much from frame to frame."""
    targets = list(range(1, 9))
    clip = SimpleNamespace(
        targets=targets,
        stride=1,
        target_motion=[(motion, motion)] * len(targets),
        pose_frames=list(range(10)) if poses else [],
        pose_starts=list(starts),
    )

    def pose(number, frame):
        angle = np.radians(degrees * frame)
        found = np.eye(4)
        found[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        found[0, 3] = frame
        return found if poses else None

    intrinsics = np.array([[FOCAL, 0, 48], [0, FOCAL, 32], [0, 0, 1]])
    return SimpleNamespace(clips=[clip], still_images=False, pose=pose, intrinsics=lambda number: intrinsics)


def test_the_part_is_the_angle_times_the_focal_length_beside_the_flow():
    assert turning(store_of(1.0)) == pytest.approx(FOCAL * np.radians(1.0) / 4.0)
    assert turning(store_of(0.0)) == pytest.approx(0.0, abs=1e-6)
    assert turning(store_of(9.0)) == 1.0


def test_poses_of_different_worlds_are_not_compared():
    every = turning(store_of(1.0, starts=range(10)))
    assert every is None
    assert turning(store_of(1.0, starts=(5,))) == pytest.approx(FOCAL * np.radians(1.0) / 4.0)


def test_without_poses_or_motion_it_is_not_known():
    assert turning(store_of(1.0, poses=False)) is None
    assert turning(store_of(1.0, motion=0.0)) is None


@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({}, "monodepth"),
        ({"turning": 0.8}, "scdepth --settings version=2 pose_backbone=resnet18"),
        ({"turning": 0.3}, "monodepth"),
        ({"cameras_known": 1}, "geometric_flow"),
    ],
)
def test_the_method_follows_from_what_is_known_of_the_camera(change, method):
    assert geometric_method(replace(FACTS, **change), "resnet18")[0] == method
