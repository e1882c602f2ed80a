"""Cameras estimated from the frames of a video: what windows say together, and what a store makes of it."""

import json
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pytest
from making_clips import sliding_frames, write_images, write_video

from geopretrain import extras
from geopretrain.console import console
from geopretrain.data.prepare.calibrate import reconstruction, video
from geopretrain.data.prepare.calibrate.estimate import combined, weighted_median
from geopretrain.data.prepare.calibrate.frames import LENGTH, WINDOWS, choose_windows
from geopretrain.data.prepare.calibrate.window import FRAMES, KEPT, RESULT, WindowResult
from geopretrain.data.prepare.preparation import prepare
from geopretrain.data.readers import open_source
from geopretrain.errors import ConfigError
from geopretrain.metrics.trajectory import aligned, rotation_errors


def window(focal, *, bend=0.0, uncertainty=0.003, registered=40, error=0.5, pinhole=None):
    return WindowResult(40, registered, 1000, 8000, error, focal, bend, pinhole or focal, error, uncertainty)


def test_windows_count_by_what_they_say_of_the_focal_length():
    vague = window(0.9, uncertainty=0.02)
    found = combined([window(0.60), window(0.61), window(0.62), vague])
    assert found.problem is None
    assert found.focal == pytest.approx(0.61, abs=0.005)
    assert (found.windows, found.used, found.registered) == (4, 4, 1.0)
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])) == pytest.approx(2.0)


BAD = {
    "none": ([], "no six frames"),
    "nothing registered": ([window(0.6, registered=10)] * 2, "cannot be put together"),
    "large errors": ([window(0.6, error=2.0)] * 2, "do not tell the focal length"),
    "too wide": ([window(0.1)] * 2, "do not tell the focal length"),
    "vague": ([window(0.6, uncertainty=0.5)], "do not tell the focal length"),
    "an impossible lens": ([window(0.6, bend=4.0)], "do not tell the focal length"),
    "disagreement": ([window(0.5), window(0.7)], "its windows disagree"),
    "one of two lenses": ([window(0.6, pinhole=0.7)], "only one window"),
}


def test_windows_count_less_where_a_bend_could_be_the_focal_length():
    nyu = [window(0.996, pinhole=0.985), window(1.080, pinhole=0.998), window(1.042, pinhole=1.011)]
    assert combined(nyu).focal == pytest.approx(1.0, abs=0.01)  # 1 is true
    assert combined([window(0.996), window(1.080), window(1.042)]).focal == pytest.approx(1.042)


def test_windows_of_one_camera_must_tell_it_to_three_per_cent():
    of_three_videos = [window(0.516, uncertainty=0.011), window(0.509, uncertainty=0.022)]
    of_three_videos.append(window(0.572, uncertainty=0.011))
    assert combined(of_three_videos).problem.startswith("its windows disagree by")  # 0.50 is true
    assert combined([window(0.500), window(0.516), window(0.509)]).problem is None


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_believed_says_why(kind):
    results, words = BAD[kind]
    assert words in combined(results).problem


def test_all_of_a_video_does_not_vouch_for_its_halves():
    whole, halves = {*range(30)}, ({*range(15)}, {*range(15, 30)})
    sure = {0.575: 0.011, 0.616: 0.016, 0.443: 0.021}  # of nuScenes, where 0.50 is true
    far_apart = [window(focal, uncertainty=by) for focal, by in sure.items()]
    assert "windows disagree by 1" in combined(far_apart, [whole, *halves]).problem
    alike = combined([window(0.575), window(0.59), window(0.56)], [whole, *halves])
    assert (alike.problem, alike.used, alike.agreeing) == (None, 3, (0, 1, 2))
    assert alike.doubt == pytest.approx(0.026, abs=0.002)  # the halves alone: 2.6 % off on either side
    assert combined([window(0.575)] * 4 + [window(0.59), window(0.56)]).doubt < 0.4 * alike.doubt
    one_half = [window(0.575, pinhole=0.51), window(0.57, pinhole=0.5), window(0.5, registered=3)]
    assert "only one window" in combined(one_half, [whole, *halves]).problem


def test_windows_are_of_moving_frames_without_a_cut(tmp_path):
    moving = sliding_frames(60, step=4.0) + sliding_frames(60, step=4.0, seed=5)
    write_images(tmp_path / "moving", moving)
    windows = choose_windows(open_source(tmp_path / "moving")[0])
    assert 1 <= len(windows) <= WINDOWS
    assert all(6 <= len(w) <= LENGTH + LENGTH // 4 and w == sorted(w) for w in windows)
    assert all(max(w) < 60 or min(w) >= 60 for w in windows)
    write_images(tmp_path / "static", [moving[0]] * 30)
    assert choose_windows(open_source(tmp_path / "static")[0]) == []


@pytest.fixture
def colmap(monkeypatch):
    """COLMAP in a word: what each window is to say; the folders that were reconstructed."""
    asked = []

    def say(*results):
        def run(place):
            assert len(list((place / FRAMES).glob("*.png"))) >= 6
            result = results[len(asked) % len(results)] if results else None
            asked.append(place)
            if result is not None:
                (place / RESULT).write_text(json.dumps(asdict(result)))

        monkeypatch.setattr(video, "_run", run)
        monkeypatch.setattr(extras, "find_spec", lambda name: object())
        return asked

    return say


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "walk.mp4", sliding_frames(100, step=4.0))


def test_a_store_has_the_estimated_camera(tmp_path, clip, colmap):
    colmap(window(0.8))
    store = prepare(clip, tmp_path / "store", progress=False, calibrate="focal")
    assert store.intrinsics_known
    assert store.clips[0].camera == "estimated from its frames"
    assert store.clips[0].intrinsics[0][0] == pytest.approx(0.8 * store.size[1], rel=1e-6)
    assert any("Focal length 102 px, estimated from its frames" in w for w in store.warnings)


def test_distortion_is_undone_where_it_is_asked_for(tmp_path, clip, colmap):
    colmap(window(0.8, bend=-0.15, pinhole=0.75))
    store = prepare(clip, tmp_path / "store", progress=False, calibrate="distortion")
    assert store.clips[0].original_size != (96, 128)
    assert any("distortion -0.150, undone" in w for w in store.warnings)
    other = prepare(clip, tmp_path / "other", progress=False, calibrate="focal")
    assert other.clips[0].original_size == (96, 128)
    assert any("--calibrate distortion undoes that" in w for w in other.warnings)


@pytest.mark.parametrize("results", [(), (window(0.5), window(0.7))])
def test_what_cannot_be_estimated_is_assumed_and_said(tmp_path, clip, colmap, results):
    write_video(tmp_path / "run.mp4", sliding_frames(100, step=4.0, seed=3))
    colmap(*results)  # without any: COLMAP has ended without a result
    store = prepare(
        [clip, tmp_path / "run.mp4"], tmp_path / "store", progress=False, calibrate="focal", fov=70
    )
    assert not store.intrinsics_known
    assert any("could not be estimated from the video" in w for w in store.warnings)
    assert store.clips[0].intrinsics[0][0] == pytest.approx(
        store.size[1] / 2 / np.tan(np.radians(35)), rel=1e-5
    )


def test_an_interrupted_estimate_goes_on(tmp_path, clip, colmap):
    asked = colmap(window(0.8))
    with console.progress("", None) as line:
        first = video.estimate_camera(open_source(clip), tmp_path / "work", line)
        count = len(asked)
        (asked[-1] / RESULT).unlink()
        assert video.estimate_camera(open_source(clip), tmp_path / "work", line) == first
    assert len(asked) == count + 1


def test_a_known_camera_is_left_alone(tmp_path, clip, colmap):
    asked = colmap(window(0.8))
    store = prepare(clip, tmp_path / "store", progress=False, calibrate="focal", intrinsics="90,90,63.5,47.5")
    assert store.clips[0].camera == "given by the user"
    assert not asked


def test_without_colmap_it_is_said_how_to_get_it(tmp_path, clip, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"geopretrain\[calibrate\]"):
        prepare(clip, tmp_path / "store", progress=False, calibrate="focal")


def window_kept(place, frames, first=0.0):
    """What is left of a window: the model and its poses, which go 1 forward at each frame."""
    (place / KEPT).mkdir(parents=True, exist_ok=True)
    poses = np.tile(np.eye(4), (len(frames), 1, 1))
    poses[:, 2, 3] = first + np.arange(len(frames))
    np.savez(place / "reconstruction.npz", frames=np.array(frames), poses=poses)


def test_the_poses_of_windows_are_kept_and_those_that_share_frames_are_not_mixed(
    tmp_path, clip, colmap, monkeypatch
):
    colmap(window(0.8))
    kept = {0: range(10, 40), 1: range(30, 60), 2: range(70, 77)}

    def run_apart(module, place, *words):
        assert (module, float(words[0])) == ("reconstruction", pytest.approx(0.8))
        at = int(place.name.split("_")[1])
        window_kept(place, list(kept[at]), first=100.0 * at)

    monkeypatch.setattr(reconstruction, "run_apart", run_apart)
    monkeypatch.setattr(reconstruction, "window_folders", lambda clips, folder: places(folder))

    def places(folder):
        found = [(0, folder / f"window_{at}") for at in range(3)]
        for _, place in found:
            (place / KEPT).mkdir(parents=True, exist_ok=True)
        return found

    monkeypatch.setattr(video, "choose_windows", lambda clip, advance: [list(r) for r in kept.values()])
    store = prepare(clip, tmp_path / "store", progress=False, calibrate="focal", min_motion=0)
    (info,) = store.clips
    assert info.pose_frames == [*range(10, 60), *range(70, 77)]
    assert info.pose_starts == [40, 70]
    assert "estimated by pycolmap" in info.pose_origin
    assert "scale unknown" in info.pose_origin
    assert store.pose(0, 39)[2, 3] == 29
    assert store.pose(0, 40)[2, 3] == 110
    assert any("Poses of 57 frames are estimated by pycolmap" in w for w in store.warnings)


def _over_truth(world, frame, points):
    """Depth of points over the true one where they are seen."""
    pixels = points @ world.intrinsics.T
    columns, rows = np.rint(pixels[:, :2] / pixels[:, 2:]).astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < world.size[1]) & (rows < world.size[0])
    true = world.depth(frame)[rows[inside], columns[inside]]
    return points[inside, 2][true > 0] / true[true > 0]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pycolmap") is None, reason="needs the extra calibrate")
def test_the_focal_length_of_a_synthetic_world_is_found(tmp_path):
    (world,) = open_source("synthetic:rooms?frames=60&seed=3&height=288&width=384&stereo=0")
    with console.progress("", None) as line:
        found = video.estimate_camera([world], tmp_path, line)
    assert found.problem is None
    windows = reconstruction.trajectories([world], tmp_path, found)[0]
    for one in windows:
        true = np.array([world.pose(int(frame)) for frame in one.frames])
        way = np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1).sum()
        off = aligned(one.poses[:, :3, 3], true[:, :3, 3]) - true[:, :3, 3]
        assert np.linalg.norm(off, axis=1).max() < 0.01 * way
        turned = [np.linalg.inv(poses[0]) @ poses[-1] for poses in (one.poses, true)]
        assert rotation_errors(*turned) < 0.5
        ratios = np.concatenate(
            [_over_truth(world, int(frame), one.points[int(frame)]) for frame in one.frames]
        )
        assert len(ratios) > 20 * len(one.frames)
        assert np.median(np.abs(ratios / np.median(ratios) - 1)) < 0.02  # in one unit
    assert found.focal * 384 == pytest.approx(world.intrinsics[0, 0], rel=0.05)
    assert found.registered > 0.9
