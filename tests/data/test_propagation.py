"""Which frames labels are propagated to, and the labels as they look there."""

from types import SimpleNamespace

import numpy as np

from geopretrain.data.matching import Match
from geopretrain.data.propagation import agreeing, copied_labels, moved_labels, planned

NOTHING = Match(None, 200.0)


def store(*clips, stride=1):
    return SimpleNamespace(clips=[SimpleNamespace(frames=list(one), stride=stride) for one in clips])


def at(clip, frame, *alike):
    places = {(clip, one) for one in (frame, *alike)}
    return Match((clip, frame), 0.0, frozenset(places))


def told(steps):
    return {(step.clip, step.frame): (step.source, step.steps, step.truth) for step in steps}


def test_each_frame_has_the_labels_of_the_nearest_training_image():
    found = told(planned(store(range(20)), [at(0, 5), at(0, 9), NOTHING], 2, 3))
    assert found == {
        (0, 2): (0, -3, None),
        (0, 3): (0, -2, None),
        (0, 4): (0, -1, None),
        (0, 6): (0, 1, None),
        (0, 7): (0, 2, None),  # as near to both: the earlier one
        (0, 8): (1, -1, None),
        (0, 10): (1, 1, None),
        (0, 11): (1, 2, None),
        (0, 12): (1, 3, None),
    }


def test_what_is_scored_and_what_is_nearest_to_it_is_left_alone():
    images = [at(0, 5), at(0, 9, 10), at(0, 1)]  # the last two are of other splits
    assert {frame for _, frame in told(planned(store(range(20)), images, 1, 8))} == {4, 6}
    twin = [at(0, 5), at(1, 3, 4), at(1, 4)]
    steps = told(planned(store(range(8), range(8)), twin, 1, 8))
    assert {clip for clip, _ in steps} == {0}, "nothing of another clip"


def test_steps_go_as_far_as_there_are_frames_a_stride_apart():
    frames = [0, 2, 4, 6, 7, 8, 12]
    steps = planned(store(frames, stride=2), [at(0, 4)], 1, 9)
    assert [step.frames for step in steps] == [(0, 2, 4), (2, 4), (6, 4), (8, 6, 4)]
    assert [step.steps for step in steps] == [-2, -1, 1, 2]


def test_training_images_near_each_other_tell_how_right_it_is():
    steps = told(planned(store(range(20)), [at(0, 5), at(0, 6), at(0, 7)], 2, 2))
    assert steps[0, 5] == (1, -1, 0)
    assert steps[0, 6] == (0, 1, 1)
    assert (0, 7) not in steps


def test_labels_are_read_where_the_flow_leads():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    flow = np.zeros((2, 3, 4), np.float32)
    flow[0] = 1
    visible = np.ones((3, 4), bool)
    visible[1, 0] = False
    whole = (0, 0, 3, 4)
    found = moved_labels(labels, flow, visible, whole, (3, 4), whole)
    assert found.tolist() == [[1, 2, 3, 255], [255, 6, 7, 255], [9, 10, 11, 255]]


def test_outlines_are_as_fine_as_the_labels_and_parts_are_where_they_were_cut():
    fine = np.arange(6 * 10, dtype=np.uint8).reshape(6, 10)
    flow, visible = np.zeros((2, 2, 4), np.float32), np.ones((2, 4), bool)
    part = (1, 1, 4, 8)  # two px of the labels are one of the flow
    found = moved_labels(fine, flow, visible, part, (6, 10), part)
    assert np.array_equal(found[1:5, 1:9], fine[1:5, 1:9])
    assert (found[0] == 255).all()
    assert (found[:, 9] == 255).all()
    flow[0] = 0.5
    found = moved_labels(fine, flow, visible, part, (6, 10), part)
    assert np.array_equal(found[1:5, 1:8], fine[1:5, 2:9])
    stored = moved_labels(fine, 0 * flow, visible, part, (2, 4), (0, 0, 2, 4))
    assert stored.shape == (2, 4)
    assert set(stored.ravel()) <= set(fine[1:5, 1:9].ravel())


def test_labels_that_are_copied_or_disagree():
    labels = np.array([[1, 2], [3, 255]], np.uint8)
    assert copied_labels(labels, (2, 2)).tolist() == labels.tolist()
    assert copied_labels(labels, (4, 4))[::2, ::2].tolist() == labels.tolist()
    assert agreeing(labels, np.array([[1, 1], [3, 4]], np.uint8)).tolist() == [[1, 255], [3, 255]]
