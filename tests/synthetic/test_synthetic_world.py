"""Worlds as data: seeds, labels, instances, boxes, classes, errors."""

from __future__ import annotations

import numpy as np
import pytest

from geopretrain.errors import ConfigError
from geopretrain.synthetic import make_world, make_worlds

KINDS = ["street", "rooms"]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_do_not_depend_on_the_order_asked_for(kind):
    forward, backward = make_world(kind, 5, 40, (64, 160)), make_world(kind, 5, 40, (64, 160))
    first = [forward.frame(i) for i in (0, 7, 30)]
    for frame in first:
        _ = frame.image
    for frame in (backward.frame(i) for i in (30, 7, 0)):
        twin = next(other for other in first if other.index == frame.index)
        # asked for in another order too: truth first, picture last
        assert np.array_equal(frame.instance, twin.instance)
        assert np.array_equal(frame.semantic, twin.semantic)
        assert frame.depth.tobytes() == twin.depth.tobytes()
        assert frame.image.tobytes() == twin.image.tobytes()
        assert frame.pose.tobytes() == twin.pose.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_longer_world_begins_like_a_shorter_one(kind):
    short, long = make_world(kind, 2, 5, (64, 160)).frame(4), make_world(kind, 2, 300, (64, 160)).frame(4)
    assert np.array_equal(short.image, long.image)
    assert np.array_equal(short.depth, long.depth)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_give_different_worlds(kind):
    pictures = [make_world(kind, seed, 5, (64, 160)).frame(2).image.astype(float) for seed in range(3)]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(pictures[a] - pictures[b]).mean() > 15


@pytest.mark.parametrize("kind", KINDS)
def test_types_and_shapes(kind):
    world = make_world(kind, 1, 3, (64, 160))
    frame = world.frame(1)
    assert (frame.image.shape, frame.image.dtype) == ((64, 160, 3), np.uint8)
    assert (frame.depth.shape, frame.depth.dtype) == ((64, 160), np.float32)
    assert frame.semantic.dtype == np.uint8
    assert frame.instance.dtype == np.int32
    assert world.class_colours.shape == (len(world.class_names), 3)
    assert len({tuple(colour) for colour in world.class_colours.tolist()}) == len(world.class_names)
    np.testing.assert_allclose(frame.pose[:3, :3] @ frame.pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame.pose[:3, :3]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_at_least_ten_classes_over_a_sequence(kind):
    world = make_world(kind, 3, 200, (96, 320))
    counts = np.zeros(world.num_classes, int)
    for index in range(0, 200, 20):
        counts += np.bincount(world.frame(index).semantic.ravel(), minlength=world.num_classes)
    assert (counts > 30).sum() >= 10, dict(zip(world.class_names, counts.tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_instances_agree_with_labels_and_boxes_bound_them(kind):
    world = make_world(kind, 4, 60, (96, 320))
    frame = world.frame(33)
    instance, semantic = frame.instance, frame.semantic
    boxes = {box[0]: box[1:] for box in frame.boxes}
    assert set(boxes) == set(np.unique(instance).tolist()) - {0}
    assert len(boxes) >= 4
    for number, (class_id, x0, y0, x1, y1) in boxes.items():
        mask = instance == number
        assert (semantic[mask] == class_id).all()
        assert world.instance_classes[number] == class_id
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
        tight = mask[y0].any() and mask[y1 - 1].any() and mask[:, x0].any() and mask[:, x1 - 1].any()
        assert tight


def test_depth_is_zero_exactly_in_the_sky():
    frame = make_world("street", 0, 5, (96, 320)).frame(2)
    sky = frame.semantic == frame.world.class_names.index("sky")
    assert sky.sum() > 500
    assert (frame.depth[sky] == 0).all()
    assert (frame.depth[~sky] > 0).all()


def test_rooms_are_closed_and_within_reach():
    for seed in range(4):
        depth = make_world("rooms", seed, 80, (64, 160)).frame(60).depth
        assert depth.min() > 0.2
        assert depth.max() < 9.0


def test_road_before_the_camera_lies_where_camera_height_and_row_say():
    world = make_world("street", 6, 3, (96, 320))
    frame = world.frame(0)
    points = frame.points()
    road = frame.semantic == world.class_names.index("road")
    np.testing.assert_allclose(points[1][road], 0.0, atol=2e-4)
    camera_height = -np.linalg.inv(frame.pose)[1, 3]
    assert 1.6 < camera_height < 1.7


def test_colour_alone_does_not_tell_the_classes():
    # nearest mean colour per class, learned on 16 pictures, must stay a poor segmenter of other seeds
    def pixels(seeds):
        frames = [make_world("street", seed, 30, (48, 160)).frame(20) for seed in seeds]
        colours = np.concatenate([frame.image.reshape(-1, 3) for frame in frames]).astype(np.float32)
        return colours, np.concatenate([frame.semantic.ravel() for frame in frames])

    colours, labels = pixels(range(16))
    classes = np.unique(labels)
    means = np.stack([colours[labels == c].mean(0) for c in classes])
    colours, labels = pixels(range(100, 106))
    guess = classes[np.argmin(((colours[:, None] - means[None]) ** 2).sum(-1), 1)]
    iou = [
        ((guess == c) & (labels == c)).sum() / max(1, ((guess == c) | (labels == c)).sum()) for c in classes
    ]
    assert np.mean(iou) < 0.3


def test_many_worlds_share_the_frames():
    worlds = make_worlds("rooms", 7, 10, (32, 64), worlds=3)
    assert [world.num_frames for world in worlds] == [4, 3, 3]
    assert len({world.seed for world in worlds}) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("streets", 0, 5, (96, 320)), "Did you mean 'street'"),
        (("street", 0, 0, (96, 320)), "frames=0"),
        (("street", -1, 5, (96, 320)), "seed=-1"),
        (("rooms", 0, 5, (8, 320)), "16 px"),
    ],
)
def test_wrong_options_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        make_world(*arguments)


def test_frames_outside_the_world():
    with pytest.raises(IndexError, match="Frame 5 of a world with 5 frames"):
        make_world("rooms", 0, 5, (32, 64)).frame(5)
